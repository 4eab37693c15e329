//! Two programs on one database: what holds for one holds for both together. Every second request goes through the other's
//! doors.

mod processes;
mod requests;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{
    Desk, PAYEE, PAYER,
    concurrency::{approved, audit_finds_nothing, busy_desk, rounds},
    demo_policy, invoice, with,
};
use crate::support::{Client, Reply, TestApp};

struct Pair {
    desk: Desk,
    other: TestApp,
}

impl Pair {
    async fn open() -> Self {
        let desk = busy_desk().await;
        let other = desk.app.replica().await;
        Self { desk, other }
    }

    /// Requests this many payments at once with these fields over the document's, by turns through both doors.
    async fn pay(&self, count: usize, over: &Value) -> Vec<Reply> {
        let key = &self.desk.key;
        join_all((0..count).map(|number| self.request(number, key, over.clone()))).await
    }

    async fn request(&self, number: usize, key: &str, over: Value) -> Reply {
        let body = with(invoice(), over);
        self.door(number, key)
            .post("/payments/request", &body)
            .await
    }

    fn door(&self, number: usize, key: &str) -> Client {
        let app = if number.is_multiple_of(2) {
            &self.desk.app
        } else {
            &self.other
        };
        app.pulse().bearer(key)
    }

    /// Stops both, when the ledger holds.
    async fn close(self) {
        audit_finds_nothing(&self.desk).await;
        self.other.stop().await;
        self.desk.app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_limit_holds_through_both_doors() {
    let pair = Pair::open().await;
    for round in 0..rounds() {
        let agent = format!("agent-round-{round}");
        let app = &pair.desk.app;
        app.wallet(&pair.desk.org_id, &agent, "USD", 1_000_000)
            .await;
        // 33 times 30 are 990; the 34th would be 1,020.
        let policy = json!({"policy_name": agent, "agent_id": agent, "max_daily": 1000});
        app.policy(&pair.desk.key, &policy).await;
        let payment = json!({"requesting_agent_id": agent, "amount": 30});
        let replies = pair.pay(50, &payment).await;
        assert_eq!(approved(&replies), 33, "round {round}");
        assert_eq!(pair.desk.available(&agent).await, 9_010.0);
    }
    pair.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_key_has_one_effect_through_both_doors() {
    let pair = Pair::open().await;
    for round in 0..rounds() {
        let keyed = json!({"idempotency_key": format!("round-{round}"), "amount": 1});
        let replies = pair.pay(20, &keyed).await;
        for reply in &replies {
            assert_eq!((reply.status, &reply.text), (200, &replies[0].text));
        }
        let stored = "SELECT count(*) FROM transactions";
        let count = pair.desk.app.sql_number(stored).await;
        assert_eq!(count, i64::try_from(round + 1).unwrap());
    }
    pair.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn first_payments_to_a_payee_through_both_doors_open_one_wallet() {
    let pair = Pair::open().await;
    for round in 0..rounds() {
        let payee = format!("agent-new-{round}");
        let payment = json!({"counterparty_agent_id": payee, "amount": 1});
        let replies = pair.pay(10, &payment).await;
        assert_eq!(approved(&replies), 10);
        let wallets = format!("SELECT count(*) FROM wallets WHERE agent_id = '{payee}'");
        assert_eq!(pair.desk.app.sql_number(&wallets).await, 1);
        assert_eq!(pair.desk.available(&payee).await, 10.0);
    }
    pair.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_organisations_pay_each_other_through_both_doors() {
    const EACH_WAY: usize = 20;
    let pair = Pair::open().await;
    let app = &pair.desk.app;
    let other_org_id = app.organization("Other").await;
    let other_key = app.payment_key(&other_org_id).await;
    for agent in [PAYER, PAYEE] {
        app.wallet(&other_org_id, agent, "USD", 1_000_000).await;
    }
    app.policy(&other_key, &demo_policy()).await;
    // Whoever pays here is paid there, so that the wallets of both are wanted in both orders.
    let over = json!({"amount": 1, "requesting_agent_id": PAYER, "counterparty_agent_id": PAYER});
    let to_other = with(over.clone(), json!({"counterparty_org_id": other_org_id}));
    let back = with(over, json!({"counterparty_org_id": pair.desk.org_id}));
    for round in 0..rounds() {
        let payments = (0..2 * EACH_WAY).map(|number| {
            // By fours, so that both go through both doors.
            let (key, over) = if number % 4 < 2 {
                (&pair.desk.key, &to_other)
            } else {
                (&other_key, &back)
            };
            pair.request(number, key, over.clone())
        });
        let replies = join_all(payments).await;
        assert_eq!(approved(&replies), 2 * EACH_WAY, "round {round}");
    }
    let each_minor = i64::try_from(EACH_WAY).unwrap() * i64::try_from(rounds()).unwrap() * 100;
    let rows = app
        .sql(
            "SELECT available_minor, lifetime_sent_minor, lifetime_received_minor FROM wallets \
              WHERE agent_id = 'agent-treasury-ops' ORDER BY available_minor",
        )
        .await;
    let found: Vec<[i64; 3]> = rows
        .iter()
        .map(|row| [row.get(0), row.get(1), row.get(2)])
        .collect();
    assert_eq!(
        found,
        [
            [1_000_000, each_minor, each_minor],
            [5_000_000, each_minor, each_minor]
        ]
    );
    pair.close().await;
}

/// Policies are remembered as long as none changes; wherever one does, both doors decide by it at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_changed_policy_decides_at_both_doors() {
    let pair = Pair::open().await;
    let app = &pair.desk.app;
    let parent_id = app.organization("Parent").await;
    let parent_key = app.payment_key(&parent_id).await;
    app.sql(&format!(
        "UPDATE policies SET is_active = false WHERE org_id = '{}'",
        pair.desk.org_id
    ))
    .await;
    // Twice each, so that what decided is remembered.
    let decided = async |reason: &str, after: &str| {
        for number in 0..4 {
            let reply = pair
                .request(number, &pair.desk.key, json!({"amount": 50}))
                .await;
            assert_eq!(
                reply.json["authorization"]["reason_code"], reason,
                "{after}, {number}"
            );
        }
    };
    decided("no_policy", "without a policy").await;
    for round in 0..rounds() {
        let own = json!({"policy_name": "Own", "agent_id": PAYER, "max_per_transaction": 40});
        let door = pair.door(usize::try_from(round).unwrap(), &pair.desk.key);
        let created = door.post("/policies", &own).await.expect_status(201);
        decided("amount_exceeds_limit", "with a policy of its own").await;
        let path = format!("/policies/{}", created.str("/id"));
        let wider = json!({"max_per_transaction": 60});
        door.patch(&path, &wider).await.expect_status(200);
        decided("policy_pass", "with a wider one").await;
        door.delete(&path).await.expect_status(200);
        decided("no_policy", "when it was deleted").await;

        let default = json!({"policy_name": "All", "max_per_transaction": 40});
        let above = app.policy(&parent_key, &default).await;
        decided("no_policy", "with one of another organisation").await;
        let child = |parent: &str| {
            format!(
                "UPDATE organizations SET parent_id = {parent} WHERE id = '{}'",
                pair.desk.org_id
            )
        };
        app.sql(&child(&format!("'{parent_id}'"))).await;
        decided("amount_exceeds_limit", "with that one above").await;
        app.sql(&child("NULL")).await;
        decided("no_policy", "with nobody above").await;
        let remove = format!("/policies/{above}");
        app.pulse()
            .bearer(&parent_key)
            .delete(&remove)
            .await
            .expect_status(200);
    }
    pair.close().await;
}
