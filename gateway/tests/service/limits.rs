//! How many headers a request may have.

use http::{HeaderValue, Request, StatusCode};
use tonic::body::Body;

use super::{request, send, surface};

fn with_headers(count: usize) -> Request<Body> {
    let mut request = request("GET", "/v1/items/a", "");
    for _ in request.headers().len()..count {
        let one = HeaderValue::from_static("1");
        request.headers_mut().append("x-one", one);
    }
    request
}

#[tokio::test]
async fn a_hundred_headers_are_taken_and_no_more() {
    let surface = surface(None);
    assert_eq!(
        send(&surface, with_headers(100)).await.status,
        StatusCode::OK
    );
    let refused = send(&surface, with_headers(101)).await;
    assert_eq!(refused.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(refused.text, r#"{"reason":"TOO_MANY_HEADERS","fields":[]}"#);
}

#[tokio::test]
async fn what_listeners_add_is_not_counted_once() {
    let added = ["x-request-id", "x-forwarded-for", "x-forwarded-proto"];
    let surface = surface(None);
    let mut request = with_headers(100);
    for name in added {
        let value = HeaderValue::from_static("a");
        request.headers_mut().insert(name, value);
    }
    assert_eq!(send(&surface, request).await.status, StatusCode::OK);
    let mut request = with_headers(100);
    for _ in 0..2 {
        let value = HeaderValue::from_static("a");
        request.headers_mut().append("x-forwarded-for", value);
    }
    assert_eq!(send(&surface, request).await.status, 431);
}

#[tokio::test]
async fn head_is_refused_without_a_body() {
    let mut request = with_headers(101);
    *request.method_mut() = http::Method::HEAD;
    let refused = send(&surface(None), request).await;
    assert_eq!((refused.status.as_u16(), refused.text.as_str()), (431, ""));
    assert!(refused.headers.contains_key("content-length"));
}
