//! Workers: what goes first, one that dies, one that comes too late, and runs nobody does any more.

use chrono::TimeDelta;
use pulpo::{
    housekeeping::Housekeeping,
    jobs::{self, Worker},
    workers::Workers,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{super::refused, Runs};

impl Runs {
    fn worker(&self) -> Worker {
        let app = &self.desk.app.app;
        Workers::of_domains(app).unwrap().jobs(app)
    }

    /// An agent that takes a call and says nothing, a run of it that tells the receiver of its end, the worker that waits
    /// for the agent, and the call.
    async fn hanging(&self) -> (String, JoinHandle<()>, TcpStream) {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", silent.local_addr().unwrap());
        self.register("own-agent", json!({"url": url})).await;
        let body =
            json!({"agent": "own-agent", "callback_webhook": self.receiver.url("/callback")});
        let run_id = self.trigger(body).await;
        let mut worker = self.worker();
        let working = tokio::spawn(async move {
            worker.drain().await.unwrap();
        });
        let (mut call, _) = silent.accept().await.unwrap();
        // The whole of it: the worker holds the lease and waits.
        let mut read = Vec::new();
        while !String::from_utf8_lossy(&read).contains(&format!("\"run_id\":\"{run_id}\"")) {
            assert_ne!(call.read_buf(&mut read).await.unwrap(), 0);
        }
        assert_eq!(self.status(&run_id).await.json["status"], "running");
        let body = json!({"url": self.receiver.url("/agent")});
        let moved = self.desk.api().patch("/agents/own-agent", &body).await;
        moved.expect_status(200);
        (run_id, working, call)
    }

    /// The paths that were called, with the number of the attempt.
    fn calls(&self) -> Vec<String> {
        let received = self.receiver.take();
        received
            .iter()
            .map(|one| format!("{} {}", one.path, one.header("x-pulse-retry-count")))
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn higher_priorities_are_taken_first() {
    let runs = Runs::open().await;
    runs.register("own-agent", json!({})).await;
    // Sixteen at a time: each sixteen are of one priority, the highest first, whatever came first.
    for priority in ["low", "high", "normal", "critical"] {
        for _ in 0..16 {
            runs.trigger(json!({"agent": "own-agent", "priority": priority}))
                .await;
        }
    }
    runs.work().await;
    let received = runs.receiver.take();
    let order: Vec<Value> = received
        .iter()
        .map(|one| one.json()["priority"].clone())
        .collect();
    let expected: Vec<Value> = ["critical", "high", "normal", "low"]
        .into_iter()
        .flat_map(|priority| vec![json!(priority); 16])
        .collect();
    assert_eq!(order, expected);
    runs.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_worker_died_is_done_when_its_lease_ends() {
    let runs = Runs::open().await;
    let (run_id, working, call) = runs.hanging().await;
    working.abort();
    let _ = working.await;
    drop(call);
    // While the lease lasts nobody else does it.
    runs.pass(jobs::worker::LEASE - TimeDelta::seconds(1));
    runs.work().await;
    assert_eq!(runs.status(&run_id).await.json["status"], "running");
    assert!(runs.calls().is_empty());
    runs.pass(TimeDelta::seconds(1));
    runs.work().await;
    let run = runs.status(&run_id).await;
    assert_eq!(run.json["status"], "completed", "{}", run.text);
    assert_eq!(run.json["duration_ms"], 60_000);
    assert_eq!(runs.calls(), ["/agent 1", "/callback 0"]);
    runs.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_once_whoever_comes_late() {
    let runs = Runs::open().await;
    let (run_id, working, mut call) = runs.hanging().await;
    runs.pass(jobs::worker::LEASE);
    runs.receiver.text(r#"{"by": "second"}"#);
    runs.work().await;
    assert_eq!(runs.calls(), ["/agent 1", "/callback 0"]);
    // The first worker's agent answers after all; its lease is lost.
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{\"by\":\"first\"}";
    call.write_all(answer.as_bytes()).await.unwrap();
    working.await.unwrap();
    runs.work().await;
    let run = runs.status(&run_id).await;
    assert_eq!(run.json["output"], json!({"by": "second"}));
    assert!(runs.calls().is_empty(), "told once");
    runs.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_job_was_given_up_fails_and_is_told() {
    let runs = Runs::open().await;
    // The schedule begins with its next slot.
    runs.work().await;
    let callback = runs.receiver.url("/callback");
    let body = json!({"agent": "market-analyzer", "callback_webhook": callback});
    let run_id = runs.trigger(body.clone()).await;
    let given_up =
        "UPDATE jobs SET state = 'dead', finished_at = created_at WHERE state = 'waiting'";
    runs.desk.app.sql(given_up).await;
    runs.pass(TimeDelta::minutes(4));
    runs.work().await;
    assert_eq!(runs.status(&run_id).await.json["status"], "queued");
    // One that still has its job is left alone.
    let later = runs.trigger(json!({"agent": "market-analyzer"})).await;
    let waits = "UPDATE jobs SET run_at = run_at + interval '1 day' WHERE state = 'waiting'";
    runs.desk.app.sql(waits).await;
    runs.pass(TimeDelta::minutes(10));
    runs.work().await;
    let run = runs.status(&run_id).await;
    assert_eq!(run.json["status"], "failed");
    assert!(run.str("/error").contains("interrupted"), "{}", run.text);
    assert_eq!(run.json["duration_ms"], Value::Null);
    assert_eq!(runs.calls(), ["/callback 0"]);
    assert_eq!(runs.status(&later).await.json["status"], "queued");
    runs.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn running_workers_are_woken_by_a_trigger() {
    let runs = Runs::open().await;
    let app = &runs.desk.app.app;
    let stop = CancellationToken::new();
    let mut background = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let workers = Workers::of_domains(app).unwrap();
        workers.spawn(app, &mut background, &stop);
    }
    let callback = runs.receiver.url("/callback");
    for count in 1..=5 {
        let body = json!({"agent": "spend-analyzer", "callback_webhook": callback});
        let run_id = runs.trigger(body).await;
        runs.receiver.wait_for(count).await;
        assert_eq!(runs.status(&run_id).await.json["status"], "completed");
    }
    stop.cancel();
    background.join_all().await;
    assert_eq!(runs.calls().len(), 5);
    runs.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_runs_are_kept_for_ninety_days() {
    let runs = Runs::open().await;
    let ended = runs.trigger(json!({"agent": "market-analyzer"})).await;
    runs.work().await;
    let open = runs.trigger(json!({"agent": "market-analyzer"})).await;
    let app = &runs.desk.app.app;
    let housekeeping = || {
        let config = &app.config.housekeeping;
        Housekeeping::new(app.db.clone(), app.clock.clone(), config)
    };
    let round = async || {
        housekeeping()
            .round(&CancellationToken::new())
            .await
            .unwrap()
    };
    runs.pass(TimeDelta::days(90));
    assert_eq!(round().await.rows_of("agent_runs"), 0);
    runs.pass(TimeDelta::seconds(1));
    assert_eq!(round().await.rows_of("agent_runs"), 1);
    let gone = runs
        .desk
        .api()
        .get(&format!("/agents/status/{ended}"))
        .await;
    refused(&gone, 404, "not_found");
    assert_eq!(runs.status(&open).await.json["status"], "queued");
    runs.close().await;
}
