//! Limits and keys under many requests at the same time, round after round: `PULPO_LIMIT_ROUNDS` says how many (20).

use futures_util::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;

use super::{Desk, PAYER};
use crate::support::{Reply, TestApp, setting};

/// How many rounds a test makes.
pub(super) fn rounds() -> u64 {
    setting("PULPO_LIMIT_ROUNDS", 20)
}

/// An organisation whose requests are not counted out.
pub(super) async fn busy_desk() -> Desk {
    let app = TestApp::builder().config(|config| config.rates.scale = 10_000);
    Desk::furnish(app.start().await).await
}

/// How many were approved; the others were over the day's limit.
#[track_caller]
pub(super) fn approved(replies: &[Reply]) -> usize {
    let passed = replies.iter().filter(|reply| {
        assert_eq!(reply.status, 200, "{}", reply.text);
        let reason = reply.str("/authorization/reason_code");
        assert!(
            ["policy_pass", "daily_limit_exceeded"].contains(&reason),
            "{}",
            reply.text
        );
        reason == "policy_pass"
    });
    passed.count()
}

/// Nothing in the ledger contradicts anything.
pub(super) async fn audit_finds_nothing(desk: &Desk) {
    let audit = pulpo::pay::audit::verify(&desk.app.app.db, None)
        .await
        .unwrap();
    assert_eq!(audit.fault_count(), 0, "{audit:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_requests_at_once_exactly_those_that_fit_are_approved() {
    const REQUESTS: usize = 50;
    let seed = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let desk = busy_desk().await;
    for round in 0..rounds() {
        let agent = format!("agent-round-{round}");
        let fitting = random.random_range(1..REQUESTS);
        let amount_minor = random.random_range(100..=10_000_i64);
        // What is left of the limit is less than one payment.
        let limit_minor =
            i64::try_from(fitting).unwrap() * amount_minor + random.random_range(0..amount_minor);
        desk.app
            .wallet(&desk.org_id, &agent, "USD", 100_000_000)
            .await;
        let policy =
            json!({"policy_name": agent, "agent_id": agent, "max_daily": dollars(limit_minor)});
        desk.app.policy(&desk.key, &policy).await;
        let payment = json!({"requesting_agent_id": agent, "amount": dollars(amount_minor)});
        let replies = join_all((0..REQUESTS).map(|_| desk.pay(payment.clone()))).await;
        assert_eq!(approved(&replies), fitting, "round {round}");
        let spent = format!(
            "SELECT coalesce(sum(amount_minor), 0)::bigint FROM transactions \
             WHERE requesting_agent_id = '{agent}' AND status = 'settled'"
        );
        let spent_minor = desk.app.sql_number(&spent).await;
        assert!(spent_minor <= limit_minor, "round {round}");
        assert_eq!(spent_minor, i64::try_from(fitting).unwrap() * amount_minor);
    }
    audit_finds_nothing(&desk).await;
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_duplicates_at_once_are_one_payment() {
    let desk = busy_desk().await;
    for round in 0..rounds().div_ceil(10) {
        let keyed = json!({"idempotency_key": format!("round-{round}"), "amount": 1});
        let replies = join_all((0..100).map(|_| desk.pay(keyed.clone()))).await;
        for reply in &replies {
            assert_eq!((reply.status, &reply.text), (200, &replies[0].text));
        }
        let paid = i64::try_from(round + 1).unwrap();
        for table in ["transactions", "ledger_journals WHERE kind = 'payment'"] {
            let count = format!("SELECT count(*) FROM {table}");
            assert_eq!(desk.app.sql_number(&count).await, paid, "{table}");
        }
    }
    let paid = u32::try_from(rounds().div_ceil(10)).unwrap();
    assert_eq!(desk.available(PAYER).await, 50_000.0 - f64::from(paid));
    audit_finds_nothing(&desk).await;
    desk.app.stop().await;
}

/// An amount as a JSON number with two decimals at most.
pub(super) fn dollars(minor: i64) -> serde_json::Value {
    serde_json::from_str(&format!("{}.{:02}", minor / 100, minor % 100)).unwrap()
}
