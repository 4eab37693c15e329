//! Which policy binds a payment, and how its limits count.

use chrono::{DateTime, Duration, Utc};
use futures_util::future::join_all;
use pulpo::clock::Clock;
use serde_json::json;

use super::{Desk, PAYEE, PAYER};

const DENIED: &str =
    "{transaction_id status authorization{decision reason_code reason_detail processing_time_ms}}";
const APPROVED: &str = "{transaction_id status authorization{decision reason_code compliance_status processing_time_ms} settlement{settled_at}}";

#[tokio::test]
async fn policies_are_found_from_the_agent_to_the_organization_and_limits_are_inclusive() {
    let desk = Desk::open().await;
    // Another organisation without a policy.
    let bare = desk.app.organization("Bare").await;
    let bare_key = desk.app.payment_key(&bare).await;
    desk.app.wallet(&bare, PAYER, "USD", 100_000).await;
    let bare_api = desk.app.pulse().bearer(&bare_key);
    let reply = bare_api
        .post("/payments/request", &super::invoice())
        .await
        .expect(200, DENIED);
    assert_eq!(reply.json["authorization"]["reason_code"], "no_policy");

    // The policy of the agent replaces the default as a whole: its absent limits are no limits.
    desk.pay(json!({"amount": 10_000.01}))
        .await
        .expect(200, DENIED);
    desk.app
        .policy(
            &desk.key,
            &json!({"policy_name": "Treasury", "agent_id": PAYER, "max_per_transaction": 20_000}),
        )
        .await;
    desk.pay(json!({"amount": 20_000}))
        .await
        .expect(200, APPROVED);
    desk.pay(json!({"amount": 20_000.01}))
        .await
        .expect(200, DENIED);

    // No wallet in the currency, and no wallet at all.
    desk.app
        .policy(
            &desk.key,
            &json!({"policy_name": "Poor", "agent_id": "agent-poor"}),
        )
        .await;
    let reply = desk
        .pay(json!({"requesting_agent_id": "agent-poor"}))
        .await
        .expect(200, DENIED);
    assert_eq!(
        reply.json["authorization"]["reason_code"],
        "insufficient_funds"
    );

    // A payment to the outside needs no counterparty; one to a new agent creates its wallet.
    desk.pay(json!({"counterparty_agent_id": null, "amount": 1}))
        .await
        .expect(200, APPROVED);
    desk.pay(json!({"counterparty_agent_id": "agent-new", "amount": 12.34}))
        .await
        .expect(200, APPROVED);
    assert_eq!(desk.available("agent-new").await, 12.34);
    desk.app.stop().await;
}

#[tokio::test]
async fn windows_roll() {
    let start: DateTime<Utc> = "2026-04-14T12:00:00Z".parse().unwrap();
    let clock = Clock::fixed(start);
    let desk = Desk::open_at(&clock).await;
    let pay = async |minutes: i64, milliseconds: i64, amount: f64| {
        clock.set(start + Duration::minutes(minutes) + Duration::milliseconds(milliseconds));
        let reply = desk
            .pay(json!({"requesting_agent_id": "agent-w", "amount": amount}))
            .await
            .expect_status(200);
        reply.json["authorization"]["reason_code"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    desk.app
        .wallet(&desk.org_id, "agent-w", "USD", 10_000_000)
        .await;
    let policy =
        json!({"policy_name": "W", "agent_id": "agent-w", "max_daily": 100, "max_monthly": 150});
    desk.app.policy(&desk.key, &policy).await;

    let day = 24 * 60;
    assert_eq!(pay(0, 0, 60.0).await, "policy_pass");
    assert_eq!(pay(60, 0, 40.0).await, "policy_pass");
    assert_eq!(pay(60, 0, 0.01).await, "daily_limit_exceeded");
    // Calendar days play no part: midnight changes nothing.
    assert_eq!(pay(13 * 60, 0, 0.01).await, "daily_limit_exceeded");
    assert_eq!(pay(day, -1, 0.01).await, "daily_limit_exceeded");
    // The start of the window is exclusive: at exactly 24 hours the first payment is out.
    assert_eq!(pay(day, 0, 60.01).await, "daily_limit_exceeded");
    assert_eq!(pay(day, 0, 50.0).await, "policy_pass");
    // 150 in 30 days are spent.
    assert_eq!(pay(3 * day, 0, 0.01).await, "monthly_limit_exceeded");
    assert_eq!(pay(30 * day, -1, 0.01).await, "monthly_limit_exceeded");
    assert_eq!(pay(30 * day, 0, 60.01).await, "monthly_limit_exceeded");
    assert_eq!(pay(30 * day, 0, 60.0).await, "policy_pass");

    // What is printed comes from the same clock.
    let newest = desk
        .api()
        .get("/payments?agent_id=agent-w&status=settled&limit=1")
        .await
        .expect_status(200);
    assert_eq!(
        newest.json["transactions"][0]["settled_at"],
        "2026-05-14T12:00:00.000Z"
    );
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_limit_holds_under_fifty_concurrent_requests() {
    let desk = Desk::open().await;
    desk.app
        .policy(
            &desk.key,
            &json!({"policy_name": "Tight", "agent_id": PAYER, "max_daily": 1000}),
        )
        .await;
    // 33 times 30 are 990; the 34th would be 1,020.
    let replies = join_all((0..50).map(|_| desk.pay(json!({"amount": 30})))).await;
    let mut counts = std::collections::BTreeMap::<String, u32>::new();
    for reply in replies {
        assert_eq!(reply.status, 200, "{}", reply.text);
        *counts
            .entry(reply.str("/authorization/reason_code").to_owned())
            .or_default() += 1;
    }
    let expected = [
        ("daily_limit_exceeded".to_owned(), 17),
        ("policy_pass".to_owned(), 33),
    ];
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(desk.available(PAYER).await, 49_010.0);
    assert_eq!(desk.available(PAYEE).await, 1_990.0);
    let stored = desk
        .app
        .sql_number("SELECT sum(amount_minor)::bigint FROM transactions WHERE status = 'settled'")
        .await;
    assert_eq!(stored, 99_000);
    desk.app.stop().await;
}
