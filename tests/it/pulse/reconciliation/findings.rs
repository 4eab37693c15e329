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
