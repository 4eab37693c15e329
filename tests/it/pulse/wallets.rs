//! Payment routes 6 to 9: wallets.

use serde_json::{Value, json};

use super::{Desk, PAYER, is_instant, refused, refused_field};

const SUMMARY: &str = "{id agent_id currency available_balance held_balance lifetime_sent lifetime_received \
                       last_transaction_at is_active created_at}";
const WALLET: &str = "{id org_id agent_id currency available_balance held_balance lifetime_sent lifetime_received \
                      last_transaction_at is_active created_at updated_at}";

#[tokio::test]
async fn wallets_are_listed_and_shown_as_documented() {
    let desk = Desk::open().await;
    desk.app.wallet(&desk.org_id, PAYER, "EUR", 123).await;
    desk.app.wallet(&desk.org_id, "agent-empty", "USD", 0).await;
    desk.app
        .wallet(&desk.org_id, "agent-closed", "USD", 0)
        .await;
    desk.app
        .sql("UPDATE wallets SET is_active = false WHERE agent_id = 'agent-closed'")
        .await;
    desk.pay(json!({})).await.expect_status(200);

    let listed = desk
        .api()
        .get("/wallets")
        .await
        .expect(200, &format!("{{wallets[{SUMMARY}]}}"));
    let wallets = listed.json["wallets"].as_array().unwrap();
    let names: Vec<_> = wallets
        .iter()
        .map(|w| {
            (
                w["agent_id"].as_str().unwrap(),
                w["currency"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        (PAYER, "USD"),
        (super::PAYEE, "USD"),
        (PAYER, "EUR"),
        ("agent-empty", "USD"),
    ];
    assert_eq!(names, expected);
    assert!(listed.str("/wallets/0/id").starts_with("wal_"));
    assert!(listed.text.contains(r#""available_balance":47500.00,"held_balance":0.00,"lifetime_sent":2500.00,"lifetime_received":0.00"#));
    assert_eq!(wallets[3]["last_transaction_at"], Value::Null);
    assert_eq!(wallets[0]["is_active"], true);

    let one = desk
        .api()
        .get(&format!("/wallets/{PAYER}"))
        .await
        .expect(200, WALLET);
    assert_eq!(one.json["org_id"], desk.org_id);
    assert_eq!(one.json["lifetime_sent"], 2_500.0);
    for instant in ["/last_transaction_at", "/created_at", "/updated_at"] {
        is_instant(one.str(instant));
    }
    let euros = desk
        .api()
        .get(&format!("/wallets/{PAYER}?currency=EUR"))
        .await
        .expect(200, WALLET);
    assert!(
        euros.text.contains(r#""available_balance":1.23,"#),
        "{}",
        euros.text
    );
    refused(
        &desk
            .api()
            .get(&format!("/wallets/{PAYER}?currency=CHF"))
            .await,
        404,
        "not_found",
    );
    refused(
        &desk.api().get("/wallets/agent-nobody").await,
        404,
        "not_found",
    );
    refused_field(
        &desk
            .api()
            .get(&format!("/wallets/{PAYER}?currency=euro"))
            .await,
        "currency",
    );
    desk.app.stop().await;
}

#[tokio::test]
async fn funding_and_withdrawing_as_documented() {
    let desk = Desk::open().await;
    let path = format!("/wallets/{PAYER}");
    let funded = desk
        .api()
        .post(
            &format!("{path}/fund"),
            &json!({"amount": 10_000, "currency": "USD"}),
        )
        .await;
    let funded = funded.expect(200, "{funded agent_id amount new_balance}");
    assert_eq!(
        funded.text,
        r#"{"funded":true,"agent_id":"agent-treasury-ops","amount":10000.00,"new_balance":60000.00}"#
    );
    let withdrawn = desk
        .api()
        .post(&format!("{path}/withdraw"), &json!({"amount": 5000}))
        .await;
    let withdrawn = withdrawn.expect(200, "{withdrawn agent_id amount new_balance}");
    assert_eq!(
        withdrawn.text,
        r#"{"withdrawn":true,"agent_id":"agent-treasury-ops","amount":5000.00,"new_balance":55000.00}"#
    );

    for verb in ["fund", "withdraw"] {
        let path = format!("{path}/{verb}");
        for amount in [
            json!(0),
            json!(-5),
            json!(1.001),
            json!(null),
            json!("ten"),
            json!([]),
            json!(1e20),
        ] {
            refused_field(
                &desk.api().post(&path, &json!({"amount": amount})).await,
                "amount",
            );
        }
        refused_field(&desk.api().post(&path, &json!({})).await, "amount");
        refused_field(
            &desk
                .api()
                .post(&path, &json!({"amount": 1, "currency": "us"}))
                .await,
            "currency",
        );
        refused(
            &desk
                .api()
                .post(&path, &json!({"amount": 1, "currency": "EUR"}))
                .await,
            404,
            "not_found",
        );
        refused(
            &desk
                .api()
                .post(
                    &format!("/wallets/agent-nobody/{verb}"),
                    &json!({"amount": 1}),
                )
                .await,
            404,
            "not_found",
        );
    }
    refused(
        &desk
            .api()
            .post(&format!("{path}/withdraw"), &json!({"amount": 55_000.01}))
            .await,
        400,
        "bad_request",
    );
    assert_eq!(desk.available(PAYER).await, 55_000.0);
    // Money in and out is not a payment.
    let wallet = desk.api().get(&path).await.expect_status(200);
    assert_eq!(
        (
            &wallet.json["lifetime_sent"],
            &wallet.json["lifetime_received"]
        ),
        (&json!(0.0), &json!(0.0))
    );
    assert_eq!(desk.api().get("/payments").await.json["count"], 0);
    desk.app.stop().await;
}

#[tokio::test]
async fn other_organizations_wallets_do_not_exist() {
    let desk = Desk::open().await;
    let stranger_org = desk.app.organization("Stranger").await;
    let stranger = desk
        .app
        .pulse()
        .bearer(&desk.app.payment_key(&stranger_org).await);
    assert_eq!(
        stranger.get("/wallets").await.expect_status(200).json,
        json!({"wallets": []})
    );
    refused(
        &stranger.get(&format!("/wallets/{PAYER}")).await,
        404,
        "not_found",
    );
    for verb in ["fund", "withdraw"] {
        refused(
            &stranger
                .post(&format!("/wallets/{PAYER}/{verb}"), &json!({"amount": 1}))
                .await,
            404,
            "not_found",
        );
    }
    assert_eq!(desk.available(PAYER).await, 50_000.0);
    desk.app.stop().await;
}

#[tokio::test]
async fn wallets_are_created_empty_and_once() {
    let desk = Desk::open().await;
    let api = desk.api();
    let body = json!({"agent_id": "agent-new", "currency": "EUR", "available_balance": 100});
    let created = api.post("/wallets", &body).await.expect(
        201,
        "{id org_id agent_id currency available_balance held_balance lifetime_sent lifetime_received last_transaction_at \
         is_active created_at updated_at}",
    );
    // Money comes by funding only.
    assert_eq!(created.json["available_balance"], 0.0);
    let read = api.get("/wallets/agent-new?currency=EUR").await;
    assert_eq!(read.expect_status(200).json, created.json);
    refused(&api.post("/wallets", &body).await, 409, "conflict");
    let dollars = json!({"agent_id": "agent-new"});
    let created = api.post("/wallets", &dollars).await.expect_status(201);
    assert_eq!(created.json["currency"], "USD");
    let funded = api
        .post("/wallets/agent-new/fund", &json!({"amount": 5}))
        .await;
    assert_eq!(funded.expect_status(200).json["new_balance"], 5.0);
    refused_field(&api.post("/wallets", &json!({})).await, "agent_id");
    let lower = json!({"agent_id": "agent-x", "currency": "eur"});
    refused_field(&api.post("/wallets", &lower).await, "currency");
    desk.app.stop().await;
}

/// Nothing bounds how many there are, so a page is.
#[tokio::test]
async fn wallets_are_listed_in_pages() {
    let desk = Desk::open().await;
    let many = format!(
        "INSERT INTO wallets (org_id, id, agent_id, currency, created_at, updated_at) \
         SELECT '{}', 'wal_' || n, 'agent-' || n, 'USD', now() + n * interval '1 s', now() FROM generate_series(1, 999) n",
        desk.org_id
    );
    desk.app.sql(&many).await;
    let page = async |query: &str| {
        let listed = desk.api().get(&format!("/wallets{query}")).await;
        let listed = listed.expect_status(200).json;
        let wallets = listed["wallets"].as_array().unwrap();
        let last = wallets.last().map(|row| row["agent_id"].clone());
        (wallets.len(), last, listed.get("has_more").cloned())
    };
    let last = |agent: &str| Some(Value::from(agent));
    let more = Some(Value::Bool(true));
    assert_eq!(page("").await, (1000, last("agent-998"), more.clone()));
    assert_eq!(page("?limit=9000").await.0, 1000);
    assert_eq!(page("?offset=1000").await, (1, last("agent-999"), None));
    assert_eq!(page("?limit=2").await, (2, last(super::PAYEE), more));
    assert_eq!(page("?limit=2&offset=999").await.2, None);
    refused_field(&desk.api().get("/wallets?limit=0").await, "limit");
    refused_field(&desk.api().get("/wallets?offset=-1").await, "offset");
    desk.app.stop().await;
}
