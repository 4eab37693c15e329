//! The built-in agents: what they compute, against figures worked out by hand.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{
    super::{PAYEE, PAYER},
    Runs,
};

/// Records of three days: 10, then 20, then 60 and a price of 5, and what must not be counted.
async fn market() -> Runs {
    let runs = Runs::open().await;
    let api = runs.desk.api();
    let record = |id: &str, category: Value, data: Value| json!({"external_id": id, "category": category, "data": data});
    let of = |amount: Value| json!({"region": "Northeast", "amount": amount});
    let days = [
        vec![record("1", json!("retail"), of(json!(10)))],
        vec![record("2", json!("retail"), of(json!("20.00")))],
        vec![
            record("3", json!("retail"), of(json!(6e1))),
            record("4", Value::Null, json!({"region": "northeast", "price": 5})),
            record("5", json!("retail"), of(json!("much"))),
            record(
                "6",
                json!("retail"),
                json!({"region": "south", "amount": 1000}),
            ),
            record(
                "7",
                json!("retail"),
                json!({"region": "northeast", "amount": 7, "currency": "EUR"}),
            ),
            record("8", json!("retail"), json!({"amount": 1000})),
        ],
    ];
    for records in days {
        let body = json!({"source": "erp", "data_type": "prices", "records": records});
        api.post("/data/push", &body).await.expect_status(200);
        runs.pass(TimeDelta::days(1));
    }
    runs
}

#[tokio::test(flavor = "multi_thread")]
async fn the_market_analyzer_sums_up_by_category() {
    let runs = market().await;
    let output = runs
        .output(json!({"agent": "market-analyzer", "input": {"region": "northeast"}}))
        .await;
    // Days 0, 1, 2, 2 and 10, 20, 60, 5: the slope is 31.25 / 2.75.
    assert_eq!(
        output,
        json!({
            "currency": "USD", "records": 5, "measured": 4, "is_partial": false,
            "overall": {"count": 4, "sum": 95, "mean": 23.75, "median": 15, "min": 5, "max": 60,
                        "trend": {"slope_per_day": 11.3636, "direction": "rising"}},
            "categories": [
                {"category": "retail", "figures": {"count": 3, "sum": 90, "mean": 30, "median": 20, "min": 10, "max": 60,
                    "trend": {"slope_per_day": 25, "direction": "rising"}}},
                {"category": null, "figures": {"count": 1, "sum": 5, "mean": 5, "median": 5, "min": 5, "max": 5,
                    "trend": null}},
            ],
        })
    );
    let sums = async |input: Value| {
        let body = json!({"agent": "market-analyzer", "input": input});
        let output = runs.output(body).await;
        json!([
            output["records"],
            output["measured"],
            output["overall"]["sum"]
        ])
    };
    for (input, expected) in [
        (json!({}), json!([7, 6, 2095])),
        (json!({"currency": "EUR"}), json!([1, 1, 7])),
        (json!({"field": "price"}), json!([7, 1, 5])),
        (
            json!({"category": "retail", "region": "SOUTH"}),
            json!([1, 1, 1000]),
        ),
        (json!({"data_type": "orders"}), json!([0, 0, null])),
        (
            json!({"source": "erp", "date_to": "2026-04-15"}),
            json!([2, 2, 30]),
        ),
        (
            json!({"date_from": "2026-04-16", "region": "northeast"}),
            json!([3, 2, 65]),
        ),
    ] {
        assert_eq!(sums(input.clone()).await, expected, "{input}");
    }
    runs.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_whose_text_the_database_cannot_hold_are_not_measured() {
    let runs = Runs::open().await;
    // U+0000, half a pair, a whole pair, and a backslash before the letter u; REST refuses the first, gRPC does not.
    let texts = [r"\u0000", r"\ud83d", r"\ud83d\ude00", r"\\u0000"];
    for (i, text) in texts.iter().enumerate() {
        let org_id = &runs.desk.org_id;
        let insert = format!(
            "INSERT INTO data_records (org_id, id, source, data_type, external_id, data, created_at, updated_at) \
             VALUES ('{org_id}', 'dat_{i}', 'erp', 'x', '{i}', '{{\"text\":\"{text}\",\"amount\":1}}', now(), now())"
        );
        runs.desk.app.sql(&insert).await;
    }
    let output = runs.output(json!({"agent": "market-analyzer"})).await;
    assert_eq!(output["measured"], 2, "{output}");
    runs.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spend_analyzer_sums_up_payments() {
    let runs = Runs::open().await;
    for _ in 0..10 {
        runs.desk
            .pay(json!({"amount": 10}))
            .await
            .expect_status(200);
    }
    runs.pass(TimeDelta::days(1));
    let over = json!({"amount": 1000, "counterparty_agent_id": "agent-c", "category": "travel", "tx_type": "refund"});
    let large = runs.desk.pay(over).await.expect_status(200);
    runs.desk
        .pay(json!({"amount": 20_000}))
        .await
        .expect_status(200);
    let input = json!({"date_from": "2026-04-14", "date_to": "2026-04-15"});
    let output = runs
        .output(json!({"agent": "spend-analyzer", "input": input}))
        .await;
    let group = |name: &str, of: Value, count: u32, total: f64, share: f64| {
        let mut group = json!({name: of});
        let rest = json!({"count": count, "total": total, "share": share});
        group
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        group
    };
    let party = |agent: &str, count, total, share| {
        let mut group = group("counterparty_agent_id", json!(agent), count, total, share);
        group["counterparty_org_id"] = Value::Null;
        group
    };
    // Ten of 10 and one of 1,000: the mean is 100, the deviation √81,000, and 900 of it are 3.16 of them.
    assert_eq!(
        output,
        json!({
            "period": {"start": "2026-04-14T00:00:00.000Z", "end": "2026-04-16T00:00:00.000Z"},
            "currency": "USD", "payments": 12, "is_partial": false,
            "settled": {"count": 11, "total": 1100.0, "mean": 100.0},
            "by_counterparty": [party("agent-c", 1, 1000.0, 0.9091), party(PAYEE, 10, 100.0, 0.0909)],
            "by_category": [group("category", json!("travel"), 1, 1000.0, 0.9091),
                            group("category", json!("operations"), 10, 100.0, 0.0909)],
            "by_tx_type": [group("tx_type", json!("refund"), 1, 1000.0, 0.9091),
                           group("tx_type", json!("vendor_payment"), 10, 100.0, 0.0909)],
            "by_agent": [group("requesting_agent_id", json!(PAYER), 11, 1100.0, 1.0)],
            "concentration": {"top_share": 0.9091, "herfindahl": 0.8347, "counterparties": 2},
            "denials": {"count": 1, "by_reason": [{"reason_code": "amount_exceeds_limit", "count": 1}]},
            "daily": [{"date": "2026-04-14", "count": 10, "total": 100.0}, {"date": "2026-04-15", "count": 1, "total": 1000.0}],
            "trend": {"slope_per_day": 900, "direction": "rising"},
            "outliers": [{"transaction_id": large.json["transaction_id"], "requesting_agent_id": PAYER,
                "counterparty_agent_id": "agent-c", "amount": 1000.0, "sigmas": 3.16,
                "created_at": "2026-04-15T12:00:00.000Z"}],
        })
    );
    let of_payee = json!({"agent": "spend-analyzer", "input": {"agent_id": PAYEE}});
    let nothing = runs.output(of_payee).await;
    assert_eq!(
        json!([
            nothing["payments"],
            nothing["concentration"],
            nothing["outliers"]
        ]),
        json!([0, {"top_share": null, "herfindahl": null, "counterparties": 0}, []])
    );
    runs.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_compliance_scanner_finds_what_was_paid_without_a_precheck() {
    let runs = Runs::open().await;
    let mut last = Value::Null;
    for amount in [8600, 8700, 8800] {
        runs.pass(TimeDelta::hours(1));
        let paid = runs.desk.pay(json!({"amount": amount})).await;
        last = paid.expect_status(200).json["transaction_id"].clone();
    }
    runs.pass(TimeDelta::hours(30));
    // Alone within its window.
    runs.desk
        .pay(json!({"amount": 8900}))
        .await
        .expect_status(200);
    let blocked = runs
        .desk
        .pay(json!({"amount": 5, "counterparty_agent_id": "Suex OTC"}))
        .await;
    runs.desk
        .pay(json!({"amount": 20_000}))
        .await
        .expect_status(200);
    let body = json!({"agent": "compliance-scanner", "input": {"jurisdictions": ["US_FEDERAL"]}});
    let output = runs.output(body.clone()).await;
    let counts = [
        "scanned",
        "clear",
        "flagged",
        "blocked",
        "needs_human",
        "is_partial",
    ];
    assert_eq!(
        json!(counts.map(|name| output[name].clone())),
        json!([5, 3, 1, 1, 1, false])
    );
    assert_eq!(
        output["by_rule"],
        json!([{"rule": "sanctioned_party", "count": 1}, {"rule": "us_federal_structuring", "count": 1}])
    );
    assert_eq!(
        output["structuring"],
        json!([{"agent_id": PAYER, "currency": "USD", "rule": "us_federal_structuring", "flagged_payments": 1,
                "flagged_total": 8800.0, "first_at": "2026-04-14T15:00:00.000Z", "last_at": "2026-04-14T15:00:00.000Z"}])
    );
    let found = &output["findings"];
    assert_eq!(
        json!([
            found[0]["transaction_id"],
            found[0]["verdict"],
            found[1]["transaction_id"],
            found[1]["verdict"]
        ]),
        json!([blocked.json["transaction_id"], "blocked", last, "flagged"])
    );
    assert_eq!(
        found[1]["findings"][0]["detail"],
        "Several payments just below the reporting threshold: 3 payments just below $10,000 within 24 hours"
    );
    let earlier =
        json!({"jurisdictions": ["US_FEDERAL"], "date_to": "2026-04-14", "agent_id": PAYER});
    let earlier = runs
        .output(json!({"agent": "compliance-scanner", "input": earlier}))
        .await;
    assert_eq!(
        json!([earlier["scanned"], earlier["flagged"]]),
        json!([3, 1])
    );

    // Without jurisdictions those of the policies are meant.
    let policy = json!({"policy_name": "Checked", "agent_id": PAYEE, "compliance_jurisdictions": ["EU_GDPR"]});
    runs.desk.app.policy(&runs.desk.key, &policy).await;
    let output = runs.output(json!({"agent": "compliance-scanner"})).await;
    assert_eq!(
        json!([output["jurisdictions"], output["scanned"], output["clear"]]),
        json!([["EU_GDPR"], 5, 5])
    );
    runs.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_pushed_and_paid_is_not_looked_at() {
    let runs = market().await;
    runs.desk
        .pay(json!({"amount": 10}))
        .await
        .expect_status(200);
    let other = runs.desk.app.organization("Other").await;
    let stranger = runs
        .desk
        .app
        .pulse()
        .bearer(&runs.desk.app.payment_key(&other).await);
    for (agent, counted) in [
        ("market-analyzer", "records"),
        ("spend-analyzer", "payments"),
        ("compliance-scanner", "scanned"),
    ] {
        let input = match agent {
            "compliance-scanner" => json!({"jurisdictions": ["US_FEDERAL"]}),
            _ => json!({}),
        };
        let body = json!({"agent": agent, "input": input});
        let queued = stranger
            .post("/agents/trigger", &body)
            .await
            .expect_status(200);
        runs.work().await;
        let path = format!("/agents/status/{}", queued.str("/run_id"));
        let run = stranger.get(&path).await.expect_status(200);
        assert_eq!(run.json["output"][counted], 0, "{}", run.text);
    }
    runs.close().await;
}

/// Whatever became of a payment that was approved, it was one: the scanner counts as the precheck does.
#[tokio::test(flavor = "multi_thread")]
async fn payments_that_were_refunded_count_for_structuring() {
    let runs = Runs::open().await;
    let mut paid = Vec::new();
    for amount in [8600, 8700, 8800] {
        runs.pass(TimeDelta::hours(1));
        let over = json!({"amount": amount, "escrow_conditions": {}});
        let held = runs.desk.pay(over).await.expect_status(200);
        paid.push(held.str("/transaction_id").to_owned());
    }
    for id in &paid[..2] {
        let path = format!("/payments/{id}/refund");
        let refunded = runs.desk.api().post(&path, &json!({})).await;
        refunded.expect_status(200);
    }
    let body = json!({"agent": "compliance-scanner", "input": {"jurisdictions": ["US_FEDERAL"]}});
    let output = runs.output(body).await;
    assert_eq!(output["flagged"], 1, "{output}");
    assert_eq!(output["findings"][0]["transaction_id"], paid[2].as_str());
    runs.close().await;
}
