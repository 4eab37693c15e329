//! Release, refund, dispute and expiry at once: the row decides, and the money moves once.

use chrono::Duration;
use futures_util::future::join_all;
use pulpo::{clock::Clock, workers::Workers};
use serde_json::json;

use super::{super::Desk, BEFORE, start_of_time};
use crate::support::TestApp;

/// Every order of three verbs, started together, before and after the end of the escrow.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_all_that_race_one_moves_the_money() {
    const ORDERS: [[&str; 3]; 6] = [
        ["release", "refund", "dispute"],
        ["release", "dispute", "refund"],
        ["refund", "release", "dispute"],
        ["refund", "dispute", "release"],
        ["dispute", "release", "refund"],
        ["dispute", "refund", "release"],
    ];
    let clock = Clock::fixed(start_of_time());
    let app = TestApp::builder()
        .clock(&clock)
        .config(|config| config.rates.scale = 100)
        .start()
        .await;
    let desk = Desk::furnish(app).await;
    let mut paid = 0;
    for (round, order) in ORDERS.into_iter().chain(ORDERS).enumerate() {
        let id = desk.hold(json!({})).await;
        let is_over = round >= ORDERS.len();
        if is_over {
            clock.set(clock.now() + Duration::days(1));
        }
        let sweep = async {
            let workers = Workers::of_domains(&desk.app.app).unwrap();
            workers.jobs(&desk.app.app).drain().await.unwrap();
        };
        let calls = order.into_iter().chain(order);
        let calls = join_all(calls.map(|verb| desk.act(&id, verb, json!({}))));
        let (replies, ()) = tokio::join!(calls, sweep);
        let verbs = || order.into_iter().chain(order).zip(&replies);
        for (verb, reply) in verbs() {
            assert!(matches!(reply.status, 200 | 409), "{verb}: {}", reply.text);
        }
        let won = |of: &str| {
            verbs()
                .filter(|(verb, r)| *verb == of && r.status == 200)
                .count()
        };
        let (released, refunded, disputed) = (won("release"), won("refund"), won("dispute"));
        // Of release and refund exactly one; a dispute comes before them or not at all; after the end nothing.
        assert_eq!(released + refunded, usize::from(!is_over), "{order:?}");
        assert!(disputed <= usize::from(!is_over), "{order:?}");
        paid += released;
        let stands = desk.stands(&id).await;
        assert_eq!(
            stands[0],
            if released == 1 { "settled" } else { "refunded" }
        );
        let paid = paid as f64 * 2_500.0;
        let money = [BEFORE[0] - paid, 0.0, paid, BEFORE[3] + paid, paid];
        assert_eq!(desk.money().await, money, "{order:?}");
    }
    // The windows and the sums of the ledger agree with it.
    let wrong = "SELECT count(*) FROM wallets w WHERE (available_minor, held_minor) <> (SELECT \
         coalesce(sum(amount_minor) FILTER (WHERE account = 'wallet'), 0), \
         coalesce(sum(amount_minor) FILTER (WHERE account = 'held'), 0) FROM ledger_entries e \
         WHERE e.account_org_id = w.org_id AND e.wallet_id = w.id)";
    assert_eq!(desk.app.sql_number(wrong).await, 0);
    desk.app.stop().await;
}
