//! The same with two programs in processes of their own: nothing they share but the database.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::super::{
    Desk,
    concurrency::{approved, audit_finds_nothing, busy_desk, rounds},
    invoice, with,
};
use crate::{
    operation::program::{Program, serve},
    support::{Client, Reply},
};

struct Processes {
    /// The database; nothing is asked of its own program but reading.
    desk: Desk,
    programs: [Program; 2],
}

impl Processes {
    async fn open() -> Self {
        let desk = busy_desk().await;
        let start = || {
            let mut command = serve(&desk.app.database_url(), "api");
            command
                .env("PULPO_RATES_SCALE", "10000")
                .env("PULPO_LOG", "warn");
            Program::start(command)
        };
        let programs = [start(), start()];
        Self { desk, programs }
    }

    fn door(&self, number: usize) -> Client {
        let address = self.programs[number % 2].address("pulse");
        self.desk.app.pulse_at(address).bearer(&self.desk.key)
    }

    /// Requests payments at once with these fields over the document's, by turns through both doors.
    async fn pay(&self, overs: impl IntoIterator<Item = Value>) -> Vec<Reply> {
        let request = async |(number, over): (usize, Value)| {
            let body = with(invoice(), over);
            self.door(number).post("/payments/request", &body).await
        };
        join_all(overs.into_iter().enumerate().map(request)).await
    }

    /// An agent with money whose payments of 30 fit into its limit 33 times: the 34th would be 1,020 of 1,000.
    async fn agent(&self, name: &str) -> Value {
        let app = &self.desk.app;
        app.wallet(&self.desk.org_id, name, "USD", 1_000_000).await;
        let policy = json!({"policy_name": name, "agent_id": name, "max_daily": 1000});
        app.policy(&self.desk.key, &policy).await;
        json!({"requesting_agent_id": name, "amount": 30})
    }

    async fn stored(&self, agent: &str, of: &str) -> i64 {
        let count = format!(
            "SELECT count(*) FROM transactions WHERE requesting_agent_id = '{agent}' AND {of}"
        );
        self.desk.app.sql_number(&count).await
    }

    /// Stops all, when the ledger holds.
    async fn close(self) {
        audit_finds_nothing(&self.desk).await;
        for program in self.programs {
            program.stop();
        }
        self.desk.app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_let_through_what_fits_and_keep_their_keys() {
    let both = Processes::open().await;
    for round in 0..rounds() {
        // At the limit nothing is over.
        let name = format!("agent-limit-{round}");
        let payment = both.agent(&name).await;
        let replies = both.pay(vec![payment; 50]).await;
        assert_eq!(approved(&replies), 33, "round {round}");
        assert_eq!(both.desk.available(&name).await, 9_010.0);
        assert_eq!(both.stored(&name, "status = 'settled'").await, 33);

        // One key has one effect, and every answer the same bytes.
        let name = format!("agent-key-{round}");
        let payment = both.agent(&name).await;
        let keyed = |key: String| with(payment.clone(), json!({"idempotency_key": key}));
        let replies = both.pay(vec![keyed(name.clone()); 20]).await;
        for reply in &replies {
            assert_eq!((reply.status, &reply.text), (200, &replies[0].text));
        }
        assert_eq!(both.stored(&name, "true").await, 1);

        // Each request twice, once through each door, where not all of them fit: 32 beside the one before.
        let twice = (0..100).map(|number| keyed(format!("{name}-{}", number / 2)));
        let replies = both.pay(twice).await;
        for pair in replies.chunks(2) {
            assert_eq!(pair[0].text, pair[1].text, "round {round}");
        }
        assert_eq!(approved(&replies), 2 * 32, "round {round}");
        assert_eq!(both.stored(&name, "status = 'settled'").await, 33);
        assert_eq!(both.stored(&name, "true").await, 51);
        assert_eq!(both.desk.available(&name).await, 9_010.0);
    }
    both.close().await;
}
