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

/// The bodies that `of` gives for the first numbers, all at once.
async fn pay_all(desk: &Desk, of: impl Fn(usize) -> serde_json::Value) -> Vec<Reply> {
    join_all((0..40).map(|place| desk.pay(of(place)))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_is_refused_gives_its_key_back_and_the_others_are_paid() {
    let desk = busy_desk().await;
    let is_good = |place: usize| place.is_multiple_of(2);
    let keyed = |place: usize, is_good: bool| {
        let org_id = (!is_good).then_some("org_unknown");
        json!({"idempotency_key": format!("key-{place}"), "amount": 1, "counterparty_org_id": org_id})
    };
    let first = pay_all(&desk, |place| keyed(place, is_good(place))).await;
    let again = pay_all(&desk, |place| keyed(place, is_good(place))).await;
    let better = pay_all(&desk, |place| keyed(place, true)).await;
    for place in 0..40 {
        let replies = [&first[place], &again[place], &better[place]];
        let statuses = replies.map(|reply| reply.status);
        if is_good(place) {
            assert_eq!(statuses, [200, 200, 200], "{}", first[place].text);
            assert_eq!(replies.map(|reply| &reply.text), [&first[place].text; 3]);
        } else {
            assert_eq!(statuses, [404, 404, 200], "{}", better[place].text);
        }
    }
    let count = "SELECT count(*) FROM transactions WHERE status = 'settled'";
    assert_eq!(desk.app.sql_number(count).await, 40);
    audit_finds_nothing(&desk).await;
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_the_database_refuses_of_one_costs_the_others_nothing() {
    let desk = busy_desk().await;
    let poison = "ALTER TABLE transactions ADD CONSTRAINT poisoned CHECK (description <> 'poison')";
    desk.app.sql(poison).await;
    let replies = pay_all(&desk, |place| {
        let description = if place % 10 == 7 { "poison" } else { "pure" };
        json!({"amount": 1, "description": description})
    })
    .await;
    for (place, reply) in replies.iter().enumerate() {
        let expected = if place % 10 == 7 { 500 } else { 200 };
        assert_eq!(reply.status, expected, "{}", reply.text);
    }
    let count = "SELECT count(*) FROM transactions WHERE status = 'settled'";
    assert_eq!(desk.app.sql_number(count).await, 36);
    audit_finds_nothing(&desk).await;
    desk.app.stop().await;
}

/// An amount as a JSON number with two decimals at most.
pub(super) fn dollars(minor: i64) -> serde_json::Value {
    serde_json::from_str(&format!("{}.{:02}", minor / 100, minor % 100)).unwrap()
}
