//! Jobs: done once and in order, tried again, given up, and taken over from workers that died.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};
use pulpo::{
    clock::Clock,
    db::Conn,
    error::{Error, Result},
    jobs::{self, Handler, Job, Kind, NewJob, Registry, Schedule, Worker},
};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::support::TestApp;

/// Remembers which jobs it did; fails as often as told, and waits where told.
struct Memory {
    done: Mutex<Vec<String>>,
    fail: AtomicUsize,
    gate: Semaphore,
    running: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait::async_trait]
impl Handler for Memory {
    async fn run(&self, job: &Job) -> Result<()> {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        let permit = self.gate.acquire().await.unwrap();
        tokio::task::yield_now().await;
        drop(permit);
        self.running.fetch_sub(1, Ordering::SeqCst);
        let failures = self.fail.load(Ordering::SeqCst);
        if failures > 0 {
            self.fail.store(failures - 1, Ordering::SeqCst);
            return Err(Error::internal(anyhow::anyhow!("told to fail")));
        }
        self.done.lock().unwrap().push(job.payload["n"].to_string());
        Ok(())
    }
}

struct Desk {
    app: TestApp,
    clock: Clock,
    memory: Arc<Memory>,
    registry: Registry,
}

fn start_of_time() -> DateTime<Utc> {
    "2026-04-14T12:30:00Z".parse().unwrap()
}

impl Desk {
    async fn open() -> Self {
        let clock = Clock::fixed(start_of_time());
        let app = TestApp::builder().clock(&clock).start().await;
        let memory = Arc::new(Memory {
            done: Mutex::default(),
            fail: AtomicUsize::new(0),
            gate: Semaphore::new(1000),
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        });
        let mut registry = Registry::default();
        let kind = Kind::new("test", memory.clone());
        registry.kind(Kind {
            attempts_max: 3,
            ..kind
        });
        Self {
            app,
            clock,
            memory,
            registry,
        }
    }

    fn worker(&self) -> Worker {
        self.registry.check().unwrap();
        Worker::new(self.app.app.db.clone(), self.clock.clone(), &self.registry)
    }

    async fn enqueue(&self, new: &[NewJob]) {
        let now = self.clock.now();
        let enqueued = self
            .app
            .app
            .db
            .transaction("test", async |conn: &mut Conn| {
                Ok(jobs::enqueue(conn, new, now).await?)
            });
        enqueued.await.unwrap();
    }

    fn done(&self) -> Vec<String> {
        std::mem::take(&mut self.memory.done.lock().unwrap())
    }

    async fn states(&self) -> String {
        let rows =
            "SELECT coalesce(string_agg(state || ' ' || attempts, ', ' ORDER BY id), '') FROM jobs";
        self.app.sql(rows).await[0].get(0)
    }

    fn pass(&self, time: TimeDelta) {
        self.clock.set(self.clock.now() + time);
    }
}

fn job(n: usize) -> NewJob {
    NewJob::new("test", json!({"n": n}))
}

#[tokio::test]
async fn jobs_are_done_by_priority_and_not_before_their_time() {
    let desk = Desk::open().await;
    let later = NewJob {
        run_at: Some(start_of_time() + TimeDelta::hours(1)),
        ..job(3)
    };
    // One at a time shows the order.
    let mut registry = Registry::default();
    registry.kind(Kind {
        concurrency: 1,
        ..Kind::new("test", desk.memory.clone())
    });
    desk.enqueue(&[
        job(1),
        later,
        NewJob {
            priority: 5,
            ..job(2)
        },
        NewJob::new("unknown", json!({})),
    ])
    .await;
    let mut worker = Worker::new(desk.app.app.db.clone(), desk.clock.clone(), &registry);
    assert_eq!(worker.drain().await.unwrap(), 2);
    assert_eq!(desk.done(), ["2", "1"]);
    assert_eq!(desk.memory.most.load(Ordering::SeqCst), 1);
    desk.pass(TimeDelta::hours(1));
    worker.drain().await.unwrap();
    assert_eq!(desk.done(), ["3"]);
    assert_eq!(desk.states().await, "done 1, done 1, done 1, waiting 0");
    desk.app.stop().await;
}

#[tokio::test]
async fn a_job_that_fails_is_tried_again_and_then_given_up_and_holds_up_its_key() {
    let desk = Desk::open().await;
    let keyed = |n| NewJob {
        ordering_key: Some("test:a".to_owned()),
        ..job(n)
    };
    desk.enqueue(&[keyed(1), keyed(2), job(9)]).await;
    desk.memory.fail.store(1, Ordering::SeqCst);
    let mut worker = desk.worker();
    worker.drain().await.unwrap();
    // Whichever failed, nothing of the key went past the first.
    let mut done = desk.done();
    for pause in [5, 10] {
        desk.pass(TimeDelta::seconds(pause));
        worker.drain().await.unwrap();
        done.extend(desk.done());
    }
    let of_key: Vec<_> = done.iter().filter(|n| *n != "9").collect();
    assert_eq!(of_key, ["1", "2"]);

    desk.enqueue(&[keyed(3), keyed(4)]).await;
    desk.memory.fail.store(3, Ordering::SeqCst);
    for pause in [0, 5, 10] {
        desk.pass(TimeDelta::seconds(pause));
        worker.drain().await.unwrap();
    }
    assert_eq!(desk.done(), ["4"]);
    assert!(
        desk.states().await.ends_with("dead 3, done 1"),
        "{}",
        desk.states().await
    );
    let errors =
        "SELECT count(*) FROM jobs WHERE state = 'dead' AND last_error LIKE '%told to fail%'";
    assert_eq!(desk.app.sql_number(errors).await, 1);
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_at_once_do_each_job_once_and_one_of_a_key_at_a_time() {
    let desk = Desk::open().await;
    let keyed: Vec<_> = (0..40)
        .map(|n| NewJob {
            ordering_key: Some("test:a".to_owned()),
            ..job(n)
        })
        .collect();
    desk.enqueue(&keyed).await;
    let workers = (0..3).map(|_| {
        let mut worker = desk.worker();
        async move { worker.drain().await.unwrap() }
    });
    let counts = futures_util::future::join_all(workers).await;
    let left = desk.worker().drain().await.unwrap();
    assert_eq!(counts.iter().sum::<usize>() + left, 40);
    let done = desk.done();
    assert_eq!(done, (0..40).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(desk.memory.most.load(Ordering::SeqCst), 1);
    desk.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_worker_gives_back_and_a_dead_ones_lease_ends() {
    let desk = Desk::open().await;
    desk.enqueue(&[job(1)]).await;
    desk.memory.gate.forget_permits(1000);
    let stop = CancellationToken::new();
    let running = tokio::spawn(desk.worker().run(stop.clone()));
    let begun = async {
        while desk.memory.running.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), begun)
        .await
        .expect("it began");
    assert_eq!(desk.states().await, "running 1");
    // It never ends, so it is given back as if it had not been taken.
    stop.cancel();
    running.await.unwrap();
    assert_eq!(desk.states().await, "waiting 0");

    // Another worker takes it and dies: the task is dropped without a word.
    desk.memory.running.store(0, Ordering::SeqCst);
    let running = tokio::spawn(desk.worker().run(CancellationToken::new()));
    let begun = async {
        while desk.memory.running.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), begun)
        .await
        .expect("it began");
    running.abort();
    let _ = running.await;
    desk.memory.gate.add_permits(1000);
    assert_eq!(desk.worker().drain().await.unwrap(), 0, "the lease holds");
    desk.pass(jobs::worker::LEASE);
    assert_eq!(desk.worker().drain().await.unwrap(), 1);
    assert_eq!(desk.states().await, "done 2");
    assert_eq!(desk.done(), ["1"]);
    desk.app.stop().await;
}

#[tokio::test]
async fn a_lease_that_was_lost_finishes_nothing() {
    let desk = Desk::open().await;
    desk.enqueue(&[job(1)]).await;
    desk.app
        .sql("UPDATE jobs SET state = 'running', worker = 'x', token = 7, attempts = 1")
        .await;
    let held = Job {
        id: desk.app.sql_number("SELECT id FROM jobs").await,
        org_id: None,
        kind: "test".to_owned(),
        payload: json!({}),
        attempts: 1,
        token: 7,
        created_at: start_of_time(),
    };
    let lost = Job {
        token: 6,
        ..held.clone()
    };
    for (job, holds) in [(&held, true), (&lost, false)] {
        let asked = desk
            .app
            .app
            .db
            .transaction("test", async |conn: &mut Conn| {
                Ok(jobs::holds(conn, job).await?)
            });
        assert_eq!(asked.await.unwrap(), holds);
    }
    desk.app.stop().await;
}

#[tokio::test]
async fn a_schedule_enqueues_each_slot_once_whatever_the_number_of_workers() {
    let mut desk = Desk::open().await;
    desk.registry
        .schedule("hourly", Schedule::Hourly { minute: 0 }, "test")
        .schedule("daily", Schedule::Daily { hour: 3, minute: 0 }, "test");
    let mut workers = [desk.worker(), desk.worker()];
    let tick = async |workers: &mut [Worker; 2]| {
        let [one, other] = workers;
        let (a, b) = tokio::join!(one.drain(), other.drain());
        let _ = a.unwrap() + b.unwrap();
    };
    // The slot before the first sight is not caught up with.
    tick(&mut workers).await;
    assert_eq!(desk.states().await, "");
    desk.pass(TimeDelta::minutes(30));
    tick(&mut workers).await;
    tick(&mut workers).await;
    assert_eq!(desk.states().await, "done 1");
    let slot =
        "SELECT count(*) FROM jobs WHERE payload = '{\"slot_at\": \"2026-04-14T13:00:00.000Z\"}'";
    assert_eq!(desk.app.sql_number(slot).await, 1);
    // Asleep for two days: the latest slot of each, once.
    desk.pass(TimeDelta::days(2));
    tick(&mut workers).await;
    tick(&mut workers).await;
    assert_eq!(desk.states().await, "done 1, done 1, done 1");
    let daily = "SELECT count(*) FROM jobs WHERE payload->>'slot_at' = '2026-04-16T03:00:00.000Z'";
    assert_eq!(desk.app.sql_number(daily).await, 1);
    desk.app.stop().await;
}

/// One organisation has more waiting than there are slots, all of it more urgent.
#[tokio::test(flavor = "multi_thread")]
async fn an_organization_leaves_slots_to_others() {
    let desk = Desk::open().await;
    desk.memory.gate.forget_permits(1000);
    let of = |org_id: &str, n: usize, priority: i16| NewJob {
        org_id: Some(org_id.to_owned()),
        priority,
        ..job(n)
    };
    let mut all: Vec<NewJob> = (0..20).map(|n| of("org_busy", n, 9)).collect();
    all.push(of("org_other", 100, 0));
    desk.enqueue(&all).await;
    let stop = CancellationToken::new();
    let working = tokio::spawn(desk.worker().run(stop.clone()));
    let running = || desk.memory.running.load(Ordering::SeqCst);
    // Of the four slots two, and one of the other.
    while running() < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let of_busy = "SELECT count(*) FROM jobs WHERE state = 'running' AND org_id = 'org_busy'";
    assert_eq!(desk.app.sql_number(of_busy).await, 2);
    desk.memory.gate.add_permits(1000);
    let left = "SELECT count(*) FROM jobs WHERE state <> 'done'";
    while desk.app.sql_number(left).await > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(desk.done().len(), 21);
    stop.cancel();
    working.await.unwrap();
    desk.app.stop().await;
}
