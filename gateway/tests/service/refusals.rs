//! What is refused, with which status, and that nothing is read for it.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Request, StatusCode, header};
use http_body::Frame;
use http_body_util::StreamBody;
use pulpo_gateway::service::Gateway;
use tonic::{Status, body::Body};
use tower::ServiceExt;

use super::{request, send, surface};

#[tokio::test]
async fn refusals_have_their_exact_status() {
    let surface = surface(None);
    let long: &'static str =
        Box::leak(format!("{{\"name\":\"{}\"}}", "x".repeat(2000)).into_boxed_str());
    let items = "/v1/shelves/s/items";
    for (request, status, reason, field) in [
        (request("GET", "/nowhere", ""), 404, "ROUTE_NOT_FOUND", None),
        (
            request("DELETE", items, ""),
            405,
            "METHOD_NOT_ALLOWED",
            None,
        ),
        (request("POST", items, long), 413, "BODY_TOO_LARGE", None),
        (
            request("POST", items, "{"),
            400,
            "INVALID_BODY",
            Some("body"),
        ),
        (
            request("POST", items, "[]"),
            400,
            "INVALID_BODY",
            Some("body"),
        ),
        (
            request("POST", items, r#"{"size":"x"}"#),
            400,
            "INVALID_BODY",
            Some("size"),
        ),
        (
            request("POST", items, r#"{"tags":[1]}"#),
            400,
            "INVALID_BODY",
            Some("tags[0]"),
        ),
        (
            request("GET", "/v1/items/n?size=x", ""),
            400,
            "INVALID_PARAMETER",
            Some("size"),
        ),
        (
            request("GET", "/v1/items/%ff", ""),
            400,
            "INVALID_PATH",
            None,
        ),
    ] {
        let what = format!("{} {}", request.method(), request.uri());
        let reply = send(&surface, request).await;
        assert_eq!(reply.status.as_u16(), status, "{what}: {}", reply.text);
        let fields: Vec<&str> = field.into_iter().collect();
        let body: serde_json::Value = serde_json::from_str(&reply.text).unwrap();
        assert_eq!(
            body,
            serde_json::json!({ "reason": reason, "fields": fields }),
            "{what}"
        );
    }
    let allow = send(&surface, request("DELETE", items, "")).await.headers[header::ALLOW].clone();
    assert_eq!(allow, "OPTIONS, POST");
    let mut typed = request("POST", items, "a=b");
    typed.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/xml"),
    );
    assert_eq!(
        send(&surface, typed).await.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    let mut picky = request("POST", items, "{}");
    picky
        .headers_mut()
        .insert(header::ACCEPT, HeaderValue::from_static("text/html"));
    assert_eq!(
        send(&surface, picky).await.status,
        StatusCode::NOT_ACCEPTABLE
    );
}

#[tokio::test]
async fn a_refusal_reads_no_body_and_keeps_its_headers() {
    let touched = Arc::new(AtomicBool::new(false));
    let seen = touched.clone();
    let pieces = stream::poll_fn(move |_| {
        seen.store(true, Ordering::SeqCst);
        std::task::Poll::Ready(None::<Result<Frame<Bytes>, Status>>)
    });
    let refuse = tower::service_fn(|_: Request<Body>| async {
        let mut response = Status::unauthenticated("who?").into_http::<Body>();
        response
            .headers_mut()
            .insert("x-ratelimit-limit", HeaderValue::from_static("120"));
        Ok::<_, Infallible>(response)
    });
    let call = Request::post("/v1/shelves/s/items")
        .body(StreamBody::new(pieces))
        .unwrap();
    let reply = Gateway::new(surface(None), refuse)
        .oneshot(call)
        .await
        .unwrap();
    assert_eq!(reply.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(reply.headers()["x-ratelimit-limit"], "120");
    assert!(
        !touched.load(Ordering::SeqCst),
        "the body was read before the credentials were checked"
    );
}
