//! Bytes as they are, and replies that are not the plain 200.

use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use tonic::Code;

use super::output::{LINES, in_front_of};
use crate::{
    gateway::{config, reflected},
    messages::{HttpBody, Line, Part, framed, line, reply, unframed},
    running::Program,
    scripted::{collecting, counting, scripted},
    server::Server,
};

fn pieces() -> [Bytes; 3] {
    [("text/csv", "a,b\n"), ("", "1,2\n"), ("", "")].map(|(content_type, data)| {
        framed(&HttpBody {
            content_type: content_type.into(),
            data: data.into(),
        })
    })
}

#[tokio::test]
async fn bytes_go_out_as_they_are_under_their_own_type() {
    let server = scripted(|request| async move {
        let code = request.headers().get("x-code");
        let code = code.map_or(0, |code| code.to_str().unwrap().parse().unwrap());
        reply(stream::iter(pieces()), Code::from_i32(code))
    })
    .await;
    let program = in_front_of(&server).await;
    // Whatever the client accepts: only the first message tells the type.
    let file = program.get("/v1/files/f", &[("accept", "image/png")]).await;
    assert_eq!(file.headers()["content-type"], "text/csv");
    assert_eq!(file.text().await.unwrap(), "a,b\n1,2\n");
    // There is no place for a late error among bytes: the connection breaks off.
    let broken = program.get("/v1/files/f", &[("x-code", "15")]).await;
    assert_eq!(broken.status(), 200);
    assert!(broken.text().await.is_err());
    program.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn bytes_that_fail_at_once_have_a_status() {
    let server = counting().await;
    let program = in_front_of(&server).await;
    let missing = program.get("/v1/files/f", &[("x-code", "5")]).await;
    assert_eq!(missing.status(), 404);
    let empty = program.get("/v1/files/f", &[]).await;
    assert_eq!(empty.headers()["content-type"], "application/octet-stream");
    assert_eq!(empty.text().await.unwrap(), "");
    program.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn bytes_come_in_pieces_with_type_and_path() {
    let (server, seen) = collecting::<Part>().await;
    let program = in_front_of(&server).await;
    // Longer than a message may be.
    for length in [0, 10 << 20] {
        let long = Bytes::from(vec![7; length]);
        let sent = program.post("/v1/files/f", "image/png", long.clone()).await;
        assert_eq!(sent.status(), 200);
        let parts = std::mem::take(&mut *seen.lock().unwrap());
        assert!(parts.iter().all(|part| part.name == "f"));
        let bodies: Vec<HttpBody> = parts.into_iter().map(|part| part.body.unwrap()).collect();
        assert_eq!(bodies[0].content_type, "image/png");
        assert!(bodies[1..].iter().all(|body| body.content_type.is_empty()));
        let data: Vec<u8> = bodies.iter().flat_map(|body| body.data.to_vec()).collect();
        assert!(data == long, "{} bytes of {length}", data.len());
    }
    program.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn one_message_of_bytes_each_way() {
    // The bytes that came go back under their type.
    let server = scripted(|request| async move {
        let body = http_body_util::BodyExt::collect(request.into_body()).await;
        let bytes = body.unwrap().to_bytes();
        let part = unframed::<Part>(&bytes).pop().unwrap();
        assert_eq!(part.name, "f");
        reply(stream::iter([framed(&part.body.unwrap())]), Code::Ok)
    })
    .await;
    let program = in_front_of(&server).await;
    let put = async |body: Vec<u8>| {
        let request = program.client.put(program.url("/v1/files/f"));
        let request = request.header("content-type", "image/png");
        request.body(body).send().await.unwrap()
    };
    let stored = put(vec![0, 255, 10]).await;
    assert_eq!(stored.status(), StatusCode::CREATED);
    assert_eq!(stored.headers()["content-type"], "image/png");
    assert_eq!(stored.bytes().await.unwrap(), [0, 255, 10].as_slice());
    // One message has the limit of one.
    assert_eq!(put(vec![0; (4 << 20) + 1]).await.status(), 413);
    program.stop().await;
    server.stop().await;
}

/// A server that answers with a line that has this for its first field.
async fn saying(first: &'static str) -> Server {
    scripted(move |_| async move {
        let said = Line {
            log: first.into(),
            ..line(1)
        };
        reply(stream::iter([framed(&said)]), Code::Ok)
    })
    .await
}

#[tokio::test]
async fn a_method_may_send_clients_elsewhere_or_answer_with_nothing() {
    let server = saying("https://a.example/?x=1").await;
    let program = in_front_of(&server).await;
    let visit = program.get("/v1/visit/a", &[]).await;
    assert_eq!(visit.status(), 303);
    assert_eq!(visit.headers()["location"], "https://a.example/?x=1");
    assert_eq!(visit.text().await.unwrap(), "");
    let removed = program.client.delete(program.url("/v1/logs/a"));
    let removed = removed.send().await.unwrap();
    assert_eq!(removed.status(), 204);
    assert!(!removed.headers().contains_key("content-type"));
    assert!(!removed.headers().contains_key("content-length"));
    program.stop().await;
    server.stop().await;
    let server = saying("a\r\nset-cookie: b").await;
    let program = in_front_of(&server).await;
    let broken = program.get("/v1/visit/a", &[]).await;
    assert_eq!(broken.status(), 500);
    assert!(broken.text().await.unwrap().contains("BROKEN_REPLY"));
    program.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_reply_the_client_has_is_not_sent_again() {
    let (server, other) = (saying("a").await, saying("b").await);
    let mut told = config(reflected(&server.url()));
    told.surfaces[0].entity_tags = true;
    let program = Program::start(told.clone()).await;
    let first = program.get("/v1/lines/a", &[]).await;
    let tag = first.headers()["etag"].to_str().unwrap().to_owned();
    let known = [("if-none-match", &*tag)];
    let again = program.get("/v1/lines/a", &known).await;
    assert_eq!(
        (again.status(), again.headers()["etag"].as_bytes()),
        (StatusCode::NOT_MODIFIED, tag.as_bytes())
    );
    assert_eq!(again.text().await.unwrap(), "");
    // Streams are not there as a whole when their head goes out.
    let lines = program.get("/v1/logs/a:watch", &[("accept", LINES)]).await;
    assert!(!lines.headers().contains_key("etag"));
    program.stop().await;
    told.upstreams[0].url = other.url();
    let program = Program::start(told).await;
    let changed = program.get("/v1/lines/a", &known).await;
    assert_eq!(changed.status(), 200);
    assert_ne!(changed.headers()["etag"], tag);
    program.stop().await;
    server.stop().await;
    other.stop().await;
}
