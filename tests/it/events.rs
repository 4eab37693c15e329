//! Reading the outbox: every committed event once and in order, whatever the order of the commits.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use diesel_async::SimpleAsyncConnection;
use pulpo::{
    db::{Conn, Db, Topic},
    error::{Error, Result},
    events::{
        self, NewEvent,
        consumer::{Consumer, Event, Reader},
    },
};
use tokio_util::sync::CancellationToken;

use crate::support::TestApp;

/// Remembers what it was given; fails when told.
#[derive(Default)]
struct Memory {
    seen: Mutex<Vec<String>>,
    fails: Mutex<bool>,
}

#[async_trait::async_trait]
impl Consumer for Memory {
    fn name(&self) -> &'static str {
        "test"
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["wanted"]
    }

    async fn consume(&self, _: &mut Conn, events: &[Event], _: DateTime<Utc>) -> Result<()> {
        if *self.fails.lock().unwrap() {
            return Err(Error::internal(anyhow::anyhow!("told to fail")));
        }
        let subjects = events.iter().map(|event| event.subject.clone());
        self.seen.lock().unwrap().extend(subjects);
        Ok(())
    }
}

fn event(kind: &'static str, subject: &str) -> NewEvent {
    NewEvent {
        org_id: "org_1".to_owned(),
        kind,
        subject: subject.to_owned(),
        payload: "{}".to_owned(),
    }
}

async fn append(conn: &mut Conn, subject: &str) {
    events::append(conn, &[event("wanted", subject)], Utc::now())
        .await
        .unwrap();
}

async fn read_all(reader: &Reader) {
    while reader.round().await.unwrap().has_more {}
}

fn reader(app: &TestApp, memory: &Arc<Memory>) -> Reader {
    let consumer: Arc<dyn Consumer> = memory.clone();
    Reader::new(app.app.db.clone(), app.app.clock.clone(), consumer)
}

#[tokio::test]
async fn an_event_that_is_committed_late_is_neither_lost_nor_overtaken_by_its_followers() {
    let app = TestApp::start().await;
    let memory = Arc::new(Memory::default());
    let reader = reader(&app, &memory);
    let mut late = app.app.db.connection().await.unwrap();
    let mut soon = app.app.db.connection().await.unwrap();
    append(&mut soon, "first").await;
    late.batch_execute("BEGIN").await.unwrap();
    append(&mut late, "late").await;
    append(&mut soon, "soon").await;
    read_all(&reader).await;
    // What was committed after the open transaction began waits for it.
    assert_eq!(*memory.seen.lock().unwrap(), ["first"]);
    assert!(reader.round().await.unwrap().is_waiting);
    late.batch_execute("COMMIT").await.unwrap();
    read_all(&reader).await;
    assert_eq!(*memory.seen.lock().unwrap(), ["first", "late", "soon"]);

    // Rolled back, it never was.
    late.batch_execute("BEGIN").await.unwrap();
    append(&mut late, "never").await;
    append(&mut soon, "after").await;
    late.batch_execute("ROLLBACK").await.unwrap();
    read_all(&reader).await;
    assert_eq!(memory.seen.lock().unwrap()[3..], ["after"]);
    assert_eq!(reader.round().await.unwrap().read, 0);
    drop((late, soon));
    app.stop().await;
}

#[tokio::test]
async fn a_backlog_is_read_in_pages_and_a_failure_loses_nothing() {
    let app = TestApp::start().await;
    let memory = Arc::new(Memory::default());
    let reader = reader(&app, &memory);
    let conn = app.app.db.connection().await.unwrap();
    for round in 0..2 {
        let many: Vec<_> = (0..1200)
            .map(|i| {
                event(
                    if i % 3 == 0 { "other" } else { "wanted" },
                    &format!("{round}-{i:04}"),
                )
            })
            .collect();
        events::append(&conn, &many, Utc::now()).await.unwrap();
        *memory.fails.lock().unwrap() = true;
        assert!(reader.round().await.is_err());
        *memory.fails.lock().unwrap() = false;
        read_all(&reader).await;
    }
    drop(conn);
    let seen = memory.seen.lock().unwrap().clone();
    assert!(seen.len() == 1600 && seen.is_sorted(), "{}", seen.len());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_at_once_read_each_event_once() {
    let app = TestApp::start().await;
    let memory = Arc::new(Memory::default());
    let stop = CancellationToken::new();
    let readers: Vec<_> = (0..3)
        .map(|_| tokio::spawn(reader(&app, &memory).run(stop.clone())))
        .collect();
    let writers = (0..4).map(|writer| {
        let db = app.app.db.clone();
        tokio::spawn(async move {
            for i in 0..50 {
                let new = [event("wanted", &format!("{writer}-{i:02}"))];
                let written = db.transaction("test", async |conn: &mut Conn| {
                    Ok(events::append(conn, &new, Utc::now()).await?)
                });
                written.await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let patience = std::time::Duration::from_secs(60);
    let all_read = async {
        while memory.seen.lock().unwrap().len() < 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(patience, all_read)
        .await
        .expect("all are read");
    stop.cancel();
    for reader in readers {
        reader.await.unwrap();
    }
    let seen = memory.seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 200);
    for writer in 0..4 {
        let prefix = format!("{writer}-");
        let own: Vec<_> = seen
            .iter()
            .filter(|subject| subject.starts_with(&prefix))
            .collect();
        assert!(own.len() == 50 && own.is_sorted());
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_writes_wakes_another() {
    let app = TestApp::start().await;
    // Two pools are as two processes to each other.
    let other = Db::new(&app.database_url(), 2);
    let mut heard = other.wake().listen(Topic::Events);
    let mut here = app.app.db.wake().listen(Topic::Events);
    let stop = CancellationToken::new();
    let relays = [
        tokio::spawn(app.app.db.relay_wakes(stop.clone())),
        tokio::spawn(other.relay_wakes(stop.clone())),
    ];
    let patience = std::time::Duration::from_secs(60);
    // Once it listens it is told that it may have missed something.
    tokio::time::timeout(patience, heard.changed())
        .await
        .expect("it listens")
        .unwrap();
    tokio::time::timeout(patience, here.changed())
        .await
        .expect("it listens")
        .unwrap();
    let new = [event("wanted", "x")];
    let written = app.app.db.transaction("test", async |conn: &mut Conn| {
        Ok(events::append(conn, &new, Utc::now()).await?)
    });
    written.await.unwrap();
    tokio::time::timeout(patience, heard.changed())
        .await
        .expect("it was woken")
        .unwrap();
    stop.cancel();
    for relay in relays {
        relay.await.unwrap();
    }
    app.stop().await;
}
