//! Runs of agents, from the trigger to the callback. Time is the test's: nothing waits for a pause.

mod builtin;
mod efficiency;
mod http;
mod registry;
mod routes;
mod workers;

use chrono::{DateTime, TimeDelta, Utc};
use pulpo::{clock::Clock, workers::Workers};
use serde_json::{Value, json};

use super::{Desk, webhooks::receiver::Receiver};
use crate::support::{Reply, TestApp};

const RUN: &str = "{run_id agent status priority input output error created_at started_at completed_at duration_ms}";

/// An organisation, somebody who is called, and a clock between them.
struct Runs {
    desk: Desk,
    receiver: Receiver,
    clock: Clock,
}

fn start_of_time() -> DateTime<Utc> {
    "2026-04-14T12:00:00Z".parse().unwrap()
}

impl Runs {
    async fn open() -> Self {
        let clock = Clock::fixed(start_of_time());
        let app = TestApp::builder()
            .clock(&clock)
            .config(|config| {
                config.rates.scale = 100;
                config.delivery.allow_private_targets = true;
            })
            .start()
            .await;
        let receiver = Receiver::start().await;
        receiver.text("{}");
        Self {
            desk: Desk::furnish(app).await,
            receiver,
            clock,
        }
    }

    /// Registers an agent at the receiver; its secret.
    async fn register(&self, name: &str, over: Value) -> String {
        let base = json!({"name": name, "url": self.receiver.url("/agent")});
        let body = super::with(base, over);
        let reply = self.desk.api().post("/agents", &body).await;
        reply.expect_status(201).str("/secret").to_owned()
    }

    /// Queues a run; its id.
    async fn trigger(&self, body: Value) -> String {
        let reply = self.desk.api().post("/agents/trigger", &body).await;
        reply.expect_status(200).str("/run_id").to_owned()
    }

    async fn status(&self, run_id: &str) -> Reply {
        let path = format!("/agents/status/{run_id}");
        self.desk.api().get(&path).await.expect_status(200)
    }

    /// Does every job that is due by the clock.
    async fn work(&self) {
        let app = &self.desk.app.app;
        let workers = Workers::of_domains(app).unwrap();
        workers.jobs(app).drain().await.unwrap();
    }

    fn pass(&self, time: TimeDelta) {
        self.clock.set(self.clock.now() + time);
    }

    /// The output of a run that completes at once.
    async fn output(&self, body: Value) -> Value {
        let run_id = self.trigger(body).await;
        self.work().await;
        let run = self.status(&run_id).await;
        assert_eq!(run.json["status"], "completed", "{}", run.text);
        run.json["output"].clone()
    }

    async fn close(self) {
        self.desk.app.stop().await;
    }
}
