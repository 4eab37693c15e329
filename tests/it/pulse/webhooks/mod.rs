//! Webhooks, from the registration of an endpoint to what it receives. Time is the test's: nothing waits for the schedule.

mod agents;
mod delivery;
mod failures;
pub(crate) mod receiver;
mod registration;
mod replay;
mod standard;
mod workers;

use chrono::{DateTime, TimeDelta, Utc};
use pulpo::{app::App, clock::Clock, workers::Workers};
use serde_json::{Value, json};

use self::receiver::{Received, Receiver};
use super::Desk;
use crate::support::TestApp;

/// An organisation that can pay, somebody who receives its webhooks, and a clock between them.
struct Hooks {
    desk: Desk,
    receiver: Receiver,
    clock: Clock,
}

fn start_of_time() -> DateTime<Utc> {
    "2026-04-14T12:00:00Z".parse().unwrap()
}

impl Hooks {
    async fn open() -> Self {
        Self::open_at(start_of_time()).await
    }

    async fn open_at(now: DateTime<Utc>) -> Self {
        let clock = Clock::fixed(now);
        let app = TestApp::builder()
            .clock(&clock)
            .config(|config| {
                config.rates.scale = 100;
                config.delivery.allow_private_targets = true;
            })
            .start()
            .await;
        Self {
            desk: Desk::furnish(app).await,
            receiver: Receiver::start().await,
            clock,
        }
    }

    /// An endpoint for these events; its id and secret.
    async fn register(&self, events: &[&str]) -> (String, String) {
        self.register_with(json!({"events": events})).await
    }

    async fn register_with(&self, over: Value) -> (String, String) {
        let base = json!({"url": self.receiver.url("/hooks"), "events": ["payment.settled"]});
        let reply = self
            .desk
            .api()
            .post("/webhooks", &super::with(base, over))
            .await;
        let reply = reply.expect_status(201);
        (reply.str("/id").to_owned(), reply.str("/secret").to_owned())
    }

    /// A payment that is approved; the transaction.
    async fn pay(&self) -> String {
        let reply = self.desk.pay(json!({"amount": 1})).await.expect_status(200);
        assert_eq!(reply.json["status"], "authorized", "{}", reply.text);
        reply.str("/transaction_id").to_owned()
    }

    /// Lets the workers do whatever is due by the clock.
    async fn settle(&self) {
        settle(&self.desk.app.app).await;
    }

    fn pass(&self, time: TimeDelta) {
        self.clock.set(self.clock.now() + time);
    }

    async fn deliveries(&self, id: &str) -> Vec<Value> {
        let reply = self
            .desk
            .api()
            .get(&format!("/webhooks/{id}/deliveries"))
            .await;
        reply.expect_status(200).json["deliveries"]
            .as_array()
            .unwrap()
            .clone()
    }

    /// The endpoint as it is listed.
    async fn endpoint(&self, id: &str) -> Value {
        let reply = self.desk.api().get("/webhooks").await.expect_status(200);
        let all = reply.json["webhooks"].as_array().unwrap().clone();
        all.into_iter()
            .find(|webhook| webhook["id"] == id)
            .expect("the endpoint")
    }

    async fn close(self) {
        self.desk.app.stop().await;
    }
}

/// Reads all events and delivers what is due, until there is nothing left to do.
async fn settle(app: &App) {
    let workers = Workers::of_domains(app).unwrap();
    for reader in workers.readers(app) {
        loop {
            let round = reader.round().await.unwrap();
            if !round.has_more && !round.is_waiting {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    Workers::deliveries(app).drain().await.unwrap();
}

/// The names of what was received, in order.
fn kinds(received: &[Received]) -> Vec<&str> {
    received
        .iter()
        .map(|one| one.header("x-pulse-event"))
        .collect()
}
