//! HTTP/2 clients that turn slow or hostile after the preface: they are cut off or bounded, and others are served.

use std::time::{Duration, Instant};

use tokio::{io::AsyncWriteExt, time::timeout};

use super::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Http2, PING, RST_STREAM,
    SETTINGS, frame, head,
};
use crate::support::TestApp;

async fn start() -> TestApp {
    TestApp::builder()
        .config(|config| {
            config.http.header_timeout_ms = 500;
            config.http.body_timeout_ms = 500;
            config.rates.scale = 1000;
        })
        .start()
        .await
}

async fn others_are_served(app: &TestApp) {
    let began = Instant::now();
    let url = format!("http://{}/health", app.addresses.pullpush);
    // On a connection of its own.
    let reply = reqwest::get(url).await.unwrap();
    assert_eq!(reply.status(), 200);
    assert!(began.elapsed() < Duration::from_secs(10));
}

/// Reads, answering pings, until the server closes.
async fn until_closed(client: &mut Http2) {
    while client.next_alive().await.is_some() {}
}

#[tokio::test]
async fn a_head_that_does_not_end_is_cut_off() {
    let app = start().await;
    let block = head("GET", "/health");
    let mut silent = Http2::connect(app.addresses.pullpush, &[]).await;
    silent.send(&frame(HEADERS, END_STREAM, 1, &block)).await;
    others_are_served(&app).await;
    // It cannot answer a ping: nothing may come between a head's frames.
    while silent.next().await.is_some() {}

    let mut dripping = Http2::connect(app.addresses.pullpush, &[]).await;
    dripping.send(&frame(HEADERS, END_STREAM, 1, &block)).await;
    let began = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    while dripping.send(&frame(CONTINUATION, 0, 1, &[0x82])).await {
        ticks.tick().await;
        assert!(began.elapsed() < super::PATIENCE, "it is never cut off");
    }
    others_are_served(&app).await;
    app.stop().await;
}

#[tokio::test]
async fn a_body_that_drips_is_408() {
    let app = start().await;
    let mut client = Http2::connect(app.addresses.puppyone, &[]).await;
    let block = head("POST", "/api/v1/auth/login");
    client.send(&frame(HEADERS, END_HEADERS, 1, &block)).await;
    let began = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let answer = loop {
        client.send(&frame(DATA, 0, 1, b" ")).await;
        ticks.tick().await;
        assert!(began.elapsed() < super::PATIENCE, "it is never answered");
        if let Ok(got) = timeout(Duration::from_millis(1), client.0.readable()).await {
            got.unwrap();
            let got = client.next_alive();
            match timeout(Duration::from_millis(200), got).await {
                Ok(Some(got)) if got.kind == HEADERS => break got,
                Ok(None) => panic!("closed without an answer"),
                _ => {}
            }
        }
    };
    // 408 is not in the static table: its digits stand in the block, plain or in Huffman's code.
    let is_408 = [&b"408"[..], &[0x68, 0x0f, 0x7f]]
        .iter()
        .any(|digits| answer.payload.windows(digits.len()).any(|at| at == *digits));
    assert!(is_408, "{:02x?}", answer.payload);
    others_are_served(&app).await;
    app.stop().await;
}

#[tokio::test]
async fn a_window_that_is_never_opened_is_cut_off() {
    let app = start().await;
    // SETTINGS_INITIAL_WINDOW_SIZE: nothing, and a single byte.
    for window in [0u8, 1] {
        let settings = [0, 4, 0, 0, 0, window];
        let mut client = Http2::connect(app.addresses.pullpush, &settings).await;
        let block = head("GET", "/health");
        let flags = END_STREAM | END_HEADERS;
        client.send(&frame(HEADERS, flags, 1, &block)).await;
        others_are_served(&app).await;
        until_closed(&mut client).await;
    }
    // One that takes its answers stays, however long it is idle: its pings are answered.
    let mut patient = Http2::connect(app.addresses.pullpush, &[]).await;
    for stream in [1, 3, 5] {
        let block = head("GET", "/health");
        let flags = END_STREAM | END_HEADERS;
        patient.send(&frame(HEADERS, flags, stream, &block)).await;
        loop {
            let got = patient.next_alive().await.expect("it stays open");
            if got.stream == stream && got.flags & END_STREAM != 0 && got.kind <= HEADERS {
                break;
            }
        }
        let idle = timeout(Duration::from_millis(1500), patient.next_alive()).await;
        assert!(idle.is_err(), "{idle:?}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let app = start().await;
    let mut client = tokio::net::TcpStream::connect(app.addresses.pushpaka)
        .await
        .unwrap();
    // Requests one after the other, and never a read: the server's writes have to wait in the end.
    let request = b"GET /api/v1/nothing HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
    let sending = async { while client.write_all(&request).await.is_ok() {} };
    timeout(Duration::from_secs(120), sending)
        .await
        .expect("it is cut off");
    others_are_served(&app).await;
    app.stop().await;
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused() {
    let app = start().await;
    let mut client = Http2::connect(app.addresses.puppyone, &[]).await;
    let block = head("POST", "/api/v1/auth/login");
    let opening: Vec<u8> = (0..600u32)
        .flat_map(|n| frame(HEADERS, END_HEADERS, 2 * n + 1, &block))
        .collect();
    client.send(&opening).await;
    others_are_served(&app).await;
    let (mut refused, mut answered) = (0, 0);
    while refused + answered < 600 {
        match client.next_alive().await {
            Some(got) if got.kind == RST_STREAM && got.payload == [0, 0, 0, 7] => refused += 1,
            Some(got) if got.kind == HEADERS => answered += 1,
            Some(got) if got.kind == GOAWAY => break,
            Some(_) => {}
            None => break,
        }
    }
    assert!(refused > 0 && answered <= 256, "{refused} {answered}");
    others_are_served(&app).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rapid_resets_are_cut_off() {
    let app = start().await;
    let mut client = Http2::connect(app.addresses.puppyone, &[]).await;
    let block = head("POST", "/api/v1/auth/login");
    let cancel = 8u32.to_be_bytes();
    let burst: Vec<u8> = (0..20_000u32)
        .flat_map(|n| {
            let stream = 2 * n + 1;
            let mut bytes = frame(HEADERS, END_HEADERS, stream, &block);
            bytes.extend(frame(RST_STREAM, 0, stream, &cancel));
            bytes
        })
        .collect();
    let sent = client.send(&burst).await;
    others_are_served(&app).await;
    // It was told to go away, or it could not even send it all.
    let mut told = !sent;
    while let Some(got) = client.next().await {
        told |= got.kind == GOAWAY;
        if told {
            break;
        }
    }
    assert!(told || client.next().await.is_none());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_pings_and_settings_are_bounded() {
    let app = start().await;
    for flood in [
        frame(PING, 0, 0, &[7; 8]),
        frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]),
        frame(PING, ACK, 0, &[7; 8]),
    ] {
        let mut client = Http2::connect(app.addresses.pullpush, &[]).await;
        let burst = flood.repeat(50_000);
        // Answers are never read: the server stops reading, and then cuts it off, instead of keeping answers.
        let sending = async {
            for _ in 0..200 {
                if !client.send(&burst).await {
                    return true;
                }
            }
            false
        };
        let (is_cut, ()) = tokio::join!(timeout(super::PATIENCE * 2, sending), async {
            for _ in 0..5 {
                others_are_served(&app).await;
            }
        });
        // What needs no answer may all be read, since nothing is kept of it.
        let needs_answer = flood[4] & ACK == 0;
        assert!(!needs_answer || is_cut == Ok(true), "{is_cut:?}");
    }
    app.stop().await;
}
