//! Which headers become metadata and which metadata headers: by the surface's rules, as in REST.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use prost_reflect::DescriptorPool;
use pulpo_gateway::{
    connect::{Connect, ConnectOptions, Methods},
    metadata::{MetadataRules, PassList},
};
use serde_json::{Value, json};
use tonic::body::Body;
use tower::ServiceExt;

use crate::support::{COUNT, ECHO, full, post, unary};

fn methods(metadata: MetadataRules) -> Arc<Methods> {
    let pool = DescriptorPool::decode(pulpo_gateway_echo::proto::DESCRIPTOR_SET).unwrap();
    let services: Vec<_> = pool.services().collect();
    let options = ConnectOptions {
        metadata,
        ..ConnectOptions::default()
    };
    Arc::new(Methods::compile(&pool, &services, options).unwrap())
}

/// `x-tenant` and, under another name, `x-old` in; `x-end`, which was `x-trail`, and `x-lead` out.
fn narrow() -> MetadataRules {
    let (mut requests, mut replies) = (PassList::default(), PassList::default());
    requests.pass("x-tenant").unwrap();
    requests.rename("x-old", "tenant").unwrap();
    replies.pass("x-lead").unwrap();
    replies.rename("x-trail", "x-end").unwrap();
    MetadataRules { requests, replies }
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|&(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
        .collect()
}

/// One empty message, and metadata at both of its ends.
fn answer() -> Response<Body> {
    let frames = [
        Frame::data(bytes::Bytes::from_static(&[0; 5])),
        Frame::trailers(headers(&[
            ("grpc-status", "0"),
            ("x-trail", "one"),
            ("x-trail", "two"),
            ("x-secret", "s"),
        ])),
    ];
    let frames = futures_util::stream::iter(frames.map(Ok::<_, Infallible>));
    let mut reply = Response::new(Body::new(StreamBody::new(frames)));
    *reply.headers_mut() = headers(&[
        ("content-type", "application/grpc"),
        ("x-lead", "l"),
        ("x-secret", "s"),
        ("connect-x", "reserved"),
    ]);
    reply
}

/// The reply to a request with many headers, and what the service saw of them.
async fn call(
    methods: Arc<Methods>,
    path: &str,
    content_type: &str,
) -> (HeaderMap, Vec<u8>, HeaderMap) {
    let seen = Arc::new(Mutex::new(HeaderMap::new()));
    let kept = seen.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        *kept.lock().unwrap() = request.headers().clone();
        async { Ok::<_, Infallible>(answer()) }
    });
    let request = post(path, content_type)
        .header("x-tenant", "1")
        .header("x-old", "2")
        .header("x-new", "3")
        .header("cookie", "4")
        .header("connect-protocol-version", "1")
        .header("connect-timeout-ms", "1500");
    let body = match content_type {
        "application/json" => full("{}"),
        _ => full(crate::support::envelope(0, b"{}")),
    };
    let connect = Connect::new(methods, service);
    let reply = connect.oneshot(request.body(body).unwrap()).await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    let (parts, body) = reply.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    let seen = seen.lock().unwrap().clone();
    (parts.headers, body, seen)
}

#[tokio::test]
async fn only_what_the_surface_lists_passes_and_some_under_another_name() {
    let (replied, _, seen) = call(methods(narrow()), ECHO, "application/json").await;
    let own = headers(&[
        ("x-tenant", "1"),
        ("tenant", "2"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("grpc-timeout", "1500000u"),
    ]);
    assert_eq!(seen, own);
    assert_eq!(replied["x-lead"], "l");
    let ends: Vec<_> = replied.get_all("trailer-x-end").iter().collect();
    assert_eq!(ends, ["one", "two"]);
    for absent in [
        "x-secret",
        "trailer-x-secret",
        "trailer-x-trail",
        "connect-x",
    ] {
        assert!(!replied.contains_key(absent), "{absent}");
    }
}

#[tokio::test]
async fn streams_end_with_the_metadata_the_surface_lists() {
    let (replied, body, seen) = call(methods(narrow()), COUNT, "application/connect+json").await;
    assert_eq!(
        (&seen["tenant"], seen.get("x-new")),
        (&HeaderValue::from_static("2"), None)
    );
    assert_eq!(replied["x-lead"], "l");
    assert!(!replied.contains_key("x-secret"));
    // Behind the message `{}` in its envelope and the head of the last one.
    let end: Value = serde_json::from_slice(&body[12..]).unwrap();
    assert_eq!(end, json!({"metadata": {"x-end": ["one", "two"]}}));
}

#[tokio::test]
async fn a_surface_without_lists_passes_the_usual_headers() {
    let (replied, _, seen) =
        call(methods(MetadataRules::default()), ECHO, "application/json").await;
    assert_eq!(
        (&seen["x-new"], seen.get("cookie")),
        (&HeaderValue::from_static("3"), None)
    );
    assert!(!seen.contains_key("connect-protocol-version"));
    assert_eq!(replied["trailer-x-secret"], "s");
    assert!(!replied.contains_key("connect-x"));
}

#[tokio::test]
async fn binary_metadata_that_is_no_base64_is_refused() {
    let request = post(ECHO, "application/json").header("x-a-bin", "%%%");
    let reply = crate::support::send(request.body(full("{}")).unwrap()).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(reply.json()["code"], "invalid_argument");
    assert_eq!(
        reply.json()["message"],
        "header 'x-a-bin': base64 was expected"
    );
    assert_eq!(unary("application/json", "{}").await.status, StatusCode::OK);
}
