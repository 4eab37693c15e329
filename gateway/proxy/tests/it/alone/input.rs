//! Client streams from lines, arrays and values one after the other.

use std::sync::Arc;

use futures_util::stream;
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
};
use tonic::Code;

use super::output::{ARRAY, LINES, in_front_of, is_told};
use crate::{
    gateway::{config, reflected},
    messages::{Line, framed, reply, unframed},
    running::Program,
    scripted::{Told, collecting, scripted},
};

/// `gateway.test.v1.Entry`; a Line where it is read as the reply.
#[derive(Clone, PartialEq, prost::Message)]
struct Entry {
    #[prost(string, tag = "1")]
    log: String,
    #[prost(message, optional, tag = "2")]
    line: Option<Line>,
    #[prost(bool, tag = "3")]
    is_draft: bool,
}

const BODIES: [(&str, &str); 3] = [
    (
        LINES,
        "{\"id\":1,\"text\":\"a\"}\n\n{\"id\":2,\"text\":\"b\",\"log\":\"other\"}\n{\"id\":3}",
    ),
    (
        ARRAY,
        "[{\"id\":1,\"text\":\"a\"}, {\"id\":2,\"text\":\"b\",\"log\":\"other\"},{\"id\":3}]",
    ),
    (
        ARRAY,
        "{\"id\":1,\"text\":\"a\"} {\"id\":2,\"text\":\"b\",\"log\":\"other\"}{\"id\":3}",
    ),
];

/// The lines of those bodies, where the log of the second is not hidden by the path's.
fn lines(log: &str, other: &str) -> [Line; 3] {
    [(log, 1, "a"), (other, 2, "b"), (log, 3, "")].map(|(log, id, text)| Line {
        log: log.into(),
        id,
        text: text.into(),
        ..Line::default()
    })
}

#[tokio::test]
async fn every_message_has_what_the_path_says() {
    let (server, seen) = collecting::<Line>().await;
    let program = in_front_of(&server).await;
    for (content_type, body) in BODIES {
        let response = program.post("/v1/logs/l:append", content_type, body).await;
        assert_eq!(response.status(), 200, "{body}");
        assert_eq!(response.text().await.unwrap(), r#"{"log":"l","id":3}"#);
        assert_eq!(*seen.lock().unwrap(), lines("l", "l"), "{body}");
    }
    program.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn many_small_messages_do_not_end_the_connection_of_others() {
    let (server, seen) = collecting::<Line>().await;
    let program = in_front_of(&server).await;
    let count = 20_000;
    let body: String = (1..=count).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    let response = program.post("/v1/logs/l:append", LINES, body).await;
    assert_eq!(response.status(), 200);
    assert_eq!(seen.lock().unwrap().len(), count);
    program.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn every_message_has_what_the_query_says() {
    let (server, seen) = collecting::<Entry>().await;
    let program = in_front_of(&server).await;
    for (content_type, body) in BODIES {
        for (query, is_draft) in [("?isDraft=true", true), ("", false)] {
            let path = format!("/v1/logs/l:import{query}");
            let response = program.post(&path, content_type, body).await;
            assert_eq!(response.status(), 200, "{body}");
            let expected = lines("", "other").map(|line| Entry {
                log: "l".into(),
                line: Some(line),
                is_draft,
            });
            assert_eq!(*seen.lock().unwrap(), expected, "{body}");
        }
    }
    let unknown = program
        .post("/v1/logs/l:import?nothing=1", LINES, "{}")
        .await;
    assert_eq!(unknown.status(), 400);
    program.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_stream_of_messages_is_refused() {
    let (server, _) = collecting::<Line>().await;
    let mut told = config(reflected(&server.url()));
    told.surfaces[0].max_body_bytes = 4096;
    let program = Program::start(told).await;
    let long = format!("{{\"text\":\"{}\"}}\n", "x".repeat(4096));
    for (content_type, body, status) in [
        (LINES, "{\"id\":1}\n{\"id\":\"x\"}\n", 400),
        (LINES, "{\"id\":1}\n{\"nothing\":1}\n", 400),
        (ARRAY, "[{\"id\":1}", 400),
        (ARRAY, "[{\"id\":1},]", 400),
        ("text/csv", "1,2", 415),
        (LINES, &long, 413),
        // The limit is each message's: many of them may be longer together.
        (LINES, &"{\"id\":1}\n".repeat(1000), 200),
    ] {
        let response = program.post("/v1/logs/l:append", content_type, body.to_owned());
        assert_eq!(response.await.status(), status, "{body:.40}");
    }
    program.stop().await;
    server.stop().await;
}

/// Lines one by one, from a client that has not come to the end of them.
async fn begun(program: &Program) -> TcpStream {
    let mut client = TcpStream::connect(program.address()).await.unwrap();
    let head = "POST /v1/logs/l:append HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
                content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    send(&mut client, "{\"id\":1}\n").await;
    client
}

async fn send(client: &mut TcpStream, text: &str) {
    let chunk = format!("{:x}\r\n{text}\r\n", text.len());
    client.write_all(chunk.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn messages_reach_the_server_as_they_come_and_a_gone_client_cancels_the_call() {
    let (arrived, gone) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (comes, goes) = (arrived.clone(), gone.clone());
    let server = scripted(move |request| {
        let (comes, end) = (comes.clone(), Told(goes.clone()));
        async move {
            let _kept = end;
            let mut body = request.into_body();
            let mut last = Line::default();
            while let Some(Ok(frame)) = body.frame().await {
                for line in unframed::<Line>(frame.data_ref().unwrap()) {
                    comes.add_permits(1);
                    last = line;
                }
            }
            reply(stream::iter([framed(&last)]), Code::Ok)
        }
    })
    .await;
    let program = in_front_of(&server).await;
    let mut client = begun(&program).await;
    is_told(&arrived).await;
    send(&mut client, "{\"id\":2}\n").await;
    is_told(&arrived).await;
    client.write_all(b"0\r\n\r\n").await.unwrap();
    let mut whole = String::new();
    client.read_to_string(&mut whole).await.unwrap();
    assert!(whole.starts_with("HTTP/1.1 200"), "{whole}");
    assert!(whole.contains(r#"{"log":"l","id":2}"#), "{whole}");
    is_told(&gone).await;

    let client = begun(&program).await;
    is_told(&arrived).await;
    assert_eq!(gone.available_permits(), 0);
    drop(client);
    is_told(&gone).await;
    program.stop().await;
    server.stop().await;
}
