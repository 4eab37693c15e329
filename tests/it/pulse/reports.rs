//! Reports on the precheck and on money.

use pulpo::identity::keys::{KeyKind, NewKey};
use serde_json::{Value, json};

use super::{Desk, PAYEE, compliance::checked, refused, refused_field};
use crate::support::new_key;

#[tokio::test(flavor = "multi_thread")]
async fn the_report_counts_and_shows_the_checks() {
    let desk = checked(&["US_FEDERAL", "EU_GDPR"]).await;
    let empty = desk.api().get("/reports/compliance").await.expect(
        200,
        "{period{start end} scanned clear flagged blocked needs_human avg_processing_time_ms confidence top_findings[] \
         jurisdiction_coverage[] predictions[] count limit}",
    );
    assert_eq!(
        (&empty.json["scanned"], &empty.json["confidence"]),
        (&json!(0), &Value::Null)
    );
    desk.pay(json!({"amount": 1})).await;
    let flagged = desk.pay(json!({"amount": 10000})).await;
    desk.pay(json!({"counterparty_agent_id": "Suex OTC", "amount": 1}))
        .await;
    let last = desk
        .pay(json!({"counterparty_agent_id": "my-suex-otc", "amount": 10000, "description": "for ada@example.com"}))
        .await;
    let report = desk.api().get("/reports/compliance").await.expect(
        200,
        "{period{start end} scanned clear flagged blocked needs_human avg_processing_time_ms confidence{min avg max} \
         top_findings[{rule count}] jurisdiction_coverage[{jurisdiction scanned flagged blocked}] \
         predictions[{id transaction_id agent_id jurisdictions[] verdict confidence needs_human \
         findings[{rule jurisdiction effect confidence detail}] rules_version processing_time_ms created_at}|{id \
         transaction_id agent_id jurisdictions[] verdict confidence needs_human findings[] rules_version \
         processing_time_ms created_at}] count limit}",
    );
    let json = &report.json;
    let counts = [
        "scanned",
        "clear",
        "flagged",
        "blocked",
        "needs_human",
        "count",
    ];
    assert_eq!(
        counts.map(|name| json[name].clone()),
        [4, 1, 2, 1, 1, 4].map(|n| json!(n))
    );
    assert_eq!(
        json["confidence"],
        json!({"min": 0.75, "avg": 0.935, "max": 1.00})
    );
    assert_eq!(
        json["top_findings"],
        json!([
            {"rule": "sanctioned_party", "count": 2},
            {"rule": "us_federal_large_payment", "count": 2},
            {"rule": "eu_gdpr_personal_data", "count": 1},
        ])
    );
    assert_eq!(
        json["jurisdiction_coverage"][1],
        json!({"jurisdiction": "US_FEDERAL", "scanned": 4, "flagged": 2, "blocked": 1})
    );
    let newest = &json["predictions"][0];
    assert_eq!(newest["transaction_id"], last.json["transaction_id"]);
    assert_eq!(newest["findings"].as_array().unwrap().len(), 3);
    assert_eq!(
        json["predictions"][2]["transaction_id"],
        flagged.json["transaction_id"]
    );
    let one = desk.api().get("/reports/compliance?limit=1").await;
    assert_eq!(
        (&one.json["count"], &one.json["scanned"]),
        (&json!(1), &json!(4))
    );
    refused_field(
        &desk
            .api()
            .get("/reports/compliance?date_from=2026-04-02&date_to=2026-04-01")
            .await,
        "date_from",
    );

    // Another organisation's, another agent's and a key without the permission.
    let other = desk.app.organization("Other").await;
    let stranger = desk.app.pulse().bearer(&desk.app.payment_key(&other).await);
    assert_eq!(stranger.get("/reports/compliance").await.json["scanned"], 0);
    let bound = NewKey {
        allowed_agents: vec![PAYEE.to_owned()],
        ..new_key(&desk.org_id, KeyKind::Payment, &["reports:read"])
    };
    let bound = desk.app.pulse().bearer(&desk.app.key(bound).await);
    assert_eq!(bound.get("/reports/compliance").await.json["scanned"], 0);
    refused(&bound.get("/reports/financial").await, 403, "forbidden");
    let reader = desk
        .app
        .payment_key_with(&desk.org_id, &["data:read"])
        .await;
    let reader = desk.app.pulse().bearer(&reader);
    refused(&reader.get("/reports/compliance").await, 403, "forbidden");
    refused(&reader.get("/reports/financial").await, 403, "forbidden");
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_financial_report_sums_up_and_rolls_up() {
    let desk = Desk::open().await;
    desk.pay(json!({"amount": 100.50})).await.expect_status(200);
    desk.pay(json!({"amount": 20000})).await.expect_status(200);
    let records = json!({"source": "erp", "data_type": "invoices", "records": [
        {"external_id": "1", "data": {"amount": 5000}},
        {"external_id": "2", "data": {"amount": "-0.50"}},
        {"external_id": "3", "data": {"amount": 7, "currency": "EUR"}},
        {"external_id": "4", "data": {"note": "without an amount"}},
    ]});
    desk.api()
        .post("/data/push", &records)
        .await
        .expect_status(200);
    let report = desk.api().get("/reports/financial").await.expect(
        200,
        "{period{start end} currency records[{id source data_type external_id category data{amount} created_at updated_at}] \
         count limit offset totals{record_count record_amount total_volume transaction_count approval_rate compliance_flags \
         avg_settlement_ms total_wallet_balance} roll_up}",
    );
    assert_eq!(
        report.json["totals"],
        json!({"record_count": 2, "record_amount": 4999.50, "total_volume": 100.50, "transaction_count": 2,
               "approval_rate": 0.5, "compliance_flags": 0, "avg_settlement_ms": 0, "total_wallet_balance": 51_000.00})
    );
    assert_eq!(report.json["roll_up"], Value::Null);
    let euros = desk.api().get("/reports/financial?currency=EUR").await;
    assert_eq!(
        (&euros.json["count"], &euros.json["totals"]["record_amount"]),
        (&json!(1), &json!(7.0))
    );
    assert_eq!(euros.json["totals"]["approval_rate"], Value::Null);
    refused_field(
        &desk.api().get("/reports/financial?currency=euro").await,
        "currency",
    );

    // A parent sees aggregates of the organisations right below it; these see nothing of it.
    let parent = desk.app.organization("Holding").await;
    let parent_key = desk.app.payment_key(&parent).await;
    let idle = desk.app.organization("Idle").await;
    for child in [&desk.org_id, &idle] {
        desk.app
            .sql(&format!(
                "UPDATE organizations SET parent_id = '{parent}' WHERE id = '{child}'"
            ))
            .await;
    }
    let rolled = desk
        .app
        .pulse()
        .bearer(&parent_key)
        .get("/reports/financial")
        .await
        .expect_status(200);
    assert_eq!(rolled.json["totals"]["transaction_count"], 0);
    assert_eq!(rolled.json["count"], 0);
    let roll_up = &rolled.json["roll_up"];
    assert_eq!(
        roll_up["child_orgs"],
        json!([
            {"org_id": desk.org_id, "org_name": "Acme Payments", "total_volume": 100.50, "transaction_count": 2,
             "approval_rate": 0.5, "compliance_flags": 0, "avg_settlement_ms": 0, "total_wallet_balance": 51_000.00},
            {"org_id": idle, "org_name": "Idle", "total_volume": 0.00, "transaction_count": 0,
             "approval_rate": null, "compliance_flags": 0, "avg_settlement_ms": null, "total_wallet_balance": 0.00},
        ])
    );
    assert_eq!(
        roll_up["fund_totals"],
        json!({"total_volume": 100.50, "transaction_count": 2, "approval_rate": 0.5, "compliance_flags": 0,
               "avg_settlement_ms": 0, "total_wallet_balance": 51_000.00})
    );
    assert_eq!(roll_up["period"], rolled.json["period"]);
    let child = desk.api().get("/reports/financial").await;
    assert_eq!(child.json["roll_up"], Value::Null);
    desk.app.stop().await;
}
