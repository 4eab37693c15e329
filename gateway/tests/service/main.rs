//! The gateway as a tower service: what a client sees, in front of a service that echoes the message it was sent.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod details;
mod ends;
mod gzip;
mod limits;
mod refusals;
mod server;
mod unmatched;

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use prost_reflect::DescriptorPool;
use pulpo_gateway::{
    fault::{ErrorContext, ErrorFormat, ErrorReply, Fault},
    profile::{Integers, JsonProfile, Names, Unknown},
    service::Gateway,
    surface::{Envelope, Limits, Surface, SurfaceOptions},
};
use tonic::{Status, body::Body};
use tower::ServiceExt;

struct Plain;

impl ErrorFormat for Plain {
    fn render(&self, fault: &Fault, _: ErrorContext<'_>) -> ErrorReply {
        let fields: Vec<_> = fault.violations.iter().map(|v| v.field.clone()).collect();
        ErrorReply {
            status: fault.status,
            content_type: HeaderValue::from_static("application/json"),
            headers: Vec::new(),
            body: serde_json::json!({ "reason": fault.reason, "fields": fields })
                .to_string()
                .into_bytes(),
        }
    }
}

fn surface(envelope: Option<Envelope>) -> Arc<Surface> {
    compiled(envelope, None)
}

fn pool() -> DescriptorPool {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/protos");
    let contract = concat!(env!("CARGO_MANIFEST_DIR"), "/../proto");
    let mut compiler = protox::Compiler::new([root, contract]).unwrap();
    compiler
        .include_imports(true)
        .open_file("service.proto")
        .unwrap();
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
}

fn compiled(envelope: Option<Envelope>, unmatched: Option<&str>) -> Arc<Surface> {
    let pool = pool();
    let services = [pool
        .get_service_by_name("gateway.test.v1.ItemService")
        .unwrap()];
    let options = SurfaceOptions {
        profile: JsonProfile {
            names: Names::Proto,
            integers: Integers::Numbers,
            unknown_fields: Unknown::Ignore,
            ..JsonProfile::default()
        },
        envelope,
        limits: Limits {
            max_body_bytes: 1024,
            body_timeout: Duration::from_millis(20),
            ..Limits::default()
        },
        unmatched: unmatched.map(str::to_owned),
        ..SurfaceOptions::new("test", Arc::new(Plain))
    };
    Arc::new(Surface::compile(&pool, &services, options).unwrap())
}

/// A reply of these frames that ends well.
fn ok(frames: Bytes) -> Response<Body> {
    let trailers = HeaderMap::from_iter([(
        "grpc-status".parse().unwrap(),
        HeaderValue::from_static("0"),
    )]);
    Response::new(Body::new(
        Full::new(frames).with_trailers(std::future::ready(Some(Ok(trailers)))),
    ))
}

/// Sends the message back as it came.
async fn echo(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    assert_eq!(request.headers()[header::CONTENT_TYPE], "application/grpc");
    Ok(match request.into_body().collect().await {
        Ok(body) => ok(body.to_bytes()),
        Err(status) => status.into_http(),
    })
}

struct Reply {
    status: StatusCode,
    headers: http::HeaderMap,
    text: String,
}

async fn send(surface: &Arc<Surface>, request: Request<Body>) -> Reply {
    let response = Gateway::new(surface.clone(), tower::service_fn(echo))
        .oneshot(request)
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Reply {
        status: parts.status,
        headers: parts.headers,
        text,
    }
}

fn request(method: &str, path: &str, body: &'static str) -> Request<Body> {
    let builder = Request::builder().method(method).uri(path);
    builder
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::new(Full::from(body)))
        .unwrap()
}

#[tokio::test]
async fn binds_body_query_and_path_and_the_path_wins() {
    let surface = surface(None);
    let made = send(
        &surface,
        request(
            "POST",
            "/v1/shelves/a%2Fb/items?name=ignored",
            r#"{"shelf":"other","name":"n","size":5,"tags":["x"]}"#,
        ),
    )
    .await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(
        made.text,
        r#"{"shelf":"a/b","name":"n","size":5,"tags":["x"]}"#
    );
    let named = send(
        &surface,
        request("PATCH", "/v1/items/n", r#"{"size":3,"tags":[]}"#),
    )
    .await;
    assert_eq!(named.status, StatusCode::OK);
    assert_eq!(
        named.text,
        r#"{"item":{"name":"n","size":3},"update_mask":"size,tags"}"#
    );
}

#[tokio::test]
async fn a_mask_of_the_clients_own_is_left_as_it_is() {
    let surface = surface(None);
    let cases = [
        (
            "/v1/items/n?update_mask=size",
            r#"{"size":3,"tags":["a"]}"#,
            "size",
        ),
        (
            "/v1/items/n?update_mask=",
            r#"{"size":3,"tags":["a"]}"#,
            "size,tags",
        ),
        (
            "/v1/whole/items/n",
            r#"{"item":{"size":3,"tags":["a"]},"update_mask":"item.tags"}"#,
            "item.tags",
        ),
        (
            "/v1/whole/items/n",
            r#"{"item":{"size":3,"tags":["a"]}}"#,
            "item.size,item.tags",
        ),
        (
            "/v1/whole/items/n",
            r#"{"update_mask":"","item":{"size":3,"tags":["a"]}}"#,
            "item.size,item.tags",
        ),
    ];
    for (path, body, mask) in cases {
        let reply = send(&surface, request("PATCH", path, body)).await;
        let expected =
            format!(r#"{{"item":{{"name":"n","size":3,"tags":["a"]}},"update_mask":"{mask}"}}"#);
        assert_eq!(reply.text, expected, "{path} {body}");
    }
}

#[tokio::test]
async fn an_absent_response_field_is_null_in_an_envelope() {
    let around = Envelope {
        prefix: "{\"data\":",
        absent: "null",
        suffix: "}",
    };
    let surface = surface(Some(around));
    // The echoed Item has no field 9, which is what a Holder's item is.
    assert_eq!(
        send(&surface, request("GET", "/v1/items/n", "")).await.text,
        r#"{"data":null}"#
    );
    let made = send(&surface, request("POST", "/v1/shelves/s/items", "")).await;
    assert_eq!(made.text, r#"{"data":{"shelf":"s"}}"#);
}

#[tokio::test]
async fn raw_bodies_pass_as_they_are() {
    let surface = surface(None);
    let raw = Request::post("/v1/raw/x")
        .header(header::CONTENT_TYPE, "text/csv")
        .body(Body::new(Full::from("a;b\n\u{0}1")))
        .unwrap();
    let reply = send(&surface, raw).await;
    assert_eq!(
        (reply.status, reply.text.as_str()),
        (StatusCode::OK, "a;b\n\u{0}1")
    );
    assert_eq!(reply.headers[header::CONTENT_TYPE], "text/csv");
}

#[tokio::test]
async fn options_and_head_answer_without_a_body() {
    let surface = surface(None);
    let options = send(&surface, request("OPTIONS", "/v1/raw/x", "")).await;
    assert_eq!(
        (
            options.status,
            options.headers[header::ALLOW].to_str().unwrap()
        ),
        (StatusCode::NO_CONTENT, "OPTIONS, POST")
    );
    let head = send(&surface, request("HEAD", "/v1/items/n", "")).await;
    assert_eq!(head.text, "");
}

#[tokio::test]
async fn bodies_cut_anywhere_give_the_same_reply() {
    let surface = surface(None);
    let body = r#"{"name":"ü\u00fc","size":-9007199254740993,"tags":["a","b"]}"#;
    let whole = send(&surface, request("POST", "/v1/shelves/s/items", body))
        .await
        .text;
    for cut in 0..=body.len() {
        let (a, b) = body.as_bytes().split_at(cut);
        let frames =
            [a, b].map(|piece| Ok::<_, Status>(Frame::data(Bytes::copy_from_slice(piece))));
        let cut_body = StreamBody::new(stream::iter(frames));
        let call = Request::post("/v1/shelves/s/items")
            .body(Body::new(cut_body))
            .unwrap();
        assert_eq!(send(&surface, call).await.text, whole, "cut at {cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_given_up() {
    let call = Request::post("/v1/shelves/s/items")
        .body(Body::new(StreamBody::new(stream::pending::<
            Result<Frame<Bytes>, Status>,
        >())))
        .unwrap();
    let reply = send(&surface(None), call).await;
    assert_eq!(reply.status, StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn a_service_may_choose_another_status() {
    let unwell = tower::service_fn(|_: Request<Body>| async {
        let mut response = ok(Bytes::from_static(&[0; 5]));
        response.headers_mut().insert(
            pulpo_gateway::reply::STATUS_METADATA,
            HeaderValue::from_static("503"),
        );
        Ok::<_, Infallible>(response)
    });
    let call = request("POST", "/v1/shelves/s/items", "{}");
    let reply = Gateway::new(surface(None), unwell)
        .oneshot(call)
        .await
        .expect("infallible");
    assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        !reply
            .headers()
            .contains_key(pulpo_gateway::reply::STATUS_METADATA)
    );
}
