//! Server streams as arrays, lines and events, and readers that are slow or go away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream};
use http::{HeaderName, HeaderValue};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
};
use tonic::Code;

use crate::{
    gateway::{config, reflected},
    messages::{Json, Line, failing, framed, line, reply},
    running::Program,
    scripted::{Told, counting, scripted, silent},
    server::Server,
};

pub(crate) const ARRAY: &str = "application/json";
pub(crate) const LINES: &str = "application/x-ndjson";
pub(crate) const EVENTS: &str = "text/event-stream";

/// The program in front of a server that it asks for its descriptors.
pub(super) async fn in_front_of(server: &Server) -> Program {
    Program::start(config(reflected(&server.url()))).await
}

#[tokio::test]
async fn the_client_or_the_method_chooses_the_framing() {
    let server = counting().await;
    let program = in_front_of(&server).await;
    let one = r#"{"id":1,"kind":"k","text":"line 1"}"#;
    let two = r#"{"id":2,"kind":"k","text":"line 2"}"#;
    let events = format!(
        "retry: 3000\nid: 1\ndata: {one}\n\nid: 2\ndata: {two}\n\nevent: end\ndata: {{}}\n\n"
    );
    let fixed = format!("retry: 3000\nid: 1\nevent: k\ndata: {one}\n\nevent: end\ndata: {{}}\n\n");
    for (method, accept, count, content_type, expected) in [
        ("watch", ARRAY, "2", ARRAY, format!("[{one},{two}]")),
        ("watch", ARRAY, "0", ARRAY, "[]".to_owned()),
        ("watch", LINES, "2", LINES, format!("{one}\n{two}\n")),
        ("watch", LINES, "0", LINES, String::new()),
        ("watch", EVENTS, "2", EVENTS, events),
        ("feed", "*/*", "1", EVENTS, fixed),
        ("plain", EVENTS, "1", EVENTS, format!("data: {one}\n\n")),
    ] {
        let path = format!("/v1/logs/a:{method}");
        let headers = [("accept", accept), ("x-lines", count)];
        let response = program.get(&path, &headers).await;
        assert_eq!(response.status(), 200, "{path} {accept}");
        assert_eq!(response.headers()["content-type"], content_type);
        assert_eq!(response.text().await.unwrap(), expected, "{path} {accept}");
    }
    let wrong = program.get("/v1/logs/a:plain", &[("accept", ARRAY)]).await;
    assert_eq!(wrong.status(), 406);
    let socket = program.get("/v1/logs/a:chat", &[]).await;
    assert_eq!(socket.status(), 426);
    program.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn an_early_error_keeps_its_status_and_a_late_one_ends_the_framing() {
    let server = counting().await;
    let program = in_front_of(&server).await;
    let one = r#"{"id":1,"kind":"k","text":"line 1"}"#;
    let error = r#"{"code":14,"message":"no more","details":[]}"#;
    for (accept, expected) in [
        (ARRAY, format!("[{one},{error}]")),
        (LINES, format!("{one}\n{error}\n")),
        (
            EVENTS,
            format!("retry: 3000\nid: 1\ndata: {one}\n\nevent: error\ndata: {error}\n\n"),
        ),
    ] {
        // In the head of the reply, and after it.
        for count in ["-1", "0"] {
            let headers = [("accept", accept), ("x-lines", count), ("x-code", "5")];
            let early = program.get("/v1/logs/a:watch", &headers).await;
            assert_eq!(early.status(), 404);
            assert_eq!(early.headers()["content-type"], "application/json");
            let body = early.text().await.unwrap();
            assert_eq!(body, r#"{"code":5,"message":"no more","details":[]}"#);
        }
        let headers = [("accept", accept), ("x-lines", "1"), ("x-code", "14")];
        let late = program.get("/v1/logs/a:watch", &headers).await;
        assert_eq!(late.status(), 200);
        assert_eq!(late.text().await.unwrap(), expected);
    }
    program.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn what_an_early_end_says_besides_is_in_headers() {
    let server = scripted(|_| async { failing() }).await;
    let program = in_front_of(&server).await;
    for (path, accept) in [("/v1/logs/a:watch", EVENTS), ("/v1/lines/a", ARRAY)] {
        let refused = program.get(path, &[("accept", accept)]).await;
        assert_eq!(refused.status(), 404, "{path}");
        assert_eq!(refused.headers()["x-trail"], "one", "{path}");
    }
    program.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_server_does_not_open_the_surface_to_other_origins() {
    let server = scripted(|_| async {
        let mut permissive = reply(stream::iter([framed(&line(1))]), Code::Ok);
        for name in ["allow-origin", "allow-credentials"] {
            let name = format!("access-control-{name}").parse::<HeaderName>();
            permissive
                .headers_mut()
                .insert(name.unwrap(), HeaderValue::from_static("*"));
        }
        permissive
    })
    .await;
    let program = in_front_of(&server).await;
    let (web, call) = ("application/grpc-web+proto", vec![0; 5]);
    let method = "/gateway.test.v1.StreamService/Watch";
    for reply in [
        program
            .get("/v1/lines/a", &[("origin", "https://other.example")])
            .await,
        program.post(method, web, call).await,
    ] {
        assert_eq!(reply.status(), 200);
        let told: Vec<_> = reply.headers().keys().map(HeaderName::as_str).collect();
        assert!(
            !told
                .iter()
                .any(|name| name.starts_with("access-control-allow")),
            "{told:?}"
        );
    }
    program.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_ends_in_the_middle_is_an_error_of_the_stream() {
    let server = scripted(|_| async {
        let cut = stream::iter([framed(&line(1)), framed(&line(2)).slice(..7)]);
        reply(cut, Code::Ok)
    })
    .await;
    let program = in_front_of(&server).await;
    let broken = program.get("/v1/logs/a:watch", &[("accept", LINES)]).await;
    let body = broken.text().await.unwrap();
    assert_eq!(body.lines().count(), 2, "{body}");
    assert!(body.contains("BROKEN_REPLY"), "{body}");
    program.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn line_breaks_in_free_json_do_not_break_the_framing() {
    let with_breaks = framed(&Line {
        data: Some(Json {
            text: "{\n\"a\":\r\n1}".into(),
        }),
        ..Line::default()
    });
    let server = scripted(move |_| {
        let piece = with_breaks.clone();
        async move { reply(stream::iter([piece]), Code::Ok) }
    })
    .await;
    let program = in_front_of(&server).await;
    let lines = program.get("/v1/logs/a:watch", &[("accept", LINES)]).await;
    let expected = "{\"data\":{ \"a\":  1}}\n";
    assert_eq!(lines.text().await.unwrap(), expected);
    let events = program.get("/v1/logs/a:plain", &[]).await;
    let expected = "data: {\"data\":{\ndata: \"a\":\ndata: 1}}\n\n";
    assert_eq!(events.text().await.unwrap(), expected);
    program.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn silent_events_get_comments_and_a_gone_reader_cancels_the_call() {
    let (server, gone) = silent().await;
    let mut told = config(reflected(&server.url()));
    told.surfaces[0].streams.keep_alive_ms = 20;
    let program = Program::start(told).await;
    for path in ["/v1/logs/a:plain", "/v1/logs/a:watch"] {
        let mut response = program.get(path, &[("accept", EVENTS)]).await;
        let mut seen = String::new();
        while !seen.ends_with("\n\n: keep-alive\n\n: keep-alive\n\n") {
            let piece = response.chunk().await.unwrap().unwrap();
            seen.push_str(std::str::from_utf8(&piece).unwrap());
        }
        assert!(seen.contains("data: {\"id\":1,"), "{seen}");
        assert_eq!(gone.available_permits(), 0);
        drop(response);
        is_told(&gone).await;
    }
    program.stop().await;
    server.stop().await;
}

/// Waits until the server knows that its client is gone.
pub(super) async fn is_told(gone: &Semaphore) {
    let told = tokio::time::timeout(Duration::from_secs(30), gone.acquire());
    told.await
        .expect("the server was not told")
        .unwrap()
        .forget();
}

#[tokio::test]
async fn a_client_that_does_not_wait_for_the_first_message_cancels_the_call() {
    let arrived = Arc::new(Semaphore::new(0));
    let gone = Arc::new(Semaphore::new(0));
    let (comes, goes) = (arrived.clone(), gone.clone());
    let server = scripted(move |_| {
        let end = Told(goes.clone());
        comes.add_permits(1);
        async move {
            let _kept = end;
            std::future::pending().await
        }
    })
    .await;
    let program = in_front_of(&server).await;
    for path in ["/v1/logs/a:watch", "/v1/lines/a"] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
        let mut client = TcpStream::connect(program.address()).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        arrived.acquire().await.unwrap().forget();
        assert_eq!(gone.available_permits(), 0);
        drop(client);
        is_told(&gone).await;
    }
    program.stop().await;
    server.stop().await;
}

/// Bytes of the text of one message below.
const TEXT_BYTES: usize = 16 * 1024;
/// Messages of a stream that is longer than all buffers on its way, those of the system among them: 256 MiB.
const MANY: usize = 16 * 1024;
/// What may be on its way, most of it in the system's buffers, and what the program may need for it.
const ON_ITS_WAY: usize = 64 << 20;
const MEMORY_KIB: usize = 16 * 1024;

#[tokio::test]
async fn a_slow_reader_stops_the_server_and_costs_the_program_no_memory() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    let message = framed(&Line {
        text: "x".repeat(TEXT_BYTES),
        ..Line::default()
    });
    let server = scripted(move |_| {
        let (counted, message) = (counted.clone(), message.clone());
        let messages = stream::iter(0..MANY).map(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            message.clone()
        });
        async move { reply(messages, Code::Ok) }
    })
    .await;
    let program = in_front_of(&server).await;
    program.status("/v1/lines/a").await;
    sent.store(0, Ordering::Relaxed);
    program.forget_peak();
    let idle = program.resident_kib();
    let mut reader = TcpStream::connect(program.address()).await.unwrap();
    let request = "GET /v1/logs/a:watch HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
                   accept: application/x-ndjson\r\n\r\n";
    reader.write_all(request.as_bytes()).await.unwrap();
    let mut piece = vec![0; 64 * 1024];
    let mut read = reader.read(&mut piece).await.unwrap();
    stands_still(&sent).await;
    let stopped = sent.load(Ordering::Relaxed);
    assert!(stopped < ON_ITS_WAY / TEXT_BYTES, "{stopped} messages");
    // It goes on where it stopped, to the end.
    loop {
        match reader.read(&mut piece).await.unwrap() {
            0 => break,
            more => read += more,
        }
    }
    assert_eq!(sent.load(Ordering::Relaxed), MANY);
    assert!(read > MANY * TEXT_BYTES, "{read} bytes");
    let more = program.peak_kib() - idle;
    assert!(more < MEMORY_KIB, "{more} KiB");
    program.stop().await;
    server.stop().await;
}

/// Waits until the count has not changed for a while.
pub(super) async fn stands_still(count: &AtomicUsize) {
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    let (mut seen, mut same) = (0, 0);
    while same < 10 {
        looks.tick().await;
        let now = count.load(Ordering::Relaxed);
        same = if now == seen && now > 0 { same + 1 } else { 0 };
        seen = now;
    }
}
