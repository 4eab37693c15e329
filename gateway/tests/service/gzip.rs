//! Messages that are compressed on their way to a tonic service and back.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use prost_reflect::DescriptorPool;
use pulpo_gateway::{
    service::Gateway,
    services::Services,
    surface::{Limits, Surface, SurfaceOptions},
};
use pulpo_gateway_echo::{
    Echo,
    proto::{DESCRIPTOR_SET, echo::v1::echo_service_server::EchoServiceServer},
};
use serde_json::{Value, json};
use tonic::{body::Body, codec::CompressionEncoding::Gzip};
use tower::ServiceExt;

use super::Plain;

/// The frames of one call in both directions, as they were on their way.
#[derive(Default)]
struct Frames {
    request: Bytes,
    reply: Bytes,
}

fn surface(max_reply_bytes: usize) -> Arc<Surface> {
    let pool = DescriptorPool::decode(DESCRIPTOR_SET).unwrap();
    let services: Vec<_> = pool.services().collect();
    let options = SurfaceOptions {
        has_grpc_gzip: true,
        limits: Limits {
            max_reply_bytes,
            ..Limits::default()
        },
        ..SurfaceOptions::new("echo", Arc::new(Plain))
    };
    Arc::new(Surface::compile(&pool, &services, options).unwrap())
}

/// Calls the echo service, which takes and sends gzip.
async fn call(surface: Arc<Surface>, request: Request<Body>) -> (StatusCode, Value, Frames) {
    let echo = EchoServiceServer::new(Echo)
        .accept_compressed(Gzip)
        .send_compressed(Gzip);
    let mut services = Services::new();
    services.add_service(echo);
    let seen = Arc::new(Mutex::new(Frames::default()));
    let kept = seen.clone();
    let watched = tower::service_fn(move |request: Request<Body>| {
        let (services, kept) = (services.clone(), kept.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            kept.lock().unwrap().request = body.clone();
            let request = Request::from_parts(parts, Body::new(Full::new(body)));
            let (parts, body) = services.oneshot(request).await.unwrap().into_parts();
            let body = body.collect().await.unwrap();
            let trailers = body.trailers().cloned();
            let body = body.to_bytes();
            kept.lock().unwrap().reply = body.clone();
            let body = Full::new(body).with_trailers(std::future::ready(trailers.map(Ok)));
            Ok::<_, Infallible>(Response::from_parts(parts, Body::new(body)))
        }
    });
    let reply = Gateway::new(surface, watched)
        .oneshot(request)
        .await
        .unwrap();
    let status = reply.status();
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    let json = serde_json::from_slice(&body).unwrap();
    let frames = std::mem::take(&mut *seen.lock().unwrap());
    (status, json, frames)
}

fn echo(text: &str) -> Request<Body> {
    let body = json!({ "text": text }).to_string();
    Request::post("/v1/echo")
        .header("content-type", "application/json")
        .body(Body::new(Full::from(body)))
        .unwrap()
}

#[tokio::test]
async fn long_messages_are_compressed_in_both_directions() {
    let text = "x".repeat(100_000);
    let (status, body, frames) = call(surface(1 << 20), echo(&text)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["request"]["text"], text);
    for frames in [frames.request, frames.reply] {
        assert_eq!((frames[0], frames.len() < 5_000), (1, true));
    }
}

#[tokio::test]
async fn every_message_of_a_stream_is_compressed() {
    let count = Request::get("/v1/count/3?size=9000").body(Body::empty());
    let (status, body, frames) = call(surface(1 << 20), count.unwrap()).await;
    assert_eq!(status, StatusCode::OK);
    let indexes: Vec<_> = body
        .as_array()
        .unwrap()
        .iter()
        .map(|m| &m["index"])
        .collect();
    assert_eq!(indexes, [1, 2, 3]);
    assert_eq!((frames.reply[0], frames.reply.len() < 3_000), (1, true));
}

#[tokio::test]
async fn a_message_that_expands_beyond_the_limit_is_refused() {
    let text = "x".repeat(100_000);
    let (status, body, frames) = call(surface(50_000), echo(&text)).await;
    assert!(frames.reply.len() < 5_000);
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(body["reason"], "BROKEN_REPLY");
}
