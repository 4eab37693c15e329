//! Connections: how many at once, and HTTP/2 clients that hold on to what they were given.

mod frames;
mod http2;

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::TestApp;

const REQUEST: &[u8] = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n";

/// How long a client that must wait is watched.
const A_WHILE: Duration = Duration::from_millis(300);
/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks and reads the head of the answer, on a connection that stays open.
async fn ask(stream: &mut TcpStream) {
    stream.write_all(REQUEST).await.unwrap();
    answer(stream).await;
}

async fn answer(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    let read = timeout(PATIENCE, stream.read(&mut buffer)).await;
    let count = read.expect("an answer in time").unwrap();
    assert!(buffer[..count].starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn beyond_the_limit_a_client_waits_and_is_served_when_a_slot_frees() {
    let app = TestApp::builder()
        .config(|config| config.http.max_connections = 2)
        .start()
        .await;
    let address = app.addresses.pullpush;
    let mut first = TcpStream::connect(address).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    ask(&mut first).await;
    ask(&mut second).await;

    // Not refused: connected, and their requests stay unanswered; on another listener too, whose own connections are none.
    let mut waiting = Vec::new();
    for listener in [address, address, app.addresses.pulse] {
        let mut client = TcpStream::connect(listener).await.unwrap();
        let path = if listener == address {
            REQUEST
        } else {
            b"GET /pulse-api/health HTTP/1.1\r\nHost: a\r\n\r\n"
        };
        client.write_all(path).await.unwrap();
        waiting.push(client);
    }
    let mut byte = [0];
    for client in &mut waiting {
        assert!(timeout(A_WHILE, client.peek(&mut byte)).await.is_err());
    }
    // Those who have a slot are served all the time.
    ask(&mut first).await;

    drop(second);
    // One slot: whoever gets it is served, and goes.
    for _ in 0..3 {
        let readable = waiting.iter().map(|client| {
            Box::pin(async {
                client.readable().await.unwrap();
            })
        });
        let served = timeout(PATIENCE, futures_util::future::select_all(readable)).await;
        let (_, at, _) = served.expect("a waiting client is served");
        answer(&mut waiting[at]).await;
        waiting.remove(at);
    }
    ask(&mut first).await;
    app.stop().await;
}
