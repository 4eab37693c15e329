//! What tasks that are ready have to say goes out together.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    future::{Future, poll_fn},
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use pulpo_gateway::listen::Gathered;
use tokio::runtime::{Builder, Runtime};

const STREAMS: usize = 20;

/// What streams have said and their connection has not written, and who wakes it.
#[derive(Default)]
struct Said {
    waiting: usize,
    waker: Option<Waker>,
    writes: Vec<usize>,
}

type Shared = Arc<Mutex<Said>>;

fn say(said: &Shared) {
    let mut said = said.lock().unwrap();
    said.waiting += 1;
    if let Some(waker) = said.waker.take() {
        waker.wake();
    }
}

/// Writes what waits, until everything is written.
fn poll_connection(said: &Shared, cx: &mut Context<'_>) -> Poll<()> {
    let mut said = said.lock().unwrap();
    let waiting = std::mem::take(&mut said.waiting);
    if waiting > 0 {
        said.writes.push(waiting);
    }
    if said.writes.iter().sum::<usize>() == STREAMS {
        return Poll::Ready(());
    }
    said.waker = Some(cx.waker().clone());
    Poll::Pending
}

/// How many pieces each write had, where streams speak as soon as they run.
fn writes<C>(runtime: &Runtime, connection: impl FnOnce(Shared) -> C) -> Vec<usize>
where
    C: Future<Output = ()> + Send + 'static,
{
    let said = Shared::default();
    let connection = connection(said.clone());
    let told = said.clone();
    let task = async move {
        let connection = tokio::spawn(connection);
        // It waits before anybody speaks.
        while told.lock().unwrap().waker.is_none() {
            tokio::task::yield_now().await;
        }
        for _ in 0..STREAMS {
            let told = told.clone();
            tokio::spawn(async move { say(&told) });
        }
        connection.await.unwrap();
    };
    // What is spawned outside of a worker is queued in another way.
    runtime.block_on(async { tokio::spawn(task).await.unwrap() });
    let said = said.lock().unwrap();
    said.writes.clone()
}

/// A worker that nobody helps: it takes the task that was woken last first.
fn one_worker() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap()
}

#[test]
fn a_connection_writes_what_all_ready_streams_say_at_once() {
    let gathered = writes(&one_worker(), |said| {
        Gathered::new(poll_fn(move |cx| poll_connection(&said, cx)))
    });
    assert_eq!(gathered, [STREAMS]);
}

#[test]
fn alone_it_writes_at_once() {
    let runtime = one_worker();
    let said = Shared::default();
    let streams = said.clone();
    let task = async move {
        let polled = streams.clone();
        let connection = tokio::spawn(Gathered::new(poll_fn(move |cx| {
            poll_connection(&polled, cx)
        })));
        for written in 1..=STREAMS {
            say(&streams);
            // Turns that the others have, none of whom are there, and its own.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            assert_eq!(streams.lock().unwrap().writes, vec![1; written]);
        }
        connection.await.unwrap();
    };
    runtime.block_on(async { tokio::spawn(task).await.unwrap() });
}
