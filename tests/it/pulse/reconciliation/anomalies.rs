//! What a report holds to be unusual, with figures worked out by hand.

use chrono::TimeDelta;
use pulpo::clock::Clock;
use serde_json::{Value, json};

use super::{Desk, start_of_time};
use crate::pulse::PAYEE;

/// Everything of the anomalies but their sentences.
fn anomalies(report: &Value) -> Vec<Value> {
    let anomalies = report["anomalies"].as_array().unwrap();
    anomalies
        .iter()
        .map(|a| {
            json!([
                a["type"],
                a["severity"],
                a["subject"],
                a["currency"],
                a["count"],
                a["amount"],
                a["measure"]
            ])
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn anomalies_are_named_with_what_was_measured() {
    let clock = Clock::fixed(start_of_time());
    let desk = Desk::open_at(&clock).await;
    let other = desk.app.organization("Other").await;
    let pay = async |over: Value| {
        let reply = desk.pay(over).await.expect_status(200);
        assert!(
            matches!(reply.str("/status"), "authorized" | "escrow_held"),
            "{}",
            reply.text
        );
        reply.str("/transaction_id").to_owned()
    };
    // Three of the thirty days before have 300 each: a mean of 30, a standard deviation of 90.
    for days in [10, 8, 6] {
        clock.set(start_of_time() - TimeDelta::days(days));
        pay(json!({"counterparty_agent_id": null, "amount": 300})).await;
    }
    clock.set(start_of_time());
    // 1,200 in four payments: (1,200 - 30) / 90 is 13; 600 of 1,200 to one agent; one of four disputed.
    pay(json!({"amount": 600})).await;
    pay(json!({"counterparty_agent_id": null, "amount": 300, "category": "travel"})).await;
    pay(json!({"counterparty_agent_id": "agent-x", "counterparty_org_id": other, "amount": 100}))
        .await;
    let held =
        pay(json!({"counterparty_agent_id": "agent-d", "amount": 200, "escrow_conditions": {}}))
            .await;
    desk.api()
        .post(&format!("/payments/{held}/dispute"), &json!({}))
        .await
        .expect_status(200);
    let id = desk.trigger(json!({})).await;
    desk.work().await;
    let report = desk.report(&id).await;
    assert_eq!(
        anomalies(&report),
        [
            json!(["dispute_rate", "critical", desk.org_id, null, 1, null, 0.25]),
            json!(["concentration", "low", PAYEE, "USD", 1, 600.0, 0.5]),
            json!([
                "velocity",
                "high",
                "2026-04-13T12:00:00.001Z",
                "USD",
                4,
                1200.0,
                13.0
            ]),
            json!(["cross_organization", "low", other, "USD", 1, 100.0, null]),
            json!(["new_category", "low", "travel", null, 1, null, null]),
        ]
    );
    assert_eq!(
        json!([report["anomaly_count"], report["ledger_fault_count"]]),
        json!([5, 0])
    );

    // The first day on its own has nothing before it: no velocity, and the outside is no counterparty.
    let quiet = desk
        .trigger(json!({"period_start": "2026-04-04", "period_end": "2026-04-04"}))
        .await;
    desk.work().await;
    assert_eq!(
        anomalies(&desk.report(&quiet).await),
        [json!([
            "new_category",
            "low",
            "operations",
            null,
            1,
            null,
            null
        ])]
    );

    // Money that nothing explains is critical, and named first.
    desk.app
        .sql(&format!(
            "UPDATE wallets SET available_minor = available_minor + 1 WHERE agent_id = '{PAYEE}'"
        ))
        .await;
    let id = desk.trigger(json!({})).await;
    desk.work().await;
    let report = desk.report(&id).await;
    assert_eq!(
        json!([report["anomaly_count"], report["ledger_fault_count"]]),
        json!([7, 2])
    );
    let wallet: String = desk
        .app
        .sql(&format!(
            "SELECT id FROM wallets WHERE agent_id = '{PAYEE}'"
        ))
        .await[0]
        .get(0);
    let ledger = &anomalies(&report)[..2];
    assert_eq!(
        ledger,
        [
            json!(["ledger", "critical", wallet, null, 0, null, null]),
            json!(["ledger", "critical", "USD", null, 0, null, null]),
        ]
    );
    assert!(
        report["anomalies"][0]["detail"]
            .as_str()
            .unwrap()
            .starts_with("wallet_balances: ")
    );
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_at_a_limit_is_no_anomaly() {
    let clock = Clock::fixed(start_of_time());
    let desk = Desk::open_at(&clock).await;
    for days in [10, 8, 6] {
        clock.set(start_of_time() - TimeDelta::days(days));
        desk.pay(json!({"counterparty_agent_id": null, "amount": 300}))
            .await
            .expect_status(200);
    }
    clock.set(start_of_time());
    // 210 is 30 + 2 × 90; 84 of 210 is 40 %; one of twenty is 5 %.
    desk.pay(json!({"amount": 84})).await.expect_status(200);
    let held = desk
        .pay(json!({"counterparty_agent_id": "agent-d", "amount": 1, "escrow_conditions": {}}))
        .await;
    let path = format!("/payments/{}/dispute", held.str("/transaction_id"));
    desk.api().post(&path, &json!({})).await.expect_status(200);
    desk.pay(json!({"counterparty_agent_id": null, "amount": 108}))
        .await
        .expect_status(200);
    for _ in 0..17 {
        desk.pay(json!({"counterparty_agent_id": null, "amount": 1}))
            .await
            .expect_status(200);
    }
    let at = desk.trigger(json!({})).await;
    desk.work().await;
    let report = desk.report(&at).await;
    assert_eq!(report["report"]["total_volume"], 210.0);
    assert_eq!(anomalies(&report), Vec::<Value>::new());
    // One cent more.
    desk.pay(json!({"amount": 0.01})).await.expect_status(200);
    let above = desk.trigger(json!({})).await;
    desk.work().await;
    let report = desk.report(&above).await;
    assert_eq!(
        anomalies(&report),
        [
            json!(["concentration", "low", PAYEE, "USD", 2, 84.01, 0.4]),
            json!([
                "velocity",
                "low",
                "2026-04-13T12:00:00.001Z",
                "USD",
                21,
                210.01,
                2.0001
            ]),
        ]
    );
    desk.app.stop().await;
}
