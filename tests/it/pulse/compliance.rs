//! The compliance precheck of payments.

use serde_json::{Value, json};

use super::{Desk, PAYEE, PAYER, refused_field};
use crate::support::{Reply, TestApp};

/// A desk whose payer's policy asks for the precheck, with money for large payments.
pub(super) async fn checked(jurisdictions: &[&str]) -> Desk {
    furnished(Desk::open().await, jurisdictions).await
}

async fn furnished(desk: Desk, jurisdictions: &[&str]) -> Desk {
    let policy = json!({
        "policy_name": "Checked",
        "agent_id": PAYER,
        "compliance_jurisdictions": jurisdictions,
    });
    desk.app.policy(&desk.key, &policy).await;
    desk
}

#[track_caller]
fn decided(reply: &Reply) -> [Value; 3] {
    let authorization = &reply.json["authorization"];
    ["decision", "reason_code", "compliance_status"].map(|name| authorization[name].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn large_payments_are_flagged_and_pass() {
    let desk = checked(&["US_FEDERAL", "US_STATE_NY"]).await;
    let small = desk.pay(json!({"amount": 2500})).await.expect_status(200);
    assert_eq!(
        decided(&small),
        [json!("approved"), json!("policy_pass"), json!("clear")]
    );
    let large = desk.pay(json!({"amount": 10000})).await.expect_status(200);
    assert_eq!(
        decided(&large),
        [json!("approved"), json!("policy_pass"), json!("flagged")]
    );
    // 50,000 less 12,500: flagged payments move money.
    assert_eq!(desk.available(PAYER).await, json!(37_500.0));
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sanctioned_parties_are_denied() {
    let desk = checked(&["US_FEDERAL"]).await;
    let denied = desk
        .pay(json!({"counterparty_agent_id": "garantex-europe", "amount": 5}))
        .await
        .expect(
            200,
            "{transaction_id status authorization{decision reason_code reason_detail processing_time_ms}}",
        );
    assert_eq!(
        denied.json["authorization"]["reason_code"],
        "compliance_denied"
    );
    assert_eq!(
        denied.str("/authorization/reason_detail"),
        "A party stands on a sanctions list"
    );
    assert_eq!(desk.available(PAYER).await, json!(50_000.0));
    // A policy without the precheck, or without jurisdictions, asks nobody.
    let policies = desk.api().get("/policies").await;
    let id = policies.str("/policies/0/id").to_owned();
    for change in [
        json!({"compliance_precheck": false}),
        json!({"compliance_precheck": true, "compliance_jurisdictions": []}),
    ] {
        let path = format!("/policies/{id}");
        desk.api().patch(&path, &change).await.expect_status(200);
        let paid = desk
            .pay(json!({"counterparty_agent_id": "garantex-europe", "amount": 5}))
            .await;
        assert_eq!(
            decided(&paid),
            [json!("approved"), json!("policy_pass"), json!("clear")]
        );
    }
    desk.app.stop().await;
}

/// By letters and digits alone, whatever their case.
#[tokio::test(flavor = "multi_thread")]
async fn organisations_are_known_by_their_names() {
    let desk = checked(&["US_FEDERAL"]).await;
    let pay = async |other: &str, payer: &str| {
        let over = json!({
            "requesting_agent_id": payer,
            "counterparty_agent_id": "agent-x",
            "counterparty_org_id": other,
            "amount": 5,
        });
        desk.pay(over).await.expect_status(200).json["authorization"]["reason_code"].clone()
    };
    let mut others = Vec::new();
    for (name, reason) in [
        ("HYDRA  market", "compliance_denied"),
        ("Suex, O.T.C.", "compliance_denied"),
        ("The Hydra-Market Group", "human_required"),
        ("Hydraulics of the Market Town", "policy_pass"),
    ] {
        let other = desk.app.organization(name).await;
        assert_eq!(pay(&other, PAYER).await, reason, "{name}");
        others.push(other);
    }
    // A policy that asks for no precheck asks for no names.
    assert_eq!(pay(&others[0], PAYEE).await, "policy_pass");
    assert_eq!(desk.available(PAYER).await, json!(49_995.0));

    // The payer's own organisation is a party as well, and a change of its name counts at once.
    let call = async |name: &str| {
        let update = format!(
            "UPDATE organizations SET name = '{name}' WHERE id = '{}'",
            desk.org_id
        );
        desk.app.sql(&update).await;
        let paid = desk.pay(json!({"amount": 5})).await.expect_status(200);
        paid.json["authorization"]["reason_code"].clone()
    };
    assert_eq!(call("Garantex-Europe").await, "compliance_denied");
    assert_eq!(call("Acme").await, "policy_pass");
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_sure_is_for_a_human() {
    let desk = checked(&["US_FEDERAL"]).await;
    for _ in 0..2 {
        let below = desk.pay(json!({"amount": 9500})).await.expect_status(200);
        assert_eq!(below.json["authorization"]["compliance_status"], "clear");
    }
    let third = desk.pay(json!({"amount": 9400})).await.expect_status(200);
    assert_eq!(third.json["authorization"]["reason_code"], "human_required");
    assert!(
        third
            .str("/authorization/reason_detail")
            .contains("3 payments just below $10,000 within 24 hours"),
        "{}",
        third.text
    );
    let similar = desk
        .pay(json!({"counterparty_agent_id": "garantex-europe-2", "amount": 5}))
        .await;
    assert_eq!(
        similar.json["authorization"]["reason_code"],
        "human_required"
    );
    assert_eq!(desk.available(PAYER).await, json!(31_000.0));
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_the_operator_stand_beside_the_shipped_ones() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.toml");
    let text = "version = \"own\"\n[[jurisdictions]]\ncode = \"UK_FCA\"\n[[rules]]\nid = \"uk_purpose\"\n\
        description = \"The purpose is restricted\"\njurisdictions = [\"UK_FCA\"]\nkind = \"words\"\neffect = \"block\"\n\
        confidence_percent = 90\nwords = [\"arms\"]\n";
    std::fs::write(&file, text).unwrap();
    let app = TestApp::builder()
        .config(|config| config.pay.compliance_rules = Some(file))
        .start()
        .await;
    let desk = furnished(Desk::furnish(app).await, &["UK_FCA"]).await;
    let denied = desk.pay(json!({"category": "Arms trade"})).await;
    assert_eq!(
        denied.json["authorization"]["reason_code"],
        "compliance_denied"
    );
    let unknown =
        json!({"policy_name": "x", "agent_id": "y", "compliance_jurisdictions": ["UK_PRA"]});
    refused_field(
        &desk.api().post("/policies", &unknown).await,
        "compliance_jurisdictions[0]",
    );
    desk.app.stop().await;
}
