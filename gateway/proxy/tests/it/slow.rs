//! Clients that are slow, beside others.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    gateway::{Gateway, config, eventually, reflected},
    upstream::{Reflection, Upstream},
};

#[tokio::test]
async fn a_body_that_is_still_to_come_holds_no_call_of_the_upstream() {
    let upstream = Upstream::start(Reflection::V1).await;
    let mut told = config(reflected(&upstream.url()));
    told.admin.address = Some("127.0.0.1:0".parse().unwrap());
    told.upstreams[0].max_in_flight = 1;
    let gateway = Gateway::start(told).await;
    let mut slow = TcpStream::connect(gateway.address).await.unwrap();
    let head = "POST /v1/items HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
                content-type: application/json\r\ncontent-length: 15\r\n\r\n{\"name\":";
    slow.write_all(head.as_bytes()).await.unwrap();
    let is_there = "pulpo_gateway_requests_in_flight 1";
    eventually(async || gateway.metrics().await.contains(is_there)).await;
    assert_eq!(gateway.get("/v1/items/lamp").await.status(), 200);
    slow.write_all(b"\"slow\"}").await.unwrap();
    let mut reply = String::new();
    slow.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    assert!(reply.ends_with("{\"name\":\"slow\"}"), "{reply}");
    gateway.stop().await;
    upstream.stop().await;
}
