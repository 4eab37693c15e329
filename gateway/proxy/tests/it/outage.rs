//! An upstream that goes away and comes back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    gateway::{Gateway, config, eventually, reflected},
    upstream::{Reflection, Upstream},
};

#[tokio::test]
async fn requests_are_503_while_it_is_away_and_served_when_it_is_back() {
    let upstream = Upstream::start(Reflection::V1).await;
    let address = upstream.address;
    let gateway = Gateway::start(config(reflected(&upstream.url()))).await;
    assert_eq!(gateway.get("/v1/items/lamp").await.status(), 200);
    upstream.stop().await;
    for _ in 0..2 {
        is_away(&gateway).await;
        let upstream = Upstream::start_at(address, Reflection::V1).await;
        eventually(async || gateway.get("/v1/items/lamp").await.status() == 200).await;
        upstream.stop().await;
    }
    gateway.stop().await;
}

/// Waits until the gateway has noticed that nobody is there.
async fn is_away(gateway: &Gateway) {
    eventually(async || gateway.get("/v1/items/lamp").await.status() == 503).await;
    let gone = gateway.get("/v1/items/lamp").await;
    let body: Value = gone.json().await.unwrap();
    assert_eq!(body["code"], 14);
    assert_eq!(
        body["message"],
        json!("the upstream cannot be reached; try again")
    );
    assert_eq!(gateway.get("/readyz").await.status(), 503);
}

/// As a balancer without a server behind it does.
#[tokio::test]
async fn what_ends_connections_at_once_is_not_dialled_in_a_tight_loop() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let dialled = Arc::new(AtomicUsize::new(0));
    let counted = dialled.clone();
    let counting = tokio::spawn(async move {
        loop {
            drop(listener.accept().await.unwrap());
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let gateway = Gateway::start(config(reflected(&url))).await;
    let before = dialled.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Fifty milliseconds lie between two attempts at last, on each of a few connections.
    let more = dialled.load(Ordering::Relaxed) - before;
    assert!((2..200).contains(&more), "{before} times, then {more}");
    counting.abort();
    gateway.stop().await;
}

#[tokio::test]
async fn calls_beyond_the_limit_are_refused_at_once() {
    let upstream = Upstream::start(Reflection::V1).await;
    let mut told = config(reflected(&upstream.url()));
    told.upstreams[0].max_in_flight = 1;
    let gateway = Gateway::start(told).await;
    let slow = tokio::spawn(gateway.client.get(gateway.url("/v1/items/slow")).send());
    upstream.arrived().await;
    let refused = gateway.get("/v1/items/lamp").await;
    assert_eq!(refused.status(), 503);
    upstream.gate.add_permits(1);
    assert_eq!(slow.await.unwrap().unwrap().status(), 200);
    eventually(async || gateway.get("/v1/items/lamp").await.status() == 200).await;
    gateway.stop().await;
    upstream.stop().await;
}
