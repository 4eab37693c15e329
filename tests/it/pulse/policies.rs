//! Payment routes 10 to 13: policies.

use serde_json::{Value, json};

use super::{Desk, PAYER, demo_policy, is_instant, refused, refused_field, with};

const POLICY: &str = "{id org_id policy_name agent_id max_per_transaction max_daily max_monthly currency require_human_above \
                      approved_counterparties[] blocked_counterparties[] allowed_categories[] compliance_precheck \
                      compliance_jurisdictions[] is_active created_at}";

/// The request of the document's example.
fn treasury() -> Value {
    json!({
        "policy_name": "Treasury Agent Policy",
        "agent_id": PAYER,
        "max_per_transaction": 50000,
        "max_daily": 200000,
        "max_monthly": 2000000,
        "require_human_above": 100000,
        "allowed_categories": ["treasury", "operations"],
        "compliance_jurisdictions": ["US_FEDERAL", "US_STATE_NY"],
    })
}

#[tokio::test]
async fn a_policy_is_created_and_listed_as_documented() {
    let desk = Desk::open().await;
    let created = desk
        .api()
        .post("/policies", &treasury())
        .await
        .expect(201, POLICY);
    assert!(created.str("/id").starts_with("pol_"));
    is_instant(created.str("/created_at"));
    assert!(created.text.contains(r#""max_per_transaction":50000.00,"max_daily":200000.00,"max_monthly":2000000.00,"currency":"USD""#));
    let expected = with(
        treasury(),
        json!({
            "id": created.json["id"], "org_id": desk.org_id, "currency": "USD", "approved_counterparties": [],
            "blocked_counterparties": [], "compliance_precheck": true, "is_active": true,
            "created_at": created.json["created_at"], "max_per_transaction": 50000.0, "max_daily": 200000.0,
            "max_monthly": 2000000.0, "require_human_above": 100000.0,
        }),
    );
    assert_eq!(created.json, expected);

    let listed = desk
        .api()
        .get("/policies")
        .await
        .expect(200, &format!("{{policies[{POLICY}]}}"));
    assert_eq!(listed.json["policies"][0], created.json);
    assert_eq!(listed.json["policies"][1]["policy_name"], "Default Policy");
    assert_eq!(listed.json["policies"][1]["agent_id"], Value::Null);

    let bare = desk
        .api()
        .post(
            "/policies",
            &json!({"policy_name": "Bare", "agent_id": "agent-bare"}),
        )
        .await
        .expect(201, POLICY);
    for absent in [
        "max_per_transaction",
        "max_daily",
        "max_monthly",
        "require_human_above",
    ] {
        assert_eq!(bare.json[absent], Value::Null, "{absent}");
    }
    desk.app.stop().await;
}

#[tokio::test]
async fn one_active_policy_for_each_agent() {
    let desk = Desk::open().await;
    refused(
        &desk.api().post("/policies", &demo_policy()).await,
        409,
        "conflict",
    );
    desk.api()
        .post("/policies", &treasury())
        .await
        .expect_status(201);
    refused(
        &desk.api().post("/policies", &treasury()).await,
        409,
        "conflict",
    );
    let other = desk
        .app
        .policy(&desk.key, &with(treasury(), json!({"agent_id": "agent-b"})))
        .await;
    let path = format!("/policies/{other}");
    refused(
        &desk.api().patch(&path, &json!({"agent_id": PAYER})).await,
        409,
        "conflict",
    );
    refused(
        &desk.api().patch(&path, &json!({"agent_id": null})).await,
        409,
        "conflict",
    );
    // A deleted one makes room and stays readable.
    desk.api().delete(&path).await.expect(200, "{deleted soft}");
    desk.api()
        .post(
            "/policies",
            &with(treasury(), json!({"agent_id": "agent-b"})),
        )
        .await
        .expect_status(201);
    let listed = desk.api().get("/policies").await.expect_status(200);
    let of_b: Vec<_> = listed.json["policies"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|p| p["agent_id"] == "agent-b")
        .collect();
    assert_eq!(
        of_b.iter()
            .map(|p| p["is_active"].as_bool().unwrap())
            .collect::<Vec<_>>(),
        [true, false]
    );
    desk.app.stop().await;
}

#[tokio::test]
async fn a_change_touches_the_given_fields_only() {
    let desk = Desk::open().await;
    let id = desk.app.policy(&desk.key, &treasury()).await;
    let path = format!("/policies/{id}");
    let find = async || {
        let listed = desk.api().get("/policies").await.expect_status(200);
        listed.json["policies"]
            .as_array()
            .unwrap()
            .iter()
            .find(|p| p["id"] == id.as_str())
            .unwrap()
            .clone()
    };
    let before = find().await;
    let changed = desk
        .api()
        .patch(
            &path,
            &json!({"max_per_transaction": 75000, "max_daily": 300000}),
        )
        .await;
    assert_eq!(changed.expect(200, "{updated}").text, r#"{"updated":true}"#);
    assert_eq!(
        find().await,
        with(
            before.clone(),
            json!({"max_per_transaction": 75000.0, "max_daily": 300000.0})
        )
    );
    // Null and empty lists take a limit away.
    desk.api()
        .patch(&path, &json!({"max_daily": null, "allowed_categories": []}))
        .await
        .expect_status(200);
    let after = find().await;
    assert_eq!(
        (
            &after["max_daily"],
            &after["allowed_categories"],
            &after["max_monthly"]
        ),
        (&Value::Null, &json!([]), &json!(2_000_000.0))
    );

    for (change, field) in [
        (json!({"max_per_transaction": 0}), "max_per_transaction"),
        (
            json!({"max_per_transaction": 3000000}),
            "max_per_transaction",
        ),
        (json!({"max_monthly": 1}), "max_"),
        (json!({"currency": "usd"}), "currency"),
        (json!({"policy_name": ""}), "policy_name"),
        (
            json!({"compliance_jurisdictions": ["MARS"]}),
            "compliance_jurisdictions",
        ),
        (json!({"is_active": "yes"}), "is_active"),
    ] {
        refused_field(&desk.api().patch(&path, &change).await, field);
    }
    assert_eq!(find().await, after);

    let gone = desk.api().delete(&path).await.expect_status(200);
    assert_eq!(gone.text, r#"{"deleted":true,"soft":true}"#);
    refused(&desk.api().delete(&path).await, 404, "not_found");
    refused(
        &desk.api().patch(&path, &json!({"max_daily": 1})).await,
        404,
        "not_found",
    );
    refused(
        &desk.api().delete("/policies/pol_unknown").await,
        404,
        "not_found",
    );
    refused(
        &desk
            .api()
            .patch("/policies/pol_unknown", &json!({"max_daily": 1}))
            .await,
        404,
        "not_found",
    );
    assert_eq!(find().await["is_active"], false);
    desk.app.stop().await;
}

#[tokio::test]
async fn policies_that_make_no_sense_are_refused() {
    let desk = Desk::open().await;
    for (over, field) in [
        (json!({"policy_name": null}), "policy_name"),
        (json!({"policy_name": ""}), "policy_name"),
        (json!({"max_daily": 0}), "max_daily"),
        (json!({"max_daily": -1}), "max_daily"),
        (json!({"max_daily": 0.001}), "max_daily"),
        (
            json!({"max_per_transaction": 300000}),
            "max_per_transaction",
        ),
        (json!({"max_daily": 3000000}), "max_daily"),
        (json!({"currency": "dollars"}), "currency"),
        (json!({"agent_id": ""}), "agent_id"),
        (
            json!({"compliance_jurisdictions": ["US_FEDERAL", "ATLANTIS"]}),
            "compliance_jurisdictions",
        ),
        (
            json!({"approved_counterparties": "agent"}),
            "approved_counterparties",
        ),
    ] {
        refused_field(
            &desk.api().post("/policies", &with(treasury(), over)).await,
            field,
        );
    }
    assert_eq!(
        desk.app.sql_number("SELECT count(*) FROM policies").await,
        1
    );
    desk.app.stop().await;
}

#[tokio::test]
async fn a_decision_keeps_the_policy_as_it_was() {
    let desk = Desk::open().await;
    let paid = desk.pay(json!({})).await.expect_status(200);
    let id = desk
        .api()
        .get("/policies")
        .await
        .str("/policies/0/id")
        .to_owned();
    desk.api()
        .patch(
            &format!("/policies/{id}"),
            &json!({"max_per_transaction": 1}),
        )
        .await
        .expect_status(200);
    let snapshot = desk
        .app
        .sql_number(
            "SELECT (v.snapshot->>'max_per_transaction_minor')::bigint FROM transactions t JOIN policy_versions v ON v.id = t.policy_version_id",
        )
        .await;
    assert_eq!(snapshot, 1_000_000);
    let denied = desk.pay(json!({})).await.expect_status(200);
    assert_eq!(
        denied.json["authorization"]["reason_code"],
        "amount_exceeds_limit"
    );
    desk.api()
        .delete(&format!("/policies/{id}"))
        .await
        .expect_status(200);
    assert_eq!(
        desk.pay(json!({})).await.json["authorization"]["reason_code"],
        "no_policy"
    );
    desk.api()
        .get(&format!("/payments/{}", paid.str("/transaction_id")))
        .await
        .expect_status(200);
    desk.app.stop().await;
}

#[tokio::test]
async fn policies_are_bounded_in_size_and_number() {
    let desk = Desk::open().await;
    // 256 names of 253 bytes with quotes and comma, and three empty lists.
    let names =
        |count: usize| -> Vec<String> { (0..count).map(|i| format!("{i:0>253}")).collect() };
    let large = |count| json!({"policy_name": "Large", "agent_id": PAYER, "blocked_counterparties": names(count)});
    let api = desk.api();
    let refusal = api.post("/policies", &large(256)).await;
    refused_field(&refusal, "blocked_counterparties");
    let id = desk.app.policy(&desk.key, &large(255)).await;
    let path = format!("/policies/{id}");
    // The lists count together, and what is stored with what is changed.
    let more = json!({"allowed_categories": names(1)});
    refused_field(&api.patch(&path, &more).await, "blocked_counterparties");
    let fewer = json!({"blocked_counterparties": names(2), "allowed_categories": names(1)});
    api.patch(&path, &fewer).await.expect_status(200);

    let copies = |from: u32, to: u32, is_active: bool| {
        format!(
            "INSERT INTO policies (org_id, id, policy_name, agent_id, currency, approved_counterparties, blocked_counterparties, \
             allowed_categories, compliance_precheck, compliance_jurisdictions, is_active, created_at, updated_at, version_id) \
             SELECT org_id, 'pol_' || n, 'Copy ' || n, 'agent-' || n, currency, '{{}}', '{{}}', '{{}}', compliance_precheck, '{{}}', \
             {is_active}, created_at + n * interval '1 ms', updated_at, version_id \
             FROM policies, generate_series({from}, {to}) n WHERE id = '{id}'"
        )
    };
    desk.app.batch(&copies(1, 150, false)).await;
    desk.app.batch(&copies(1001, 1497, true)).await;
    let last = json!({"policy_name": "Last", "agent_id": "agent-last"});
    let last = desk.app.policy(&desk.key, &last).await;
    let next = json!({"policy_name": "Next", "agent_id": "agent-next"});
    let full = api.post("/policies", &next).await;
    refused(&full, 400, "bad_request");
    assert_eq!(full.json["detail"], "TOO_MANY_POLICIES");
    let listed = api.get("/policies").await.expect_status(200);
    let listed = listed.json["policies"].as_array().unwrap();
    let inactive = listed.iter().filter(|policy| policy["is_active"] == false);
    let inactive: Vec<_> = inactive
        .map(|policy| policy["policy_name"].clone())
        .collect();
    assert_eq!((listed.len(), inactive.len()), (600, 100));
    assert_eq!(
        json!([inactive[0], inactive[99]]),
        json!(["Copy 150", "Copy 51"])
    );
    // A deleted one makes room.
    let path = format!("/policies/{last}");
    api.delete(&path).await.expect_status(200);
    api.post("/policies", &next).await.expect_status(201);
    desk.app.stop().await;
}

#[tokio::test]
async fn other_organizations_policies_do_not_exist() {
    let desk = Desk::open().await;
    let id = desk
        .api()
        .get("/policies")
        .await
        .str("/policies/0/id")
        .to_owned();
    let stranger_org = desk.app.organization("Stranger").await;
    let stranger = desk
        .app
        .pulse()
        .bearer(&desk.app.payment_key(&stranger_org).await);
    assert_eq!(
        stranger.get("/policies").await.expect_status(200).json,
        json!({"policies": []})
    );
    refused(
        &stranger
            .patch(&format!("/policies/{id}"), &json!({"max_daily": null}))
            .await,
        404,
        "not_found",
    );
    refused(
        &stranger.delete(&format!("/policies/{id}")).await,
        404,
        "not_found",
    );
    assert_eq!(
        desk.api().get("/policies").await.json["policies"][0]["max_daily"],
        50_000.0
    );
    desk.app.stop().await;
}
