//! Repeating a payment, a funding or a withdrawal under its key.

use chrono::{Duration, Utc};
use futures_util::future::join_all;
use pulpo::clock::Clock;
use serde_json::{Value, json};

use super::{Desk, PAYER, invoice, refused, refused_field, with};

#[tokio::test]
async fn a_repetition_gets_the_first_answer_byte_for_byte() {
    let clock = Clock::fixed(Utc::now());
    let desk = Desk::open_at(&clock).await;
    let keyed = desk.api().header("idempotency-key", "order-1");
    let first = keyed
        .post("/payments/request", &invoice())
        .await
        .expect_status(200);
    // Later, spelled differently, and with the key in the body: still the same request.
    clock.set(clock.now() + Duration::hours(23));
    let again = keyed
        .send(
            reqwest::Method::POST,
            "/payments/request",
            Some(respelled()),
        )
        .await
        .expect_status(200);
    assert_eq!(again.text, first.text);
    let in_body = desk
        .pay(json!({"idempotency_key": "order-1"}))
        .await
        .expect_status(200);
    assert_eq!(in_body.text, first.text);
    // Of two keys that of the header counts.
    let other = with(invoice(), json!({"idempotency_key": "order-2"}));
    let both = keyed.post("/payments/request", &other).await;
    assert_eq!(both.expect_status(200).text, first.text);
    assert_eq!(desk.available(PAYER).await, 47_500.0);

    refused(
        &keyed
            .post(
                "/payments/request",
                &with(invoice(), json!({"amount": 2500.01})),
            )
            .await,
        409,
        "conflict",
    );
    refused(
        &desk
            .pay(json!({"idempotency_key": "order-1", "tx_type": "other"}))
            .await,
        409,
        "conflict",
    );
    refused_field(
        &desk.pay(json!({"idempotency_key": "x".repeat(256)})).await,
        "idempotency_key",
    );
    assert_eq!(
        desk.app
            .sql_number("SELECT count(*) FROM transactions")
            .await,
        1
    );

    // A denial is an answer like any other; another organisation's keys are others; after 24 hours a key is free.
    let denied = desk
        .pay(json!({"idempotency_key": "order-2", "amount": 20_000}))
        .await
        .expect_status(200);
    assert_eq!(
        desk.pay(json!({"idempotency_key": "order-2", "amount": 20_000}))
            .await
            .text,
        denied.text
    );
    let other_org = desk.app.organization("Other").await;
    let other = desk
        .app
        .pulse()
        .bearer(&desk.app.payment_key(&other_org).await)
        .header("idempotency-key", "order-1");
    assert_ne!(
        other
            .post("/payments/request", &invoice())
            .await
            .expect_status(200)
            .text,
        first.text
    );
    clock.set(clock.now() + Duration::hours(1));
    assert_ne!(
        keyed
            .post("/payments/request", &invoice())
            .await
            .expect_status(200)
            .text,
        first.text
    );
    desk.app.stop().await;
}

/// The document's payment with its members in another order and its amount in another notation.
fn respelled() -> Vec<u8> {
    let Value::Object(members) = invoice() else {
        unreachable!("an object")
    };
    let body: Vec<String> = members
        .iter()
        .rev()
        .map(|(name, value)| {
            if name == "amount" {
                r#""amount" : 2.5e3"#.to_owned()
            } else {
                format!("\"{name}\" : {value}")
            }
        })
        .collect();
    format!("{{ {} }}", body.join(" , ")).into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_concurrent_duplicates_have_one_effect() {
    let desk = Desk::open().await;
    let replies = join_all((0..20).map(|_| desk.pay(json!({"idempotency_key": "once"})))).await;
    for reply in &replies {
        assert_eq!((reply.status, &reply.text), (200, &replies[0].text));
    }
    let keyed = desk.api().header("Idempotency-Key", "fund-once");
    let funded = join_all((0..20).map(|_| {
        let keyed = keyed.clone();
        async move {
            keyed
                .post("/wallets/agent-treasury-ops/fund", &json!({"amount": 100}))
                .await
        }
    }))
    .await;
    for reply in &funded {
        assert_eq!((reply.status, &reply.text), (200, &funded[0].text));
    }
    assert_eq!(desk.available(PAYER).await, 47_600.0);
    assert_eq!(
        desk.app
            .sql_number("SELECT count(*) FROM transactions")
            .await,
        1
    );
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_twenty_different_requests_under_one_key_one_wins() {
    let desk = Desk::open().await;
    let requests =
        (1..=20).map(|amount| desk.pay(json!({"idempotency_key": "contended", "amount": amount})));
    let replies = join_all(requests).await;
    let won: Vec<_> = replies.iter().filter(|reply| reply.status == 200).collect();
    assert_eq!(won.len(), 1);
    for lost in replies.iter().filter(|reply| reply.status != 200) {
        refused(lost, 409, "conflict");
    }
    let stored = desk
        .app
        .sql_number("SELECT count(*) FROM transactions")
        .await;
    assert_eq!(stored, 1);
    desk.app.stop().await;
}

#[tokio::test]
async fn funding_and_withdrawing_repeat_under_their_own_keys() {
    let desk = Desk::open().await;
    let keyed = desk.api().header("idempotency-key", "same");
    for verb in ["fund", "withdraw"] {
        let path = format!("/wallets/{PAYER}/{verb}");
        let first = keyed
            .post(&path, &json!({"amount": 10}))
            .await
            .expect_status(200);
        assert_eq!(
            keyed
                .post(&path, &json!({"amount": 10.00, "currency": "USD"}))
                .await
                .text,
            first.text
        );
        refused(
            &keyed.post(&path, &json!({"amount": 11})).await,
            409,
            "conflict",
        );
        refused(
            &keyed
                .post(&path.replace(PAYER, super::PAYEE), &json!({"amount": 10}))
                .await,
            409,
            "conflict",
        );
    }
    assert_eq!(desk.available(PAYER).await, 50_000.0);
    desk.app.stop().await;
}
