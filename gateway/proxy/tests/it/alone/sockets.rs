//! Streams over WebSockets.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{SinkExt, StreamExt, stream};
use http_body_util::BodyExt;
use nix::sys::signal::Signal;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, protocol::frame::coding::CloseCode},
};
use tonic::Code;

use super::output::{in_front_of, is_told, stands_still};
use crate::{
    gateway::{config, reflected},
    messages::{Line, framed, reply},
    running::Program,
    scripted::{collecting, counting, scripted, silent},
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connected(
    program: &Program,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<Socket, Error> {
    let mut request = format!("ws://{}{path}", program.address()).into_client_request()?;
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    connect_async(request).await.map(|(socket, _)| socket)
}

/// The texts until the close frame, and that.
async fn all(mut socket: Socket) -> (Vec<String>, u16, String) {
    let mut texts = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Text(text) => texts.push(text.to_string()),
            Message::Close(Some(frame)) => {
                return (texts, frame.code.into(), frame.reason.to_string());
            }
            _ => {}
        }
    }
    (texts, 1006, String::new())
}

#[tokio::test]
async fn the_close_code_is_the_status_and_an_early_error_keeps_its_own() {
    let server = counting().await;
    let program = in_front_of(&server).await;
    for (code, expected, reason) in [
        ("0", 1000, ""),
        ("14", 4503, "no more"),
        ("5", 4404, "no more"),
    ] {
        let headers = [("x-lines", "2"), ("x-code", code)];
        let socket = connected(&program, "/v1/logs/a:watch", &headers).await;
        let (texts, code, told) = all(socket.unwrap()).await;
        assert_eq!(texts[1], r#"{"id":2,"kind":"k","text":"line 2"}"#);
        assert_eq!((texts.len(), code, &*told), (2, expected, reason));
    }
    // In the head of the reply, and after it; in the head also where the client sends too.
    for (count, method) in [("-1", "watch"), ("0", "watch"), ("-1", "chat")] {
        let path = format!("/v1/logs/a:{method}");
        let headers = [("x-lines", count), ("x-code", "7")];
        let Err(Error::Http(response)) = connected(&program, &path, &headers).await else {
            panic!("{path} was opened");
        };
        assert_eq!(response.status(), 403);
        assert_eq!(response.headers()["content-type"], "application/json");
    }
    program.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn pages_open_sockets_from_the_host_itself_and_from_listed_origins() {
    let server = counting().await;
    let mut told = config(reflected(&server.url()));
    told.surfaces[0].cors_origins = vec!["https://app.example".to_owned()];
    let program = Program::start(told).await;
    let own = format!("http://{}", program.address());
    // What a client says of a host in front counts only behind a trusted proxy.
    let claim = ("x-forwarded-host", "evil.example");
    for (origin, is_opened) in [
        ("https://app.example", true),
        (&*own, true),
        ("https://evil.example", false),
    ] {
        let headers = [("origin", origin), claim];
        let opened = connected(&program, "/v1/logs/a:watch", &headers).await;
        match opened {
            Ok(_) => assert!(is_opened, "{origin}"),
            Err(Error::Http(refused)) => {
                assert_eq!(
                    (refused.status().as_u16(), is_opened),
                    (403, false),
                    "{origin}"
                );
            }
            Err(other) => panic!("{other}"),
        }
    }
    program.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn frames_go_both_ways_until_the_client_ends() {
    // Answers every message with the same one as soon as it comes.
    let server = scripted(|request| async move {
        let frames = stream::unfold(request.into_body(), |mut body| async move {
            let data = body.frame().await?.ok()?.into_data().ok()?;
            Some((data, body))
        });
        reply(frames, Code::Ok)
    })
    .await;
    let program = in_front_of(&server).await;
    let mut socket = connected(&program, "/v1/logs/l:chat", &[]).await.unwrap();
    for id in 1..=20 {
        let message = format!("{{\"id\":{id},\"log\":\"other\"}}");
        socket.send(Message::text(message)).await.unwrap();
        let answer = socket.next().await.unwrap().unwrap();
        let expected = format!("{{\"log\":\"l\",\"id\":{id}}}");
        assert_eq!(answer.to_text().unwrap(), expected);
    }
    socket.send(Message::text("")).await.unwrap();
    assert_eq!(all(socket).await, (vec![], 1000, String::new()));
    program.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn frames_become_a_client_stream_and_what_is_none_closes_the_socket() {
    let (server, seen) = collecting::<Line>().await;
    let mut told = config(reflected(&server.url()));
    told.surfaces[0].max_body_bytes = 4096;
    let program = Program::start(told).await;
    let long = format!("{{\"text\":\"{}\"}}", "x".repeat(5000));
    for (wrong, expected) in [
        (Message::text("{\"id\":\"x\"}"), 4400),
        (Message::binary(vec![1]), u16::from(CloseCode::Unsupported)),
        (Message::text(long), u16::from(CloseCode::Size)),
    ] {
        let mut socket = connected(&program, "/v1/logs/l:append", &[]).await.unwrap();
        socket.send(wrong).await.unwrap();
        let (texts, code, reason) = all(socket).await;
        assert_eq!((texts.len(), code), (0, expected), "{reason}");
    }
    let mut socket = connected(&program, "/v1/logs/l:append", &[]).await.unwrap();
    for id in 1..=3 {
        let message = format!("{{\"id\":{id}}}");
        socket.send(Message::text(message)).await.unwrap();
    }
    socket.send(Message::text("")).await.unwrap();
    assert_eq!(all(socket).await.0, [r#"{"log":"l","id":3}"#]);
    let seen: Vec<_> = seen.lock().unwrap().iter().map(|line| line.id).collect();
    assert_eq!(seen, [1, 2, 3]);
    program.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_gone_client_cancels_the_call_and_whoever_stops_the_program_closes_the_sockets() {
    let (server, gone) = silent().await;
    let mut program = in_front_of(&server).await;
    let mut socket = connected(&program, "/v1/logs/a:watch", &[]).await.unwrap();
    socket.next().await.unwrap().unwrap();
    assert_eq!(gone.available_permits(), 0);
    drop(socket);
    is_told(&gone).await;
    let mut socket = connected(&program, "/v1/logs/a:watch", &[]).await.unwrap();
    socket.next().await.unwrap().unwrap();
    program.running.signal(Signal::SIGTERM);
    assert_eq!(all(socket).await.1, u16::from(CloseCode::Away));
    is_told(&gone).await;
    assert!(program.running.child.wait().await.unwrap().success());
    server.stop().await;
}

#[tokio::test]
async fn an_open_socket_counts_among_the_connections() {
    let (server, _gone) = silent().await;
    let mut told = config(reflected(&server.url()));
    told.server.max_connections = 2;
    let program = Program::start(told).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut socket = connected(&program, "/v1/logs/a:watch", &[]).await.unwrap();
        socket.next().await.unwrap().unwrap();
        open.push(socket);
    }
    let mut third = Box::pin(program.status("/v1/lines/a"));
    let early = tokio::time::timeout(Duration::from_millis(300), &mut third).await;
    assert!(early.is_err(), "{early:?}");
    open.pop();
    assert_eq!(third.await, 200);
    drop(open);
    program.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_does_not_hold_the_program_up() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    let message = framed(&Line {
        text: "x".repeat(16 * 1024),
        ..Line::default()
    });
    let server = scripted(move |_| {
        let (counted, message) = (counted.clone(), message.clone());
        let endless = stream::repeat(message).inspect(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        async move { reply(endless, Code::Ok) }
    })
    .await;
    let mut told = config(reflected(&server.url()));
    told.server.drain_timeout_ms = 300;
    let mut program = Program::start(told).await;
    let socket = connected(&program, "/v1/logs/a:watch", &[]).await.unwrap();
    stands_still(&sent).await;
    program.running.signal(Signal::SIGTERM);
    let ended = tokio::time::timeout(Duration::from_secs(3), program.running.child.wait());
    assert!(ended.await.expect("it still runs").unwrap().success());
    drop(socket);
    server.stop().await;
}
