//! Streams, bytes, forms and codings: what a client sees, in front of services made of bare frames.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod codings;
mod forms;
mod input;
mod output;
mod raw;
mod sockets;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use prost_reflect::DescriptorPool;
use pulpo_gateway::{
    fault::{ErrorContext, ErrorFormat, ErrorReply, Fault},
    profile::{JsonProfile, Names},
    service::Gateway,
    surface::{Limits, Surface, SurfaceOptions},
};
use tonic::{Code, Status, body::Body};
use tower::{ServiceExt, util::BoxCloneSyncService};

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

/// `gateway.test.v1.Line`.
#[derive(Clone, PartialEq, prost::Message)]
struct Line {
    #[prost(string, tag = "1")]
    log: String,
    #[prost(int32, tag = "2")]
    id: i32,
    #[prost(string, tag = "3")]
    kind: String,
    #[prost(string, tag = "4")]
    text: String,
    #[prost(message, optional, tag = "5")]
    data: Option<Json>,
}

/// `pulpo.type.v1.Json`.
#[derive(Clone, PartialEq, prost::Message)]
struct Json {
    #[prost(string, tag = "1")]
    text: String,
}

fn line(id: i32) -> Line {
    Line {
        id,
        kind: "k".into(),
        text: format!("line {id}"),
        ..Line::default()
    }
}

fn framed(message: &impl prost::Message) -> Bytes {
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.encoded_len()).unwrap().to_be_bytes());
    message.encode(&mut frame).unwrap();
    frame.into()
}

/// The messages of a whole gRPC body.
fn unframed<M: prost::Message + Default>(mut body: &[u8]) -> Vec<M> {
    let mut found = Vec::new();
    while let Some((header, rest)) = body.split_first_chunk::<5>() {
        let [flag, length @ ..] = *header;
        assert_eq!(flag, 0);
        let (message, rest) = rest.split_at(u32::from_be_bytes(length) as usize);
        found.push(M::decode(message).unwrap());
        body = rest;
    }
    found
}

fn trailers(code: Code) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    Status::new(code, "no more")
        .add_header(&mut trailers)
        .unwrap();
    trailers
}

/// A reply of these pieces, each as it comes, that ends by this code.
fn reply(pieces: impl Stream<Item = Bytes> + Send + 'static, code: Code) -> Response<Body> {
    let frames = pieces
        .map(Frame::data)
        .chain(stream::once(async move { Frame::trailers(trailers(code)) }))
        .map(Ok::<_, Status>);
    Response::new(Body::new(StreamBody::new(frames)))
}

fn lines(count: i32) -> impl Stream<Item = Bytes> + Send + 'static {
    stream::iter((1..=count).map(|id| framed(&line(id))))
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
    let collecting = service(move |request| {
        let kept = kept.clone();
        async move {
            match request.into_body().collect().await {
                Ok(body) => {
                    let messages = unframed::<M>(&body.to_bytes());
                    let last = messages.last().cloned().unwrap_or_default();
                    *kept.lock().unwrap() = messages;
                    reply(stream::iter([framed(&last)]), Code::Ok)
                }
                Err(status) => status.into_http(),
            }
        }
    });
    (collecting, seen)
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
