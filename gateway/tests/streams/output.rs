//! Server streams as arrays, lines and events.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Version;
use http_body_util::BodyExt;
use pulpo_gateway::reply::Sockets;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::{Code, Status};

use super::{
    Json, Line, Service, call, failing, framed, get, is_refused, line, lines, options, reply,
    service, sockets::served_by, surface, text,
};

const ARRAY: &str = "application/json";
const LINES: &str = "application/x-ndjson";
const EVENTS: &str = "text/event-stream";

async fn watched(path: &str, accept: &str, count: i32, code: Code) -> (String, String) {
    let surface = surface(options());
    let watch = service(move |_| async move { reply(lines(count), code) });
    let response = call(&surface, watch, get(path, &[("accept", accept)])).await;
    assert_eq!(response.status(), 200);
    let content_type = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    (content_type, text(response).await)
}

#[tokio::test]
async fn the_client_chooses_the_framing() {
    let one = r#"{"id":1,"kind":"k","text":"line 1"}"#;
    let two = r#"{"id":2,"kind":"k","text":"line 2"}"#;
    let cases = [
        (ARRAY, 2, format!("[{one},{two}]")),
        (ARRAY, 0, "[]".to_owned()),
        (LINES, 2, format!("{one}\n{two}\n")),
        (LINES, 0, String::new()),
        (
            EVENTS,
            2,
            format!(
                "retry: 3000\nid: 1\ndata: {one}\n\nid: 2\ndata: {two}\n\nevent: end\ndata: {{}}\n\n"
            ),
        ),
        (EVENTS, 0, "event: end\ndata: {}\n\n".to_owned()),
    ];
    for (accept, count, expected) in cases {
        let (content_type, body) = watched("/v1/logs/a:watch", accept, count, Code::Ok).await;
        assert_eq!((content_type.as_str(), body), (accept, expected), "{count}");
    }
}

#[tokio::test]
async fn the_method_fixes_the_framing_and_what_events_say() {
    let (_, body) = watched("/v1/logs/a:feed", "*/*", 1, Code::Ok).await;
    let data = r#"data: {"id":1,"kind":"k","text":"line 1"}"#;
    assert_eq!(
        body,
        format!("retry: 3000\nid: 1\nevent: k\n{data}\n\nevent: end\ndata: {{}}\n\n")
    );
    let (_, body) = watched("/v1/logs/a:plain", EVENTS, 1, Code::Ok).await;
    assert_eq!(body, format!("{data}\n\n"));
    let surface = surface(options());
    let wrong = get("/v1/logs/a:plain", &[("accept", ARRAY)]);
    is_refused(call(&surface, never(), wrong).await, 406, "NOT_ACCEPTABLE").await;
    let wrong = get("/v1/logs/a:watch", &[("accept", "image/png")]);
    is_refused(call(&surface, never(), wrong).await, 406, "NOT_ACCEPTABLE").await;
}

fn never() -> Service {
    service(|_| async { unreachable!() })
}

#[tokio::test]
async fn what_is_a_socket_alone_says_so() {
    let surface = surface(options());
    let refused = call(&surface, never(), get("/v1/logs/a:chat", &[])).await;
    assert_eq!(refused.headers()["upgrade"], "websocket");
    assert_eq!(refused.headers()["connection"], "upgrade");
    is_refused(refused, 426, "UPGRADE_REQUIRED").await;
    // Headers about the connection are malformed there.
    let mut second = get("/v1/logs/a:chat", &[]);
    *second.version_mut() = Version::HTTP_2;
    let refused = call(&surface, never(), second).await;
    assert!(!refused.headers().contains_key("upgrade"));
    assert!(!refused.headers().contains_key("connection"));
    is_refused(refused, 426, "UPGRADE_REQUIRED").await;
    // As it is written.
    let address = served_by(surface, never(), Sockets::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET /v1/logs/a:chat HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut written = String::new();
    stream.read_to_string(&mut written).await.unwrap();
    assert!(written.starts_with("HTTP/1.1 426 "), "{written}");
    assert!(written.contains("upgrade: websocket\r\n"), "{written}");
    assert!(written.contains("connection: upgrade"), "{written}");
}

#[tokio::test]
async fn an_error_before_the_first_message_has_its_status() {
    let surface = surface(options());
    for in_head in [true, false] {
        let missing = service(move |_| async move {
            match in_head {
                true => Status::not_found("no such log").into_http(),
                false => reply(lines(0), Code::NotFound),
            }
        });
        let response = call(
            &surface,
            missing,
            get("/v1/logs/a:watch", &[("accept", EVENTS)]),
        )
        .await;
        is_refused(response, 404, "").await;
    }
}

#[tokio::test]
async fn what_an_early_end_says_besides_is_in_headers() {
    let surface = surface(options());
    for accept in [ARRAY, LINES, EVENTS] {
        let missing = service(|_| async { failing() });
        let request = get("/v1/logs/a:watch", &[("accept", accept)]);
        let response = call(&surface, missing, request).await;
        assert_eq!(response.headers()["x-trail"], "one", "{accept}");
        is_refused(response, 404, "").await;
    }
}

#[tokio::test]
async fn a_later_error_ends_the_stream_in_its_framing() {
    let error = r#"{"message":"no more","reason":""}"#;
    let one = r#"{"id":1,"kind":"k","text":"line 1"}"#;
    for (accept, expected) in [
        (ARRAY, format!("[{one},{error}]")),
        (LINES, format!("{one}\n{error}\n")),
        (
            EVENTS,
            format!("retry: 3000\nid: 1\ndata: {one}\n\nevent: error\ndata: {error}\n\n"),
        ),
    ] {
        let (_, body) = watched("/v1/logs/a:watch", accept, 1, Code::Unavailable).await;
        assert_eq!(body, expected);
    }
}

#[tokio::test]
async fn line_breaks_in_free_json_do_not_break_the_framing() {
    let with_breaks = Line {
        data: Some(Json {
            text: "{\n\"a\":\r\n1}".into(),
        }),
        ..Line::default()
    };
    for (accept, expected) in [
        (LINES, "{\"data\":{ \"a\":  1}}\n".to_owned()),
        (
            EVENTS,
            "retry: 3000\nid: 1\ndata: {\"data\":{\ndata: \"a\":\ndata: 1}}\n\nevent: end\ndata: {}\n\n".to_owned(),
        ),
    ] {
        let frame = framed(&with_breaks);
        let watch = service(move |_| {
            let frame = frame.clone();
            async move { reply(stream::iter([frame]), Code::Ok) }
        });
        let response = call(&surface(options()), watch, get("/v1/logs/a:watch", &[("accept", accept)])).await;
        assert_eq!(text(response).await, expected);
    }
}

#[tokio::test]
async fn the_cuts_of_the_upstream_do_not_matter() {
    let surface = surface(options());
    let whole: Vec<u8> = (1..=3).flat_map(|id| framed(&line(id)).to_vec()).collect();
    let mut bodies = Vec::new();
    for size in 1..=whole.len() {
        let pieces: Vec<Bytes> = whole.chunks(size).map(Bytes::copy_from_slice).collect();
        let watch = service(move |_| {
            let pieces = pieces.clone();
            async move { reply(stream::iter(pieces), Code::Ok) }
        });
        bodies.push(text(call(&surface, watch, get("/v1/logs/a:watch", &[])).await).await);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
}

#[tokio::test]
async fn a_reply_that_stops_without_a_status_is_an_error() {
    let cut = service(|_| async {
        let body = http_body_util::StreamBody::new(
            lines(1).map(|piece| Ok::<_, Status>(http_body::Frame::data(piece))),
        );
        http::Response::new(tonic::body::Body::new(body))
    });
    let response = call(
        &surface(options()),
        cut,
        get("/v1/logs/a:watch", &[("accept", LINES)]),
    )
    .await;
    let body = text(response).await;
    assert!(body.ends_with("\"reason\":\"BROKEN_REPLY\"}\n"), "{body}");
}

#[tokio::test]
async fn a_slow_reader_stops_the_upstream_and_a_gone_one_ends_it() {
    struct Guard(Arc<AtomicUsize>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.store(usize::MAX, Ordering::SeqCst);
        }
    }
    let polled = Arc::new(AtomicUsize::new(0));
    let counted = polled.clone();
    let endless = service(move |_| {
        let guard = Guard(counted.clone());
        let pieces = stream::iter(1..).map(move |id| {
            guard.0.fetch_add(1, Ordering::SeqCst);
            framed(&line(id))
        });
        async move { reply(pieces, Code::Ok) }
    });
    let mut response = call(&surface(options()), endless, get("/v1/logs/a:watch", &[])).await;
    response.body_mut().frame().await.unwrap().unwrap();
    let after_one = polled.load(Ordering::SeqCst);
    assert!((2..5000).contains(&after_one), "{after_one}");
    tokio::task::yield_now().await;
    assert_eq!(polled.load(Ordering::SeqCst), after_one);
    drop(response);
    assert_eq!(polled.load(Ordering::SeqCst), usize::MAX);
}

#[tokio::test(start_paused = true)]
async fn silent_events_get_comments() {
    let silent = service(|_| async { reply(lines(1).chain(stream::pending()), Code::Ok) });
    let mut response = call(&surface(options()), silent, get("/v1/logs/a:plain", &[])).await;
    let mut frame = async || {
        response
            .body_mut()
            .frame()
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap()
    };
    assert!(frame().await.starts_with(b"data: "));
    let before = tokio::time::Instant::now();
    for _ in 0..3 {
        assert_eq!(frame().await, ": keep-alive\n\n");
    }
    assert_eq!(before.elapsed(), Duration::from_secs(45));
}
