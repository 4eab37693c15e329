//! Messages to and from the server that are compressed.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::{
    gateway::{Gateway, config, reflected},
    upstream::{Reflection, Upstream},
};

/// Much text that takes few bytes when it is compressed.
fn long() -> String {
    "x".repeat(200_000)
}

async fn made(gateway: &Gateway, name: &str) -> reqwest::Response {
    let request = gateway.client.post(gateway.url("/v1/items"));
    request.json(&json!({"name": name})).send().await.unwrap()
}

#[tokio::test]
async fn messages_are_compressed_in_both_directions_where_the_surface_says_so() {
    let upstream = Upstream::start(Reflection::V1).await;
    for is_gzip in [true, false] {
        let mut told = config(reflected(&upstream.url()));
        told.surfaces[0].grpc_gzip = is_gzip;
        let gateway = Gateway::start(told).await;
        let before = upstream.received.load(Ordering::Relaxed);
        let reply = made(&gateway, &long()).await;
        assert_eq!(reply.status(), 200);
        let sent = reply.headers().get("x-sent-encoding");
        assert_eq!(sent.is_some_and(|coding| coding == "gzip"), is_gzip);
        let item: Value = reply.json().await.unwrap();
        assert_eq!(item["name"], long());
        let received = upstream.received.load(Ordering::Relaxed) - before;
        assert_eq!(received < 10_000, is_gzip, "{received} bytes");
        let line = gateway.get("/v1/items/lamp").await;
        assert_eq!(line.json::<Value>().await.unwrap()["name"], "lamp");
        gateway.stop().await;
    }
    upstream.stop().await;
}

#[tokio::test]
async fn a_reply_that_expands_beyond_the_limit_is_refused() {
    let upstream = Upstream::start(Reflection::V1).await;
    let mut told = config(reflected(&upstream.url()));
    told.surfaces[0].grpc_gzip = true;
    // What comes is far below it, what is in it is not.
    told.surfaces[0].max_reply_bytes = 100_000;
    let gateway = Gateway::start(told).await;
    let reply = made(&gateway, &long()).await;
    assert_eq!(reply.status(), 500);
    let error: Value = reply.json().await.unwrap();
    assert_eq!(error["details"][0]["reason"], "BROKEN_REPLY");
    let reply = made(&gateway, "short").await;
    assert_eq!(reply.status(), 200);
    gateway.stop().await;
    upstream.stop().await;
}
