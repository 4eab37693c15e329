//! Streams of the server, of the client, and of both.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt;
use http::StatusCode;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use prost::Message;
use pulpo_gateway_echo::proto::echo::v1::{CountReply, CountRequest};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tower::ServiceExt;

use crate::support::*;

fn trailers() -> serde_json::Value {
    json!({"x-trail": ["one", "two"], "x-trail-bin": ["AAEC/w"]})
}

#[tokio::test]
async fn a_server_streams_json_and_binary_messages() {
    let reply = stream(COUNT, &[r#"{"to":2,"size":1}"#]).await;
    assert_eq!(reply.header("content-type"), "application/connect+json");
    let (messages, end) = reply.stream();
    assert_eq!(
        messages,
        [
            json!({"index": 1, "padding": "cA=="}),
            json!({"index": 2, "padding": "cA=="})
        ]
    );
    assert_eq!(end, json!({"metadata": trailers()}));

    let asked = CountRequest {
        to: 3,
        ..CountRequest::default()
    };
    let request = post(COUNT, "application/connect+proto").header("x-lead", "one");
    let reply = send(
        request
            .body(full(envelope(0, &asked.encode_to_vec())))
            .unwrap(),
    )
    .await;
    assert_eq!(reply.header("content-type"), "application/connect+proto");
    assert_eq!(reply.header("x-lead"), "one");
    let envelopes = reply.envelopes();
    let indices: Vec<_> = envelopes[..3]
        .iter()
        .map(|(flags, message)| (*flags, CountReply::decode(message.clone()).unwrap().index))
        .collect();
    assert_eq!(indices, [(0, 1), (0, 2), (0, 3)]);
    assert_eq!(envelopes[3].0, 2);
}

#[tokio::test]
async fn an_error_ends_the_stream_early_or_late() {
    let reply = stream(COUNT, &[r#"{"to":1,"fail":{"code":8,"message":"enough"}}"#]).await;
    let (messages, end) = reply.stream();
    assert_eq!(messages.len(), 1);
    assert_eq!(end["error"]["code"], "resource_exhausted");
    assert_eq!(end["error"]["message"], "enough");
    assert_eq!(end["error"]["details"][0]["type"], "google.rpc.ErrorInfo");
    assert_eq!(end["metadata"]["x-failed"], json!(["yes"]));

    let (messages, end) = stream(COUNT, &[r#"{"fail":{"code":7}}"#]).await.stream();
    assert!(messages.is_empty());
    assert_eq!(end["error"]["code"], "permission_denied");
    assert_eq!(end["metadata"]["x-failed"], json!(["yes"]));
}

#[tokio::test]
async fn a_server_stream_is_asked_for_by_exactly_one_message() {
    let long = format!(r#"{{"unknown":"{}"}}"#, "x".repeat(200_000));
    let (_, end) = stream(COUNT, &[&long]).await.stream();
    assert_eq!(end["error"]["code"], "resource_exhausted");
    for messages in [&[][..], &["{}", "{}"][..]] {
        let (replies, end) = stream(COUNT, messages).await.stream();
        assert!(replies.is_empty());
        assert_eq!(end["error"]["code"], "unimplemented");
    }
}

#[tokio::test]
async fn a_client_streams() {
    let reply = stream(SUM, &[r#"{"number":3}"#, r#"{"number":"4"}"#, "{}"]).await;
    let (messages, end) = reply.stream();
    assert_eq!(messages, [json!({"sum": "7", "messages": 3})]);
    assert_eq!(end, json!({"metadata": trailers()}));
    let (messages, _) = stream(SUM, &[]).await.stream();
    assert_eq!(messages, [json!({})]);
}

#[tokio::test]
async fn envelopes_are_read_strictly() {
    let good = envelope(0, br#"{"number":1}"#);
    let packed = envelope(1, &gzip(br#"{"number":2}"#));
    let long = envelope(0, &vec![b' '; 200_001]);
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("identity", packed.clone(), "internal"),
        ("gzip", envelope(4, b"{}"), "internal"),
        ("gzip", envelope(2, b"{}"), "internal"),
        ("gzip", envelope(1, b"{}"), "invalid_argument"),
        ("gzip", good[..good.len() - 1].to_vec(), "invalid_argument"),
        ("gzip", long, "resource_exhausted"),
    ];
    for (encoding, second, code) in cases {
        let body = [good.clone(), second].concat();
        let request =
            post(SUM, "application/connect+json").header("connect-content-encoding", encoding);
        let (messages, end) = send(request.body(full(body)).unwrap()).await.stream();
        assert!(messages.is_empty(), "{code}");
        assert_eq!(end["error"]["code"], code, "{end}");
    }
    let body = [good, packed].concat();
    for size in 1..=body.len() {
        let request =
            post(SUM, "application/connect+json").header("connect-content-encoding", "gzip");
        let reply = send(request.body(pieces(&body, size)).unwrap()).await;
        assert_eq!(
            reply.stream().0,
            [json!({"sum": "3", "messages": 2})],
            "pieces of {size}"
        );
    }
}

#[tokio::test]
async fn long_messages_are_compressed_and_short_ones_are_not() {
    let request = post(COUNT, "application/connect+json")
        .header("connect-accept-encoding", "gzip")
        .body(full(envelope(0, br#"{"to":1,"size":9000}"#)))
        .unwrap();
    let reply = send(request).await;
    assert_eq!(reply.header("connect-content-encoding"), "gzip");
    assert_eq!(reply.header("content-encoding"), "");
    let envelopes = reply.envelopes();
    assert_eq!((envelopes[0].0, envelopes[1].0), (1, 2));
    let message: serde_json::Value = serde_json::from_slice(&gunzip(&envelopes[0].1)).unwrap();
    assert_eq!(message["padding"].as_str().unwrap().len(), 12_000);
}

#[tokio::test]
async fn both_sides_stream_at_once() {
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let sent = ReceiverStream::new(receiver).map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
    let request = post(CHAT, "application/connect+json");
    let request = request.body(Body::new(StreamBody::new(sent))).unwrap();
    let response = FACES.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    for text in ["a", "b"] {
        // The reply comes before the next request is written.
        let message = json!({"text": text}).to_string();
        sender
            .send(envelope(0, message.as_bytes()).into())
            .await
            .unwrap();
        let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(
            piece.ends_with(format!(r#"{{"request":{{"text":"{text}"}}}}"#).as_bytes()),
            "{piece:?}"
        );
    }
    drop(sender);
    let end = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(end[0], 2);
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_at_its_timeout() {
    let request = post(COUNT, "application/connect+json").header("connect-timeout-ms", "250");
    let body = envelope(0, br#"{"to":100,"pauseMs":100}"#);
    let (messages, end) = send(request.body(full(body)).unwrap()).await.stream();
    assert_eq!(messages.len(), 2);
    assert_eq!(end["error"]["code"], "deadline_exceeded");
}

#[tokio::test(start_paused = true)]
async fn a_stalled_request_message_is_not_waited_for() {
    let start = envelope(0, b"{}")[..6].to_vec();
    let stalled =
        futures_util::stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from(start)))])
            .chain(futures_util::stream::pending());
    let request = post(COUNT, "application/connect+json");
    let request = request.body(Body::new(StreamBody::new(stalled))).unwrap();
    let begun = tokio::time::Instant::now();
    let (_, end) = send(request).await.stream();
    assert_eq!(end["error"]["code"], "deadline_exceeded");
    assert_eq!(begun.elapsed(), Duration::from_secs(30));
}
