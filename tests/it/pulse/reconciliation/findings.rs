//! What a report finds, with figures worked out by hand.

use chrono::TimeDelta;
use pulpo::clock::Clock;
use serde_json::{Value, json};

use super::{Desk, start_of_time};
use crate::pulse::PAYEE;

const DETAIL: &str = "{report{id report_period_start report_period_end total_transactions matched_count unmatched_count \
     discrepancy_count total_volume status created_at} cause currency volumes[{currency count amount}] \
     unmatched_payment_count unmatched_record_count anomaly_count ledger_fault_count failure ended_at \
     matched[{reason transaction_id record_id reference_id amount currency record_amount record_currency occurred_at}] \
     unmatched[{reason transaction_id record_id reference_id amount currency record_amount record_currency occurred_at}] \
     discrepancies[{reason transaction_id record_id reference_id amount currency record_amount record_currency occurred_at}] \
     anomalies[{type severity subject currency count amount measure detail}] items_max limit offset}";

/// Reason, reference, amount and the record's amount of each item.
fn items(list: &Value) -> Vec<Value> {
    let items = list.as_array().unwrap();
    items
        .iter()
        .map(|item| {
            json!([
                item["reason"],
                item["reference_id"],
                item["amount"],
                item["record_amount"]
            ])
        })
        .collect()
}

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
async fn payments_are_held_against_the_records_of_their_reference() {
    let clock = Clock::fixed(start_of_time());
    let desk = Desk::open_at(&clock).await;
    // Pushed long before it was paid, which makes no difference.
    clock.set(start_of_time() - TimeDelta::days(100));
    desk.push("INV-A", json!({"amount": 100})).await;
    clock.set(start_of_time());
    for (external_id, data) in [
        ("INV-B", json!({"amount": "100.00"})),
        ("INV-C", json!({"amount": 100})),
        ("INV-D", json!({"amount": 100, "currency": "EUR"})),
        ("INV-E", json!({"note": "by hand"})),
        ("INV-F", json!({"amount": 50})),
        ("INV-G", json!({"note": "never an amount"})),
        ("INV-H", json!({"amount": 7, "currency": "EUR"})),
    ] {
        desk.push(external_id, data).await;
    }
    // Of several records of one reference the one that fits best counts.
    let shop = json!({"source": "shop", "data_type": "orders", "records": [{"external_id": "INV-H", "data": {"amount": 9}}]});
    desk.api()
        .post("/data/push", &shop)
        .await
        .expect_status(200);
    for (reference_id, amount) in [
        ("INV-A", 100.00),
        ("INV-B", 110.00),
        ("INV-C", 110.01),
        ("INV-D", 100.00),
        ("INV-E", 100.00),
        ("INV-H", 9.00),
        ("INV-X", 7.00),
    ] {
        let reply = desk
            .pay(json!({"reference_id": reference_id, "amount": amount}))
            .await;
        assert_eq!(reply.expect_status(200).json["status"], "authorized");
    }
    desk.pay(json!({"reference_id": null, "amount": 5}))
        .await
        .expect_status(200);
    // Denied: no payment, so its record has none.
    let denied = desk
        .pay(json!({"reference_id": "INV-F", "amount": 20000}))
        .await;
    assert_eq!(denied.expect_status(200).json["status"], "denied");
    // Of another period.
    clock.set(start_of_time() - TimeDelta::days(2));
    desk.pay(json!({"reference_id": "INV-Y", "amount": 1}))
        .await
        .expect_status(200);
    clock.set(start_of_time());

    let id = desk.trigger(json!({})).await;
    desk.work().await;
    let detail = desk
        .api()
        .get(&format!("/reconciliation/{id}"))
        .await
        .expect(200, DETAIL)
        .json;
    let report = &detail["report"];
    assert_eq!(
        json!([
            report["status"],
            report["total_transactions"],
            report["matched_count"],
            report["unmatched_count"],
            report["discrepancy_count"],
            report["total_volume"]
        ]),
        json!(["completed", 8, 4, 3, 2, 541.01])
    );
    assert_eq!(
        json!([
            detail["cause"],
            detail["currency"],
            detail["volumes"],
            detail["unmatched_payment_count"],
            detail["unmatched_record_count"],
            detail["ledger_fault_count"],
            detail["failure"],
            detail["items_max"]
        ]),
        json!(["trigger", "USD", [{"currency": "USD", "count": 8, "amount": 541.01}], 2, 1, 0, null, 10000])
    );
    assert_eq!(
        items(&detail["matched"]),
        [
            json!(["agrees", "INV-A", 100.0, 100.0]),
            json!(["agrees", "INV-B", 110.0, 100.0]),
            json!(["no_amount", "INV-E", 100.0, null]),
            json!(["agrees", "INV-H", 9.0, 9.0]),
        ]
    );
    assert_eq!(
        items(&detail["unmatched"]),
        [
            json!(["payment_without_record", "INV-X", 7.0, null]),
            json!(["payment_without_record", null, 5.0, null]),
            json!(["record_without_payment", "INV-F", null, 50.0]),
        ]
    );
    assert_eq!(
        items(&detail["discrepancies"]),
        [
            json!(["amount_differs", "INV-C", 110.01, 100.0]),
            json!(["currency_differs", "INV-D", 100.0, 100.0]),
        ]
    );
    let page = desk
        .api()
        .get(&format!("/reconciliation/{id}?limit=1&offset=1"))
        .await
        .expect_status(200)
        .json;
    for list in ["matched", "unmatched", "discrepancies", "anomalies"] {
        let second = detail[list]
            .as_array()
            .unwrap()
            .get(1)
            .into_iter()
            .cloned()
            .collect();
        assert_eq!(page[list], Value::Array(second), "{list}");
    }
    assert_eq!(page["report"], detail["report"]);

    // What it says was true then; a new record changes nothing in it.
    desk.push("INV-X", json!({"amount": 7})).await;
    assert_eq!(desk.report(&id).await, detail);
    let again = desk.trigger(json!({})).await;
    desk.work().await;
    assert_eq!(desk.report(&again).await["report"]["matched_count"], 5);
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn held_payments_count_refunded_ones_do_not_and_received_ones_pay_records() {
    let desk = Desk::open().await;
    let escrow = json!({"duration_minutes": 60});
    let held = desk
        .pay(json!({"reference_id": "H", "amount": 10, "escrow_conditions": escrow}))
        .await;
    assert_eq!(held.expect_status(200).json["status"], "escrow_held");
    let back = desk
        .pay(json!({"reference_id": "R", "amount": 10, "escrow_conditions": escrow}))
        .await;
    let path = format!("/payments/{}/refund", back.str("/transaction_id"));
    desk.api().post(&path, &json!({})).await.expect_status(200);
    for external_id in ["H", "R"] {
        desk.push(external_id, json!({"amount": 10})).await;
    }
    // Another organisation pays an invoice of this one.
    let other = desk.app.organization("Other").await;
    desk.app.wallet(&other, "agent-o", "USD", 10_000).await;
    let key = desk.app.payment_key(&other).await;
    desk.app.policy(&key, &json!({"policy_name": "All"})).await;
    let body = json!({"requesting_agent_id": "agent-o", "counterparty_agent_id": PAYEE, "counterparty_org_id": desk.org_id,
                      "amount": 10, "tx_type": "t", "reference_id": "SALE"});
    let paid = desk
        .app
        .pulse()
        .bearer(&key)
        .post("/payments/request", &body)
        .await;
    assert_eq!(paid.expect_status(200).json["status"], "authorized");
    desk.push("SALE", json!({"amount": 10})).await;

    let id = desk.trigger(json!({})).await;
    desk.work().await;
    let report = desk.report(&id).await;
    assert_eq!(
        items(&report["matched"]),
        [json!(["agrees", "H", 10.0, 10.0])]
    );
    assert_eq!(
        items(&report["unmatched"]),
        [json!(["record_without_payment", "R", null, 10.0])]
    );
    assert_eq!(report["report"]["total_transactions"], 1);
    desk.app.stop().await;
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
