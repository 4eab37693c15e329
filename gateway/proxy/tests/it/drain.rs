//! Stopping: what has begun is finished, nothing new begins.

use tokio::net::TcpStream;

use crate::{
    gateway::{Gateway, config, reflected},
    upstream::{Reflection, Upstream},
};

#[tokio::test]
async fn requests_in_flight_are_finished() {
    let upstream = Upstream::start(Reflection::V1).await;
    let gateway = Gateway::start(config(reflected(&upstream.url()))).await;
    let address = gateway.address;
    let slow = gateway.client.get(gateway.url("/v1/items/slow"));
    let slow = tokio::spawn(slow.send());
    upstream.arrived().await;
    let stopping = tokio::spawn(gateway.stop());
    // The listener is closed first.
    while TcpStream::connect(address).await.is_ok() {}
    assert!(!stopping.is_finished());
    upstream.gate.add_permits(1);
    assert_eq!(slow.await.unwrap().unwrap().status(), 200);
    stopping.await.unwrap();
    upstream.stop().await;
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_off() {
    let upstream = Upstream::start(Reflection::V1).await;
    let mut config = config(reflected(&upstream.url()));
    config.server.drain_timeout_ms = 1;
    let gateway = Gateway::start(config).await;
    let slow = gateway.client.get(gateway.url("/v1/items/slow"));
    let slow = tokio::spawn(slow.send());
    upstream.arrived().await;
    gateway.stop().await;
    assert!(slow.await.unwrap().is_err());
    // Its call was cancelled, so the server has nothing left to wait for.
    upstream.stop().await;
}
