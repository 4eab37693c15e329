//! Release, refund, dispute and expiry at once: the row decides, and the money moves once.

use chrono::Duration;
use futures_util::future::join_all;
use pulpo::{clock::Clock, workers::Workers};
use serde_json::json;

use super::{
    super::{Desk, concurrency::audit_finds_nothing},
    BEFORE, start_of_time,
};
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

/// What is done to an escrow at the instant of its end: by a program whose clock is just before it, and by another one,
/// whose clock says that it has come.
const VERBS: [&str; 3] = ["release", "refund", "dispute"];
const SWEEP: &str = "sweep";
const READ: &str = "read";

/// Each order of each verb with the sweep, the read or both, and each beginning with all of them.
fn orders() -> Vec<Vec<&'static str>> {
    let mut orders = Vec::new();
    for verb in VERBS {
        for (a, b) in [(SWEEP, READ), (READ, SWEEP)] {
            orders.push(vec![verb, a]);
            orders.push(vec![a, verb]);
            orders.push(vec![verb, a, b]);
            orders.push(vec![a, verb, b]);
            orders.push(vec![a, b, verb]);
        }
    }
    let all = [VERBS.as_slice(), &[SWEEP, READ]].concat();
    for first in 0..all.len() {
        let mut order = all.clone();
        order.rotate_left(first);
        orders.push(order);
    }
    orders
}

struct End {
    desk: Desk,
    /// A program whose clock is later.
    later: TestApp,
    clocks: [Clock; 2],
}

impl End {
    async fn open() -> Self {
        let clocks = [(), ()].map(|()| Clock::fixed(start_of_time()));
        let app = TestApp::builder()
            .clock(&clocks[0])
            .config(|config| config.rates.scale = 1_000);
        let desk = Desk::furnish(app.start().await).await;
        let later = desk.app.replica_at(&clocks[1]).await;
        let end = Self {
            desk,
            later,
            clocks,
        };
        // A schedule begins with the slot after it is first seen.
        end.sweep().await;
        end
    }

    /// An escrow whose end is now for one of the two.
    async fn hold(&self) -> String {
        let id = self.desk.hold(json!({"amount": 100})).await;
        let ends_at = self.clocks[0].now() + Duration::days(1);
        self.clocks[0].set(ends_at - Duration::microseconds(1));
        self.clocks[1].set(ends_at);
        id
    }

    async fn sweep(&self) {
        let workers = Workers::of_domains(&self.later.app).unwrap();
        workers.jobs(&self.later.app).drain().await.unwrap();
    }

    /// Whether it was done; what time does says nothing.
    async fn act(&self, id: &str, what: &str) -> bool {
        match what {
            SWEEP => self.sweep().await,
            READ => {
                let api = self.later.pulse().bearer(&self.desk.key);
                api.get(&format!("/payments/{id}")).await.expect_status(200);
            }
            verb => {
                let reply = self.desk.act(id, verb, json!({})).await;
                assert!(matches!(reply.status, 200 | 409), "{verb}: {}", reply.text);
                return reply.status == 200;
            }
        }
        false
    }

    /// What became of it, as the tables say without being read through a door: the escrow, its payment, and how often its
    /// money moved.
    async fn stored(&self, id: &str) -> (String, String, i64) {
        let stored = format!(
            "SELECT e.status, t.status::text, (SELECT count(*) FROM ledger_journals j WHERE j.transaction_id = t.id) \
             FROM escrows e JOIN transactions t ON t.org_id = e.org_id AND t.id = e.transaction_id WHERE t.id = '{id}'"
        );
        let rows = self.desk.app.sql(&stored).await;
        (rows[0].get(0), rows[0].get(1), rows[0].get(2))
    }

    /// One of the outcomes there are, and nothing of another one.
    async fn ended(&self, id: &str, order: &[&str], done: &[bool]) -> &'static str {
        let won = |verb: &str| {
            let acted = order.iter().zip(done);
            acted
                .filter(|(what, done)| **what == verb && **done)
                .count()
        };
        let (escrow, payment, moved) = self.stored(id).await;
        let events = self.desk.stands(id).await[2].clone();
        let disputed = won("dispute");
        let (outcome, expected) = match (won("release"), won("refund"), disputed) {
            (1, 0, 0) => ("released", json!(["escrow_released", "settled"])),
            (1, 0, 1) => (
                "released",
                json!(["disputed", "escrow_released", "settled"]),
            ),
            (0, 1, 0) => ("refunded", json!(["refunded"])),
            (0, 1, 1) => ("refunded", json!(["disputed", "refunded"])),
            (0, 0, 1) => ("disputed", json!(["disputed"])),
            (0, 0, 0) => ("expired", json!(["escrow_expired", "refunded"])),
            (released, refunded, _) => panic!("{order:?}: {released} and {refunded}"),
        };
        assert_eq!(events, expected, "{order:?}");
        let (escrow_is, payment_is, moves) = match outcome {
            "released" => ("released", "settled", 2),
            "disputed" => ("disputed", "disputed", 1),
            _ => ("refunded", "refunded", 2),
        };
        assert_eq!(
            (escrow.as_str(), payment.as_str(), moved),
            (escrow_is, payment_is, moves),
            "{order:?}"
        );
        outcome
    }
}

/// The row decides, not who thinks that its time has come: of expiry, by the sweep or by reading, and what callers do, one
/// happens, whatever comes first.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn at_the_instant_of_its_end_one_thing_becomes_of_an_escrow() {
    let at = End::open().await;
    let mut released = 0.0;
    for (order, is_raced) in orders()
        .into_iter()
        .flat_map(|order| [(order.clone(), false), (order, true)])
    {
        let id = at.hold().await;
        let mut done = Vec::new();
        if is_raced {
            done = join_all(order.iter().map(|what| at.act(&id, what))).await;
        } else {
            for what in &order {
                done.push(at.act(&id, what).await);
            }
        }
        let mut outcome = at.ended(&id, &order, &done).await;
        if !is_raced {
            // A dispute leaves the end to whoever comes next.
            let answers = order
                .iter()
                .skip(1)
                .filter(|what| ["release", "refund"].contains(what));
            let first = match (order[0], answers.copied().next()) {
                ("release", _) | ("dispute", Some("release")) => "released",
                ("refund", _) | ("dispute", Some("refund")) => "refunded",
                ("dispute", _) => "disputed",
                _ => "expired",
            };
            assert_eq!(outcome, first, "{order:?}");
        }
        if outcome == "disputed" {
            assert!(at.act(&id, "release").await);
            outcome = "released";
        }
        released += f64::from(u8::from(outcome == "released")) * 100.0;
        let money = [
            BEFORE[0] - released,
            0.0,
            released,
            BEFORE[3] + released,
            released,
        ];
        assert_eq!(at.desk.money().await, money, "{order:?}");
    }
    audit_finds_nothing(&at.desk).await;
    at.later.stop().await;
    at.desk.app.stop().await;
}
