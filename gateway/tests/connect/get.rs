//! Unary calls by GET.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Request, StatusCode};
use prost::Message;
use pulpo_gateway_echo::proto::echo::v1::{EchoReply, EchoRequest};
use tonic::body::Body;

use crate::support::*;

async fn get(path: &str, query: &str) -> Reply {
    let uri = format!("{path}?{query}");
    send(
        Request::get(uri)
            .header("x-lead", "one")
            .body(Body::empty())
            .unwrap(),
    )
    .await
}

#[tokio::test]
async fn the_message_stands_in_the_query() {
    let reply = get(
        ECHO,
        "connect=v1&encoding=json&message=%7B%22text%22%3A%22a%20%2B%22%7D",
    )
    .await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    assert_eq!(reply.json()["request"]["text"], "a +");
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("x-lead"), "one");
    assert_eq!(reply.header("trailer-x-trail"), "one");

    let request = EchoRequest {
        text: "a".repeat(3000),
        ..EchoRequest::default()
    };
    let packed = URL_SAFE_NO_PAD.encode(gzip(&request.encode_to_vec()));
    let query = format!("message={packed}&base64=1&compression=gzip&encoding=proto&other=1");
    let reply = get(ECHO, &query).await;
    assert_eq!(reply.header("content-type"), "application/proto");
    assert_eq!(reply.header("content-encoding"), "gzip");
    let echoed = EchoReply::decode(gunzip(&reply.body).as_slice()).unwrap();
    assert_eq!(echoed.request, Some(request));
    // No bytes are a message of nothing, compressed or not.
    let reply = get(ECHO, "compression=gzip&encoding=proto&message=").await;
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_wrong_with_the_query_is_told() {
    let cases = [
        ("encoding=json", "invalid_argument"),
        ("encoding=json&message=%7B", "invalid_argument"),
        (
            "encoding=json&message=%7B%7D&connect=v2",
            "invalid_argument",
        ),
        ("encoding=proto&message=%21&base64=1", "invalid_argument"),
        (
            "encoding=json&message=%7B%7D&compression=foo",
            "unimplemented",
        ),
    ];
    for (query, code) in cases {
        let reply = get(ECHO, query).await;
        assert_eq!(reply.json()["code"], code, "{query}");
    }
    assert_eq!(
        get(ECHO, "message=%7B%7D").await.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    assert_eq!(
        get(ECHO, "message=&encoding=xml").await.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
}

#[tokio::test]
async fn only_methods_without_side_effects_are_read_by_get() {
    let reply = get(COUNT, "encoding=json&message=%7B%7D").await;
    assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(reply.header("allow"), "POST");
}
