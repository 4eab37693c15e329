//! Streams, bytes, forms and codings: what a client sees, in front of services made of bare frames.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod codings;
mod forms;
mod input;
mod messages;
mod origins;
mod output;
mod raw;
mod sockets;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use prost_reflect::DescriptorPool;
use pulpo_gateway::{
    fault::{ErrorContext, ErrorFormat, ErrorReply, Fault},
    profile::{JsonProfile, Names},
    service::Gateway,
    surface::{Limits, Surface, SurfaceOptions},
};
use tonic::body::Body;
use tower::{ServiceExt, util::BoxCloneSyncService};

use messages::{
    File, Form, HttpBody, Json, Line, Part, collected, failing, framed, line, lines, reply,
    unframed,
};

struct Plain;

impl ErrorFormat for Plain {
    fn render(&self, fault: &Fault, _: ErrorContext<'_>) -> ErrorReply {
        let (message, reason) = (json(&fault.message), json(&fault.reason));
        ErrorReply {
            status: fault.status,
            content_type: HeaderValue::from_static("application/json"),
            headers: Vec::new(),
            body: format!("{{\"message\":{message},\"reason\":{reason}}}").into_bytes(),
        }
    }
}

/// Whether `serde_json` keeps the order of members depends on who else is built with it.
fn json(text: &str) -> serde_json::Value {
    text.into()
}

fn options() -> SurfaceOptions {
    SurfaceOptions {
        profile: JsonProfile {
            names: Names::Proto,
            ..JsonProfile::default()
        },
        limits: Limits {
            max_body_bytes: 4096,
            ..Limits::default()
        },
        ..SurfaceOptions::new("test", Arc::new(Plain))
    }
}

fn surface(options: SurfaceOptions) -> Arc<Surface> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/protos");
    let contract = concat!(env!("CARGO_MANIFEST_DIR"), "/../proto");
    let mut compiler = protox::Compiler::new([root, contract]).unwrap();
    compiler
        .include_imports(true)
        .open_file("stream.proto")
        .unwrap();
    let pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap();
    let service = pool.get_service_by_name("gateway.test.v1.StreamService");
    Arc::new(Surface::compile(&pool, &[service.unwrap()], options).unwrap())
}

type Service = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// A service that answers from what it is asked.
fn service<F>(answer: impl Fn(Request<Body>) -> F + Clone + Send + Sync + 'static) -> Service
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let answer = move |request| {
        let answered = answer(request);
        async move { Ok(answered.await) }
    };
    BoxCloneSyncService::new(tower::service_fn(answer))
}

/// A service that collects the messages of the request, and answers with the last of them, or with what went wrong.
fn collecting<M: prost::Message + Default + Clone + 'static>() -> (Service, Arc<Mutex<Vec<M>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    (
        service(move |request| collected(request, kept.clone())),
        seen,
    )
}

async fn call(surface: &Arc<Surface>, service: Service, request: Request<Body>) -> Response<Body> {
    let gateway = Gateway::new(surface.clone(), service);
    gateway.oneshot(request).await.unwrap()
}

async fn text(response: Response<Body>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

fn get(path: &str, headers: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

fn post(path: &str, content_type: &str, body: impl Into<Bytes>) -> Request<Body> {
    Request::post(path)
        .header("content-type", content_type)
        .body(Body::new(Full::new(body.into())))
        .unwrap()
}

async fn is_refused(response: Response<Body>, status: u16, reason: &str) {
    assert_eq!(response.status(), StatusCode::from_u16(status).unwrap());
    let body: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(body["reason"], reason, "{body}");
}
