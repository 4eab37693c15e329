//! A backtest of the policy that was in force decides as the engine did, whatever humans answered and whatever came back.

use chrono::Duration;
use pulpo::clock::Clock;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::{
    super::{Desk, start_of_time, with},
    counts,
};
use crate::support::{Reply, TestApp, setting};

/// What the agents of a random history hold, in cents: always enough.
const OPENING_MINOR: i64 = 100_000_000;

async fn open(clock: &Clock, policy: &Value) -> Desk {
    let app = TestApp::builder()
        .clock(clock)
        .config(|config| config.rates.scale = 1_000);
    let desk = Desk::furnish(app.start().await).await;
    let default = desk.api().get("/policies").await;
    let path = format!("/policies/{}", default.str("/policies/0/id"));
    desk.api().patch(&path, policy).await.expect_status(200);
    desk
}

/// The reason codes as they are stored, the most frequent first, in the form of the answer.
async fn stored_reasons(desk: &Desk, of: &str) -> Value {
    let counted = format!(
        "SELECT reason_code::text, count(*) FROM transactions WHERE {of} GROUP BY reason_code ORDER BY count(*) DESC, reason_code"
    );
    let rows = desk.app.sql(&counted).await;
    let reason = |row: &tokio_postgres::Row| json!({"reason_code": row.get::<_, String>(0), "count": row.get::<_, i64>(1)});
    rows.iter().map(reason).collect()
}

#[track_caller]
fn nothing_changed(reply: &Reply) {
    assert_eq!(reply.json["changes"], json!([]), "{}", reply.text);
    assert_eq!(reply.json["changed"], 0);
    assert_eq!(counts(reply, "simulated"), counts(reply, "actual"));
}

#[tokio::test]
async fn answers_count_when_they_came_and_refunds_come_back() {
    let policy = json!({"max_per_transaction": null, "max_daily": 10_000, "max_monthly": null, "require_human_above": 3000});
    let clock = Clock::fixed(start_of_time());
    let desk = open(&clock, &policy).await;
    let at = |hours| clock.set(start_of_time() + Duration::hours(hours));
    let pay = async |hours, over: Value, status: &str| {
        at(hours);
        let reply = desk.pay(over).await.expect_status(200);
        assert_eq!(reply.str("/status"), status, "{hours}: {}", reply.text);
        reply.str("/transaction_id").to_owned()
    };
    let act = async |hours, id: &str, verb: &str| {
        at(hours);
        let path = format!("/payments/{id}/{verb}");
        desk.api().post(&path, &json!({})).await.expect_status(200);
    };
    let plain = |amount: i64| json!({"amount": amount});
    let approved = pay(0, plain(4000), "pending_human_review").await;
    let rejected = pay(1, plain(5000), "pending_human_review").await;
    act(20, &rejected, "reject").await;
    act(30, &approved, "approve").await;
    pay(31, plain(3000), "authorized").await;
    let held = json!({"amount": 3000, "escrow_conditions": {}});
    let held = pay(32, held, "escrow_held").await;
    // 10,000 are used, 4,000 of them since the approval and not since the request; then 3,000 come back.
    pay(41, plain(100), "denied").await;
    act(42, &held, "refund").await;
    pay(43, plain(3000), "authorized").await;
    pay(44, plain(100), "denied").await;
    at(48);

    let same = desk.backtest(json!({"policy": policy})).await;
    nothing_changed(&same.expect_status(200));
    // Without humans both are approved at once: 9,000 of the first day, of which nothing is left on the second.
    let without = json!({"policy": {"max_daily": 10_000}});
    let reply = desk.backtest(without).await.expect_status(200);
    let changes = reply.json["changes"].as_array().unwrap();
    let instants = changes.iter().map(|change| &change["created_at"]);
    let expected = [
        json!("2026-04-14T13:00:00.000Z"),
        json!("2026-04-16T05:00:00.000Z"),
        json!("2026-04-16T08:00:00.000Z"),
    ];
    assert!(instants.eq(&expected), "{}", reply.text);
    // At the end of the first day both wait for an answer.
    let early = json!({"policy": policy, "date_to": "2026-04-14"});
    let reply = desk.backtest(early).await.expect_status(200);
    nothing_changed(&reply);
    let waiting = [json!(0), json!(2), json!(0), json!(0.0)];
    assert_eq!(counts(&reply, "actual"), waiting);
    desk.app.stop().await;
}

/// Somebody who does something every few hours, for about six weeks.
struct History<'a> {
    desk: &'a Desk,
    clock: &'a Clock,
    random: StdRng,
    /// Payments that waited or were held when they were requested.
    open: Vec<String>,
}

impl History<'_> {
    async fn go_on(&mut self) {
        // No two things happen at the same instant. Now and then days pass, so that windows empty.
        let minutes = match self.random.random_range(0..20) {
            0 => self.random.random_range(2_000..=7_000),
            _ => self.random.random_range(1..=360),
        };
        self.clock
            .set(self.clock.now() + Duration::minutes(minutes));
        if self.open.is_empty() || self.random.random_bool(0.6) {
            return self.pay().await;
        }
        // Mostly of late, when it still counts in windows.
        let newest = self.open.len() - self.random.random_range(0..self.open.len().min(6));
        let id = &self.open[newest - 1];
        let path = format!("/payments/{id}");
        let verbs = [
            "approve", "approve", "reject", "refund", "refund", "refund", "release", "dispute",
        ];
        let reply = match self.random.random_range(0..=verbs.len()) {
            // Whoever looks lets time do what it does.
            0 => self.desk.api().get(&path).await,
            verb => {
                let path = format!("{path}/{}", verbs[verb - 1]);
                self.desk.api().post(&path, &json!({})).await
            }
        };
        assert!(
            matches!(reply.status, 200 | 400 | 409),
            "{path}: {}",
            reply.text
        );
    }

    async fn pay(&mut self) {
        let agent = format!("agent-{}", self.random.random_range(0..2));
        let mut over =
            json!({"requesting_agent_id": agent, "amount": self.random.random_range(50..=520)});
        let ends_at = self.clock.now() + Duration::hours(self.random.random_range(4..=60));
        match self.random.random_range(0..4) {
            0 | 2 => over["escrow_conditions"] = json!({"duration_minutes": 4000}),
            1 => over["escrow_conditions"] = json!({"expires_at": ends_at.to_rfc3339()}),
            _ => {}
        }
        let reply = self.desk.pay(over).await.expect_status(200);
        if ["pending_human_review", "escrow_held"].contains(&reply.str("/status")) {
            self.open.push(reply.str("/transaction_id").to_owned());
        }
    }
}

#[tokio::test]
async fn the_policy_in_force_decides_as_it_did() {
    const DEEDS: usize = 160;
    let seed = setting("PULPO_BACKTEST_SEED", rand::random());
    eprintln!("PULPO_BACKTEST_SEED={seed}");
    let policy = json!({"max_per_transaction": 500, "max_daily": 1000, "max_monthly": 6000, "require_human_above": 400});
    let clock = Clock::fixed(start_of_time());
    let desk = open(&clock, &policy).await;
    for agent in ["agent-0", "agent-1"] {
        desk.app
            .wallet(&desk.org_id, agent, "USD", OPENING_MINOR)
            .await;
    }
    let mut history = History {
        desk: &desk,
        clock: &clock,
        random: StdRng::seed_from_u64(seed),
        open: Vec::new(),
    };
    for _ in 0..DEEDS {
        history.go_on().await;
    }
    let from = start_of_time();
    let late = from + Duration::days(20);
    let with_agent = with(policy.clone(), json!({"agent_id": "agent-1"}));
    for (policy, from, of) in [
        (&policy, from, "true".to_owned()),
        (&policy, late, format!("created_at >= '{late}'")),
        (
            &with_agent,
            from,
            "requesting_agent_id = 'agent-1'".to_owned(),
        ),
    ] {
        let body = json!({"policy": policy, "date_from": from.to_rfc3339()});
        let reply = desk.backtest(body).await.expect_status(200);
        nothing_changed(&reply);
        assert_eq!(
            reply.json["reasons"],
            stored_reasons(&desk, &of).await,
            "{of}"
        );
        let reasons = reply.json["reasons"].as_array().unwrap().len();
        assert!(reasons >= 3, "a poor history: {}", reply.text);
    }
    desk.app.stop().await;
}
