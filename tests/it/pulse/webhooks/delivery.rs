//! What endpoints receive, in which order, and what is kept of it.

use chrono::TimeDelta;
use pulpo::{
    db::Conn,
    events::{self, NewEvent},
};
use serde_json::{Value, json};

use super::{
    super::{PAYEE, PAYER, demo_policy, is_id, is_instant, refused_field},
    Hooks, kinds,
};
use crate::support::shape;

const EVENTS: [&str; 8] = [
    "payment.authorized",
    "payment.denied",
    "payment.settled",
    "payment.failed",
    "payment.escrow_held",
    "payment.escrow_released",
    "payment.escrow_expired",
    "payment.disputed",
];

#[tokio::test]
async fn a_payment_is_delivered_signed_and_in_order() {
    let hooks = Hooks::open().await;
    let (id, secret) = hooks.register(&EVENTS).await;
    let transaction = hooks.pay().await;
    hooks.settle().await;
    let received = hooks.receiver.take();
    assert_eq!(kinds(&received), ["payment.authorized", "payment.settled"]);
    for one in &received {
        one.is_signed_with(&secret);
        assert_eq!(one.standard_signatures_of(&secret), 1);
        assert_eq!(one.path, "/hooks");
        assert_eq!(one.header("content-type"), "application/json");
        assert_eq!(
            one.header("x-pulse-timestamp"),
            hooks.clock.now().timestamp().to_string()
        );
        assert_eq!(one.header("x-pulse-retry-count"), "0");
        assert!(one.header("x-pulse-delivery-id").starts_with("dlv_"));
        assert_eq!(
            shape(&one.body).split(" data").next(),
            Some("{event event_id timestamp version")
        );
        let body = one.json();
        assert_eq!(body["event"], one.header("x-pulse-event"));
        assert_eq!(body["event_id"], one.header("webhook-id"));
        is_instant(body["timestamp"].as_str().unwrap());
        assert_eq!(body["version"], "2026-04-01");
        assert_eq!(body["data"]["transaction_id"], transaction);
        assert_eq!(body["data"]["requesting_agent_id"], PAYER);
        assert_eq!(body["data"]["counterparty_agent_id"], PAYEE);
        assert!(one.body.contains("\"amount\":1.00,"), "{}", one.body);
    }
    // The ids are those of the payment's own history.
    let history = hooks
        .desk
        .api()
        .get(&format!("/payments/{transaction}/events"))
        .await;
    let ids: Vec<_> = history.json["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["id"].clone())
        .collect();
    assert_eq!(
        received
            .iter()
            .map(|one| one.json()["event_id"].clone())
            .collect::<Vec<_>>(),
        ids
    );

    let path = format!("/webhooks/{id}/deliveries");
    let listed = hooks.desk.api().get(&path).await.expect(
        200,
        "{deliveries[{id event_type status attempts response_status duration_ms delivered_at created_at}]}",
    );
    let newest = &listed.json["deliveries"][0];
    assert_eq!(newest["id"], received[1].header("x-pulse-delivery-id"));
    is_id(newest["id"].as_str().unwrap(), "dlv_", 32);
    assert_eq!(
        (
            &newest["event_type"],
            &newest["status"],
            &newest["attempts"],
            &newest["response_status"]
        ),
        (
            &json!("payment.settled"),
            &json!("delivered"),
            &json!(1),
            &json!(200)
        )
    );
    hooks.close().await;
}

#[tokio::test]
async fn a_failure_is_delivered_after_its_authorization() {
    let hooks = Hooks::open().await;
    let (_, secret) = hooks.register(&EVENTS).await;
    let api = hooks.desk.api();
    let waits = hooks.desk.pay(json!({"amount": 9500})).await;
    let id = waits.expect_status(200).str("/transaction_id").to_owned();
    let withdraw = json!({"amount": 50_000});
    let path = format!("/wallets/{PAYER}/withdraw");
    api.post(&path, &withdraw).await.expect_status(200);
    let approved = api
        .post(&format!("/payments/{id}/approve"), &json!({}))
        .await;
    assert_eq!(approved.expect_status(200).json["status"], "failed");
    hooks.settle().await;
    let received = hooks.receiver.take();
    assert_eq!(kinds(&received), ["payment.authorized", "payment.failed"]);
    let failed = &received[1];
    failed.is_signed_with(&secret);
    let data = &failed.json()["data"];
    assert_eq!(
        (
            &data["transaction_id"],
            &data["reason_code"],
            &data["amount"]
        ),
        (&json!(id), &json!("insufficient_funds"), &json!(9500.0))
    );
    hooks.close().await;
}

#[tokio::test]
async fn a_denial_is_delivered_and_what_was_not_asked_for_is_not() {
    let hooks = Hooks::open().await;
    let (_, _) = hooks.register(&["payment.denied"]).await;
    hooks.pay().await;
    let denied = hooks.desk.pay(json!({"amount": 10_001})).await;
    assert_eq!(denied.json["status"], "denied");
    hooks.settle().await;
    let received = hooks.receiver.take();
    assert_eq!(kinds(&received), ["payment.denied"]);
    let data = received[0].json()["data"].clone();
    assert_eq!(data["reason_code"], "amount_exceeds_limit");
    assert_eq!(data["decision"], "denied");
    hooks.close().await;
}

#[tokio::test]
async fn the_receiving_organisation_hears_of_the_settlement() {
    let hooks = Hooks::open().await;
    let other = hooks.desk.app.organization("Other").await;
    let key = hooks.desk.app.payment_key(&other).await;
    let api = hooks.desk.app.pulse().bearer(&key);
    let body = json!({"url": hooks.receiver.url("/other"), "events": EVENTS});
    let secret = api
        .post("/webhooks", &body)
        .await
        .expect_status(201)
        .str("/secret")
        .to_owned();
    hooks.desk.app.policy(&key, &demo_policy()).await;
    hooks
        .desk
        .pay(json!({"amount": 1, "counterparty_org_id": other}))
        .await
        .expect_status(200);
    hooks.settle().await;
    let received = hooks.receiver.take();
    assert_eq!(kinds(&received), ["payment.settled"]);
    received[0].is_signed_with(&secret);
    assert_eq!(received[0].path, "/other");
    hooks.close().await;
}

#[tokio::test]
async fn every_documented_event_can_be_asked_for_and_is_delivered() {
    let hooks = Hooks::open().await;
    for event in EVENTS {
        hooks
            .register_with(
                json!({"events": [event], "url": hooks.receiver.url(&format!("/{event}"))}),
            )
            .await;
    }
    let now = hooks.clock.now();
    let new = |kind| NewEvent {
        org_id: hooks.desk.org_id.clone(),
        kind,
        subject: "txn_000000000000".to_owned(),
        payload: r#"{"event_data": {}}"#.to_owned(),
    };
    let all: Vec<_> = EVENTS
        .into_iter()
        .chain(["payment.refunded"])
        .map(new)
        .collect();
    let written = hooks
        .desk
        .app
        .app
        .db
        .transaction("test", async |conn: &mut Conn| {
            Ok(events::append(conn, &all, now).await?)
        });
    written.await.unwrap();
    hooks.settle().await;
    let received = hooks.receiver.take();
    let mut paths: Vec<_> = received
        .iter()
        .map(|one| one.path.trim_start_matches('/'))
        .collect();
    paths.sort_unstable();
    let mut wanted = EVENTS;
    wanted.sort_unstable();
    assert_eq!(paths, wanted);
    for one in &received {
        assert_eq!(
            one.path.trim_start_matches('/'),
            one.header("x-pulse-event")
        );
    }
    hooks.close().await;
}

#[tokio::test]
async fn what_happened_before_the_registration_is_not_delivered() {
    let hooks = Hooks::open().await;
    hooks.pay().await;
    hooks.pass(TimeDelta::seconds(1));
    hooks.register(&EVENTS).await;
    hooks.settle().await;
    assert!(hooks.receiver.take().is_empty());
    hooks.close().await;
}

#[tokio::test]
async fn a_test_is_sent_at_once_whatever_comes_of_it() {
    let hooks = Hooks::open().await;
    let (id, secret) = hooks.register(&["payment.denied"]).await;
    let path = format!("/webhooks/{id}/test");
    let test = || async { hooks.desk.api().post(&path, &json!({})).await };
    let reply = test()
        .await
        .expect(200, "{delivered delivery_id response_status duration_ms}");
    assert_eq!(
        (&reply.json["delivered"], &reply.json["response_status"]),
        (&json!(true), &json!(200))
    );
    let received = hooks.receiver.take();
    assert_eq!(kinds(&received), ["test"]);
    received[0].is_signed_with(&secret);
    assert_eq!(
        received[0].header("x-pulse-delivery-id"),
        reply.str("/delivery_id")
    );
    assert_eq!(received[0].json()["event"], "test");

    hooks.receiver.answer_with(&[500]);
    let reply = test().await.expect_status(200);
    assert_eq!(
        (&reply.json["delivered"], &reply.json["response_status"]),
        (&json!(false), &json!(500))
    );
    // Nobody listens there.
    hooks
        .desk
        .api()
        .patch(
            &format!("/webhooks/{id}"),
            &json!({"url": "http://127.0.0.1:9/", "status": "disabled"}),
        )
        .await;
    let reply = test().await.expect_status(200);
    assert_eq!(
        (&reply.json["delivered"], &reply.json["response_status"]),
        (&json!(false), &Value::Null)
    );
    // It is not repeated, and counts for nothing.
    hooks.pass(TimeDelta::days(9));
    hooks.settle().await;
    assert_eq!(hooks.receiver.take().len(), 1);
    assert_eq!(hooks.endpoint(&id).await["failure_count"], 0);
    let deliveries = hooks.deliveries(&id).await;
    let statuses: Vec<_> = deliveries
        .iter()
        .map(|one| one["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["failed", "failed", "delivered"]);
    hooks.close().await;
}

#[tokio::test]
async fn request_and_response_are_kept_within_bounds() {
    let hooks = Hooks::open().await;
    let (id, _) = hooks.register(&["payment.settled"]).await;
    hooks.receiver.text(&"é".repeat(100_000));
    hooks.pay().await;
    hooks.settle().await;
    let received = hooks.receiver.take().remove(0);
    let delivery = hooks.deliveries(&id).await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/webhooks/{id}/deliveries/{delivery}");
    let detail = hooks.desk.api().get(&path).await.expect_status(200);
    let body = detail.str("/response_body");
    assert!(
        body.len() <= 4096 && body.len() > 4000 && body.starts_with('é'),
        "{}",
        body.len()
    );
    assert_eq!(detail.json["request_body"], received.json());
    let headers = &detail.json["request_headers"];
    assert_eq!(
        headers["x-pulse-signature"],
        received.header("x-pulse-signature")
    );
    assert_eq!(detail.json["last_error"], Value::Null);
    is_instant(detail.str("/delivered_at"));
    hooks.close().await;
}

#[tokio::test]
async fn the_history_is_paged() {
    let hooks = Hooks::open().await;
    let (id, _) = hooks.register(&["payment.settled"]).await;
    let org_id = &hooks.desk.org_id;
    hooks.desk.app.sql(&format!(
        "INSERT INTO deliveries (org_id, endpoint_id, id, api, event_id, event_type, ordering_key, body, status, due_at, created_at)
         SELECT '{org_id}', '{id}', 'dlv_' || lpad(i::text, 32, '0'), 'pay', 'evt_' || i, 'payment.settled', 'k', '{{}}',
         'failed', now(), now() FROM generate_series(1, 250) AS i"
    )).await;
    let api = hooks.desk.api();
    for (query, count) in [
        ("", 50),
        ("?limit=3", 3),
        ("?limit=200", 200),
        ("?limit=1000", 200),
    ] {
        let reply = api
            .get(&format!("/webhooks/{id}/deliveries{query}"))
            .await
            .expect_status(200);
        let rows = reply.json["deliveries"].as_array().unwrap();
        assert_eq!(rows.len(), count, "{query}");
        assert_eq!(rows[0]["id"], format!("dlv_{:032}", 250));
    }
    for query in ["?limit=0", "?limit=-1", "?limit=x"] {
        refused_field(
            &api.get(&format!("/webhooks/{id}/deliveries{query}")).await,
            "limit",
        );
    }
    // With the endpoint goes its history.
    api.delete(&format!("/webhooks/{id}"))
        .await
        .expect_status(200);
    assert_eq!(
        hooks
            .desk
            .app
            .sql_number("SELECT count(*) FROM deliveries")
            .await,
        0
    );
    hooks.close().await;
}
