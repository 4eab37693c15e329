//! Requests that are no Connect, or not in order.

use std::{convert::Infallible, sync::Arc};

use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use prost_reflect::DescriptorPool;
use pulpo_gateway::connect::{Connect, ConnectOptions, Methods};
use serde_json::Value;
use tonic::body::Body;
use tower::ServiceExt;

use crate::support::*;

#[tokio::test]
async fn verbs_and_media_types_are_exact() {
    let request = Request::delete(ECHO).body(Body::empty()).unwrap();
    let reply = send(request).await;
    assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(reply.header("allow"), "GET, POST");
    assert_eq!(reply.json()["code"], "unknown");

    let cases = [
        (ECHO, "application/foo"),
        (ECHO, "image/jpeg"),
        (ECHO, "application/connect+json"),
        (COUNT, "application/json"),
        (COUNT, "application/connect+xml"),
    ];
    for (path, content_type) in cases {
        let reply = send(post(path, content_type).body(full("{}")).unwrap()).await;
        assert_eq!(
            reply.status,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "{path} {content_type}"
        );
        assert!(reply.header("accept-post").contains("json"));
        assert_eq!(reply.json()["code"], "unknown");
    }
    let bare = Request::post(ECHO).body(full("{}")).unwrap();
    assert_eq!(send(bare).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn other_paths_are_left_to_rest() {
    let request = post("/echo.v1.EchoService/Nothing", "application/json");
    let reply = send(request.body(full("{}")).unwrap()).await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    assert_eq!(reply.json()["code"], 5, "the REST face's own error body");
    let request = post("/v1/echo", "application/json");
    let reply = send(request.body(full(r#"{"text":"a"}"#)).unwrap()).await;
    assert_eq!(reply.json()["request"]["text"], "a");
}

#[tokio::test]
async fn a_faulty_head_is_an_error_in_the_calls_own_form() {
    let heads = [
        ("connect-timeout-ms", "soon", "invalid_argument"),
        ("connect-timeout-ms", "12345678901", "invalid_argument"),
        ("connect-protocol-version", "2", "invalid_argument"),
        ("content-encoding", "snappy", "unimplemented"),
    ];
    for (name, value, code) in heads {
        let request = post(ECHO, "application/json").header(name, value);
        let reply = send(request.body(full("{}")).unwrap()).await;
        assert_eq!(reply.json()["code"], code, "{name}: {value}");
        let name = name.replace("content-encoding", "connect-content-encoding");
        let request = post(COUNT, "application/connect+json").header(name.as_str(), value);
        let reply = send(request.body(full(envelope(0, b"{}"))).unwrap()).await;
        assert_eq!(reply.stream().1["error"]["code"], code, "{name}: {value}");
    }
    let request = post(ECHO, "application/json").header("content-encoding", "snappy");
    let reply = send(request.body(full("{}")).unwrap()).await;
    assert!(
        reply.json()["message"].as_str().unwrap().contains("gzip"),
        "{}",
        reply.text()
    );
}

#[tokio::test]
async fn both_ways_at_once_needs_http_2() {
    let request = post(CHAT, "application/connect+json").version(Version::HTTP_11);
    let reply = send(request.body(full("")).unwrap()).await;
    assert_eq!(reply.status, StatusCode::HTTP_VERSION_NOT_SUPPORTED);
    let told = reply.json();
    assert_eq!(told["message"], "streams in both directions need HTTP/2");
}

#[tokio::test]
async fn a_method_that_is_not_there_is_not_implemented() {
    let pool = DescriptorPool::decode(pulpo_gateway_echo::proto::DESCRIPTOR_SET).unwrap();
    let services: Vec<_> = pool.services().collect();
    let methods = Methods::compile(&pool, &services, ConnectOptions::default()).unwrap();
    let nobody = tower::service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let request = post("/echo.v1.EchoService/Nothing", "application/json");
    let connect = Connect::new(Arc::new(methods), nobody);
    let reply = connect.oneshot(request.body(full("{}")).unwrap()).await;
    let (parts, body) = reply.unwrap().into_parts();
    assert_eq!(parts.status, StatusCode::NOT_FOUND);
    assert_eq!(parts.headers["content-type"], "application/json");
    let told: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(told["code"], "unimplemented");
}

#[tokio::test]
async fn headers_are_counted_in_unary_calls_and_streams() {
    let with = |path, content_type, count| {
        let mut request = post(path, content_type);
        for number in 1..count {
            request = request.header("x-one", number);
        }
        request
    };
    let taken = with(ECHO, "application/json", 100).body(full("{}"));
    assert_eq!(send(taken.unwrap()).await.status, StatusCode::OK);
    let refused = send(
        with(ECHO, "application/json", 101)
            .body(full("{}"))
            .unwrap(),
    )
    .await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.json()["code"], "resource_exhausted");
    let request = with(COUNT, "application/connect+json", 101);
    let refused = send(request.body(full(envelope(0, b"{}"))).unwrap()).await;
    let (messages, end) = refused.stream();
    assert!(messages.is_empty());
    assert_eq!(end["error"]["code"], "resource_exhausted");
}

#[tokio::test]
async fn a_browsers_preflight_is_answered() {
    let request = Request::builder()
        .method(Method::OPTIONS)
        .uri(ECHO)
        .header("origin", "https://page.example")
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "connect-protocol-version,content-type",
        );
    let reply = send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    let allowed = reply.header("access-control-allow-headers");
    assert_eq!(allowed, "connect-protocol-version,content-type");
}
