//! Backtests: what a policy would have decided on the payments of the past.

mod live;

use chrono::Duration;
use pulpo::clock::Clock;
use serde_json::{Value, json};

use super::{Desk, PAYEE, PAYER, refused, refused_field, start_of_time};
use crate::support::Reply;

impl Desk {
    async fn backtest(&self, body: Value) -> Reply {
        self.api().post("/policies/backtest", &body).await
    }
}

#[track_caller]
fn counts(reply: &Reply, of: &str) -> [Value; 4] {
    [
        "approved",
        "pending_human_review",
        "denied",
        "approved_volume",
    ]
    .map(|name| reply.json[of][name].clone())
}

#[tokio::test]
async fn a_policy_is_tried_on_what_was_requested() {
    let clock = Clock::fixed(start_of_time());
    let desk = Desk::open_at(&clock).await;
    // Approved, approved, waiting for a human, denied; another agent's is approved.
    for amount in [4000, 3000, 9500, 10_001] {
        desk.pay(json!({"amount": amount})).await.expect_status(200);
        clock.set(clock.now() + Duration::hours(1));
    }
    let other =
        json!({"requesting_agent_id": PAYEE, "counterparty_agent_id": PAYER, "amount": 500});
    desk.pay(other).await.expect_status(200);

    let same = json!({"policy": {"max_per_transaction": 10_000, "max_daily": 50_000, "require_human_above": 9000}});
    let reply = desk.backtest(same).await.expect(
        200,
        "{period_start period_end payments simulated{approved pending_human_review denied approved_volume} \
         actual{approved pending_human_review denied approved_volume} reasons[{reason_code count}] changed changes[] processing_time_ms}",
    );
    let actual = [json!(3), json!(1), json!(1), json!(7500.0)];
    assert_eq!(reply.json["payments"], 5);
    assert_eq!(counts(&reply, "actual"), actual);
    assert_eq!(counts(&reply, "simulated"), actual);
    assert_eq!(reply.json["changed"], 0);

    // 4,000 of PAYER pass, the next 3,000 would pass 6,000 a day, 9,500 wait for nobody and pass nothing, 500 are another's.
    let tight = json!({"policy": {"max_daily": 6000}});
    let reply = desk.backtest(tight).await.expect_status(200);
    let simulated = [json!(2), json!(0), json!(3), json!(4500.0)];
    assert_eq!(counts(&reply, "simulated"), simulated);
    assert_eq!(counts(&reply, "actual"), actual);
    let reasons = json!([{"reason_code": "daily_limit_exceeded", "count": 3}, {"reason_code": "policy_pass", "count": 2}]);
    assert_eq!(reply.json["reasons"], reasons);
    assert_eq!(reply.json["changed"], 2);
    let changes = reply.json["changes"].as_array().unwrap();
    let changed: Vec<_> = changes
        .iter()
        .map(|change| (&change["actual"], &change["simulated"]))
        .collect();
    assert_eq!(
        changed,
        [
            (&json!("approved"), &json!("denied")),
            (&json!("pending_human_review"), &json!("denied"))
        ]
    );
    assert_eq!(changes[0]["created_at"], "2026-04-14T13:00:00.000Z");

    // A payment before the period counts as it was decided.
    let late = json!({"policy": {"agent_id": PAYER, "max_daily": 6000}, "date_from": "2026-04-14T12:30:00Z"});
    let reply = desk.backtest(late).await.expect_status(200);
    assert_eq!(
        counts(&reply, "simulated"),
        [json!(0), json!(0), json!(3), json!(0.0)]
    );

    // Structuring is counted as it is for payments.
    let checked = json!({"policy": {"compliance_jurisdictions": ["US_FEDERAL"]}});
    let reply = desk.backtest(checked).await.expect_status(200);
    assert_eq!(
        counts(&reply, "simulated"),
        [json!(5), json!(0), json!(0), json!(27_001.0)]
    );

    // Nothing is written, and what could not be a policy cannot be tried.
    let written = "SELECT count(*) FROM policies";
    assert_eq!(desk.app.sql_number(written).await, 1);
    refused_field(
        &desk.backtest(json!({"policy": {"max_daily": 0}})).await,
        "max_daily",
    );
    let long = json!({"date_from": "2020-01-01", "date_to": "2026-01-01"});
    refused_field(&desk.backtest(long).await, "date_from");
    let stranger = desk.app.organization("Stranger").await;
    let key = desk.app.payment_key(&stranger).await;
    let theirs = desk
        .app
        .pulse()
        .bearer(&key)
        .post("/policies/backtest", &json!({}))
        .await;
    assert_eq!(theirs.expect_status(200).json["payments"], 0);
    desk.app.stop().await;
}

#[tokio::test]
async fn at_most_two_run_at_once() {
    let desk = Desk::open().await;
    desk.pay(json!({})).await.expect_status(200);
    let one = || desk.backtest(json!({}));
    let replies = [one(), one(), one(), one(), one(), one(), one(), one()];
    for reply in futures_util::future::join_all(replies).await {
        match reply.status {
            200 => assert_eq!(reply.json["payments"], 1),
            _ => refused(&reply, 503, "service_unavailable"),
        }
    }
    desk.app.stop().await;
}
