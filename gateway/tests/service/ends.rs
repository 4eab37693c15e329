//! What comes back at the end of a call besides its message: trailers, statuses with a meaning of their own; and what a
//! client that goes away leaves behind.

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use prost::Message;
use prost_reflect::prost_types::{self, Any};
use pulpo_gateway::service::Gateway;
use tonic::{Code, Status, body::Body};
use tonic_types::pb;
use tower::ServiceExt;

use super::{request, surface};

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|&(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
        .collect()
}

/// The reply of the gateway to a request that its service answers so.
async fn answered(answer: impl Fn() -> Response<Body>) -> Response<Body> {
    let service = tower::service_fn(|_: Request<Body>| {
        let answer = answer();
        async move { Ok::<_, Infallible>(answer) }
    });
    let gateway = Gateway::new(surface(None), service);
    gateway
        .oneshot(request("GET", "/v1/items/a", ""))
        .await
        .unwrap()
}

fn with_trailers(trailers: &[(&'static str, &'static str)]) -> Response<Body> {
    let frames = [
        Frame::data(Bytes::from_static(&[0; 5])),
        Frame::trailers(headers(trailers)),
    ];
    let frames = stream::iter(frames.map(Ok::<_, Infallible>));
    let mut reply = Response::new(Body::new(StreamBody::new(frames)));
    *reply.headers_mut() = headers(&[("content-type", "application/grpc"), ("x-lead", "l")]);
    reply
}

#[tokio::test]
async fn trailers_of_a_reply_are_headers() {
    let trailers = [
        ("grpc-status", "0"),
        ("x-trail", "one"),
        ("x-trail", "two"),
        ("x-some-bin", "AAE"),
        ("content-length", "77"),
    ];
    let reply = answered(|| with_trailers(&trailers)).await;
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.headers()["x-lead"], "l");
    let told: Vec<_> = reply.headers().get_all("x-trail").iter().collect();
    assert_eq!(told, ["one", "two"]);
    assert_eq!(reply.headers()["x-some-bin"], "AAE");
    assert!(!reply.headers().contains_key("grpc-status"));
    assert_ne!(
        reply.headers().get("content-length"),
        Some(&"77".parse().unwrap())
    );
}

#[tokio::test]
async fn trailers_of_an_error_are_headers_too() {
    let trailers = [("grpc-status", "5"), ("x-trail", "one")];
    let reply = answered(|| with_trailers(&trailers)).await;
    assert_eq!(reply.status(), 404);
    assert_eq!(reply.headers()["x-trail"], "one");
}

fn exhausted(seconds: i64, nanos: i32) -> Response<Body> {
    let retry = pb::RetryInfo {
        retry_delay: Some(prost_types::Duration { seconds, nanos }),
    };
    let status = pb::Status {
        code: Code::ResourceExhausted.into(),
        message: "slowly".to_owned(),
        details: vec![Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
            value: retry.encode_to_vec(),
        }],
    };
    let details = status.encode_to_vec().into();
    Status::with_details(Code::ResourceExhausted, "slowly", details).into_http()
}

#[tokio::test]
async fn a_client_is_told_when_to_come_back() {
    for (seconds, nanos, told) in [(3, 0, "3"), (1, 1, "2"), (0, 5_000_000, "1"), (0, 0, "1")] {
        let reply = answered(|| exhausted(seconds, nanos)).await;
        assert_eq!(reply.status(), 429);
        assert_eq!(reply.headers()["retry-after"], told, "{seconds}.{nanos}");
    }
    // Nothing is made up where the service does not say, or says nonsense.
    let silent = answered(|| Status::resource_exhausted("slowly").into_http()).await;
    assert_eq!(silent.status(), 429);
    assert!(!silent.headers().contains_key("retry-after"));
    let before = answered(|| exhausted(-5, 0)).await;
    assert_eq!(before.status(), 429);
    assert!(!before.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn a_call_that_was_given_up_is_499() {
    let reply = answered(|| Status::cancelled("the client went away").into_http()).await;
    assert_eq!(reply.status(), 499);
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, r#"{"reason":"","fields":[]}"#);
}

/// Says when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_call() {
    let is_over = Arc::new(AtomicBool::new(false));
    let told = is_over.clone();
    let service = tower::service_fn(move |_: Request<Body>| {
        let held = Dropped(told.clone());
        async move {
            let never: Result<Response<Body>, Infallible> = pending().await;
            drop(held);
            never
        }
    });
    let gateway = Gateway::new(surface(None), service);
    let mut answer = Box::pin(gateway.oneshot(request("GET", "/v1/items/a", "")));
    assert!(answer.as_mut().now_or_never().is_none());
    assert!(!is_over.load(Ordering::Relaxed));
    drop(answer);
    assert!(is_over.load(Ordering::Relaxed));
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What the service sees of these headers.
async fn passed(given: &[(&'static str, &'static str)]) -> HeaderMap {
    let seen = Arc::new(std::sync::Mutex::new(HeaderMap::new()));
    let kept = seen.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        *kept.lock().unwrap() = request.headers().clone();
        async { Ok::<_, Infallible>(Status::not_found("").into_http()) }
    });
    let mut asked = request("GET", "/v1/items/a", "");
    asked.headers_mut().extend(headers(given));
    let gateway = Gateway::new(surface(None), service);
    gateway.oneshot(asked).await.unwrap();
    seen.lock().unwrap().clone()
}

#[tokio::test]
async fn a_trace_goes_on_behind_the_gateway_if_it_is_one() {
    let seen = passed(&[("tracestate", "a=1"), ("traceparent", PARENT), ("x-a", "b")]).await;
    assert_eq!(seen["traceparent"], PARENT);
    assert_eq!(seen["tracestate"], "a=1");
    let broken = "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01";
    for parents in [&[broken][..], &[PARENT, PARENT], &[PARENT, broken]] {
        let mut given = vec![("tracestate", "a=1"), ("x-a", "b")];
        given.extend(parents.iter().map(|parent| ("traceparent", *parent)));
        let seen = passed(&given).await;
        assert!(!seen.contains_key("traceparent"), "{parents:?}");
        assert!(!seen.contains_key("tracestate"), "{parents:?}");
        assert_eq!(seen["x-a"], "b");
    }
}
