//! An upstream that goes away and comes back.

use serde_json::{Value, json};

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
