use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::listen::{serve, stall::Writes};

const LIMITS: Limits = Limits {
    max_headers: 100,
    header_timeout: Duration::from_secs(10),
    idle_timeout: Duration::from_secs(75),
    stall_timeout: Duration::from_secs(30),
};

/// A connection to a server that stops when the second value is cancelled.
fn connect() -> (DuplexStream, CancellationToken) {
    let (client, server) = duplex(4096);
    let hello = service_fn(|_: Request<Incoming>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
    });
    let stop = CancellationToken::new();
    let slot = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    let server = Writes::new(server, LIMITS.stall_timeout, slot);
    tokio::spawn(serve(server, hello, LIMITS, stop.clone()));
    (client, stop)
}

async fn is_served(client: &mut DuplexStream, rest: &[u8]) -> bool {
    if client.write_all(rest).await.is_err() {
        return false;
    }
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    while !answer.ends_with(b"hello") {
        match client.read(&mut buffer).await {
            Ok(count) if count > 0 => answer.extend_from_slice(&buffer[..count]),
            _ => return false,
        }
    }
    answer.starts_with(b"HTTP/1.1 200")
}

/// Until the server closes; time is the test's own and passes by itself.
async fn seconds_until_closed(client: &mut DuplexStream) -> u64 {
    let start = Instant::now();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    start.elapsed().as_secs_f64().round() as u64
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn an_idle_connection_outlives_the_time_for_a_head() {
    let (mut client, _running) = connect();
    for silence in [1, 30, 9, 70, 0] {
        assert!(
            is_served(&mut client, REQUEST).await,
            "before {silence} s of silence"
        );
        tokio::time::sleep(Duration::from_secs(silence)).await;
    }
    assert!(is_served(&mut client, REQUEST).await);
    assert_eq!(seconds_until_closed(&mut client).await, 75);
}

#[tokio::test(start_paused = true)]
async fn a_head_has_its_own_time_from_its_first_byte() {
    let (mut client, _running) = connect();
    assert_eq!(seconds_until_closed(&mut client).await, 10, "silent");
    let (mut client, _running) = connect();
    client.write_all(b"GET / HT").await.unwrap();
    assert_eq!(
        seconds_until_closed(&mut client).await,
        10,
        "the first head"
    );
    let (mut client, _running) = connect();
    assert!(is_served(&mut client, REQUEST).await);
    tokio::time::sleep(Duration::from_secs(40)).await;
    client.write_all(b"GET / HT").await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    // A byte now and then does not lengthen it.
    client.write_all(b"TP/1.1\r\nX: ").await.unwrap();
    assert_eq!(seconds_until_closed(&mut client).await, 4, "a later head");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_comes_in_time_is_served() {
    let (mut client, _running) = connect();
    for _ in 0..3 {
        let (start, rest) = REQUEST.split_at(5);
        client.write_all(start).await.unwrap();
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert!(is_served(&mut client, rest).await);
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
}
