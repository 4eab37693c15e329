//! Client streams from lines and arrays.

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use tonic::{Status, body::Body};

use super::{Line, call, collecting, is_refused, options, post, surface, text};

const LINES: &str = "application/x-ndjson";

fn expected() -> Vec<Line> {
    [(1, "a"), (2, "b"), (3, "")]
        .into_iter()
        .map(|(id, text)| Line {
            log: "l".into(),
            id,
            text: text.into(),
            ..Line::default()
        })
        .collect()
}

#[tokio::test]
async fn values_become_messages_with_the_path_in_each() {
    let surface = surface(options());
    for (content_type, body) in [
        (
            LINES,
            "{\"id\":1,\"text\":\"a\"}\n\n{\"id\":2,\"text\":\"b\",\"log\":\"other\"}\n{\"id\":3}",
        ),
        (
            "application/json",
            "[{\"id\":1,\"text\":\"a\"}, {\"id\":2,\"text\":\"b\"},{\"id\":3}]",
        ),
        (
            "application/json",
            "{\"id\":1,\"text\":\"a\"} {\"id\":2,\"text\":\"b\"}{\"id\":3}",
        ),
    ] {
        for size in 1..=body.len() {
            let pieces: Vec<_> = body
                .as_bytes()
                .chunks(size)
                .map(Bytes::copy_from_slice)
                .collect();
            let frames = pieces
                .into_iter()
                .map(|piece| Ok::<_, Status>(Frame::data(piece)));
            let request = Request::post("/v1/logs/l:append")
                .header("content-type", content_type)
                .body(Body::new(StreamBody::new(stream::iter(frames))))
                .unwrap();
            let (service, seen) = collecting::<Line>();
            let response = call(&surface, service, request).await;
            assert_eq!(response.status(), 200, "{body}");
            assert_eq!(text(response).await, r#"{"log":"l","id":3}"#);
            assert_eq!(
                *seen.lock().unwrap(),
                expected(),
                "{body} in pieces of {size}"
            );
        }
    }
}

async fn sent(content_type: &str, body: impl Into<Bytes>) -> Response<Body> {
    let (service, _) = collecting::<Line>();
    call(
        &surface(options()),
        service,
        post("/v1/logs/l:append", content_type, body),
    )
    .await
}

#[tokio::test]
async fn what_is_no_stream_of_messages_is_refused() {
    is_refused(
        sent(LINES, "{\"id\":1}\n{\"id\":\"x\"}\n").await,
        400,
        "INVALID_BODY",
    )
    .await;
    is_refused(
        sent(LINES, "{\"id\":1}\n{\"nothing\":1}\n").await,
        400,
        "INVALID_BODY",
    )
    .await;
    is_refused(
        sent("application/json", "[{\"id\":1}").await,
        400,
        "INVALID_BODY",
    )
    .await;
    is_refused(
        sent("application/json", "[{\"id\":1},]").await,
        400,
        "INVALID_BODY",
    )
    .await;
    is_refused(sent("text/csv", "1,2").await, 415, "UNSUPPORTED_MEDIA_TYPE").await;
    let long = format!("{{\"text\":\"{}\"}}\n", "x".repeat(4096));
    is_refused(sent(LINES, long).await, 413, "BODY_TOO_LARGE").await;
    // The limit is each message's: many of them may be longer together.
    let many = "{\"id\":1}\n".repeat(1000);
    assert_eq!(sent(LINES, many).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_given_up() {
    let frames = stream::pending::<Result<Frame<Bytes>, Status>>();
    let request = Request::post("/v1/logs/l:append")
        .header("content-type", LINES)
        .body(Body::new(StreamBody::new(frames)))
        .unwrap();
    let (service, _) = collecting::<Line>();
    is_refused(
        call(&surface(options()), service, request).await,
        408,
        "BODY_TIMEOUT",
    )
    .await;
}
