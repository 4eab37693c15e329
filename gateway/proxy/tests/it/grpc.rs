//! gRPC and gRPC-Web through the same listener as REST.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::uri::PathAndQuery;
use tonic::{Code, Request, client::Grpc, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_prost::ProstCodec;

use crate::{
    gateway::{Gateway, config, reflected},
    upstream::{GetItemRequest, Item, Reflection, Upstream, closed_details},
};

async fn connect(gateway: &Gateway) -> Channel {
    let address = format!("http://{}", gateway.address);
    Channel::from_shared(address)
        .unwrap()
        .connect()
        .await
        .unwrap()
}

fn item(name: &str) -> Item {
    Item {
        name: name.to_owned(),
        ..Item::default()
    }
}

async fn get(channel: &Channel, name: &str) -> Result<tonic::Response<Item>, tonic::Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let asked = GetItemRequest {
        name: name.to_owned(),
    };
    let path = PathAndQuery::from_static("/shop.v1.Shop/GetItem");
    let codec = ProstCodec::<_, Item>::default();
    client.unary(Request::new(asked), path, codec).await
}

#[tokio::test]
async fn calls_pass_with_their_metadata_and_trailers() {
    let upstream = Upstream::start(Reflection::V1).await;
    let gateway = Gateway::start(config(reflected(&upstream.url()))).await;
    let channel = connect(&gateway).await;
    let reply = get(&channel, "lamp").await.unwrap();
    assert!(reply.metadata().contains_key("x-request-id"));
    assert_eq!(reply.into_inner().price_cents, 1250);
    let missing = get(&channel, "missing").await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    assert_eq!(missing.message(), "there is no such item");
    let closed = get(&channel, "closed").await.unwrap_err();
    assert_eq!(closed.details(), closed_details());
    drop(channel);
    gateway.stop().await;
    upstream.stop().await;
}

#[tokio::test]
async fn streams_pass_in_both_directions_at_once() {
    let upstream = Upstream::start(Reflection::V1).await;
    let gateway = Gateway::start(config(reflected(&upstream.url()))).await;
    let mut client = Grpc::new(connect(&gateway).await);
    client.ready().await.unwrap();
    let (sender, receiver) = tokio::sync::mpsc::channel::<Item>(1);
    let asked = stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|item| (item, receiver))
    });
    sender.send(item("0")).await.unwrap();
    let path = PathAndQuery::from_static("/shop.v1.Shop/Talk");
    let codec = ProstCodec::<Item, Item>::default();
    let reply = client.streaming(Request::new(asked), path, codec).await;
    let mut reply = reply.unwrap().into_inner();
    // Each answer comes before the next item is sent.
    for round in 0..100 {
        assert_eq!(reply.next().await.unwrap().unwrap().name, round.to_string());
        sender.send(item(&(round + 1).to_string())).await.unwrap();
    }
    drop(sender);
    assert_eq!(reply.next().await.unwrap().unwrap().name, "100");
    assert!(reply.next().await.is_none());
    assert!(reply.trailers().await.unwrap().is_some());
    drop((reply, client));
    gateway.stop().await;
    upstream.stop().await;
}

#[tokio::test]
async fn more_than_a_window_passes() {
    let upstream = Upstream::start(Reflection::V1).await;
    let gateway = Gateway::start(config(reflected(&upstream.url()))).await;
    let mut client = Grpc::new(connect(&gateway).await);
    client.ready().await.unwrap();
    let large = "x".repeat(1_000_000);
    let items: Vec<Item> = (0..8).map(|_| item(&large)).collect();
    let path = PathAndQuery::from_static("/shop.v1.Shop/Talk");
    let codec = ProstCodec::<Item, Item>::default();
    let asked = Request::new(stream::iter(items));
    let reply = client.streaming(asked, path, codec).await.unwrap();
    let lengths: Vec<usize> = reply
        .into_inner()
        .map(|item| item.unwrap().name.len())
        .collect()
        .await;
    assert_eq!(lengths, vec![1_000_000; 8]);
    drop(client);
    gateway.stop().await;
    upstream.stop().await;
}

/// The bytes of a reply to a browser that asks for this item.
async fn web(gateway: &Gateway, name: &str) -> Bytes {
    let message = prost::Message::encode_to_vec(&GetItemRequest {
        name: name.to_owned(),
    });
    let mut frame = vec![0, 0, 0, 0, u8::try_from(message.len()).unwrap()];
    frame.extend(message);
    let reply = gateway
        .client
        .post(gateway.url("/shop.v1.Shop/GetItem"))
        .header("content-type", "application/grpc-web+proto")
        .body(frame)
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status(), 200);
    assert_eq!(
        reply.headers()["content-type"],
        "application/grpc-web+proto"
    );
    if let Some(details) = reply.headers().get("grpc-status-details-bin") {
        return Bytes::copy_from_slice(details.as_bytes());
    }
    reply.bytes().await.unwrap()
}

#[tokio::test]
async fn browsers_call_over_grpc_web() {
    let upstream = Upstream::start(Reflection::V1).await;
    let gateway = Gateway::start(config(reflected(&upstream.url()))).await;
    let body = web(&gateway, "lamp").await;
    let length = usize::from(body[4]);
    let item: Item = prost::Message::decode(&body[5..5 + length]).unwrap();
    assert_eq!(item.price_cents, 1250);
    let trailers = std::str::from_utf8(&body[5 + length + 5..]).unwrap();
    assert!(trailers.contains("grpc-status:0"), "{trailers}");
    // An error is told in the headers, with all its details.
    let details = web(&gateway, "closed").await;
    assert_eq!(STANDARD_NO_PAD.decode(details).unwrap(), closed_details());
    gateway.stop().await;
    upstream.stop().await;
}

#[tokio::test]
async fn the_gateway_tells_its_own_health() {
    let upstream = Upstream::start(Reflection::V1).await;
    let gateway = Gateway::start(config(reflected(&upstream.url()))).await;
    let mut health = HealthClient::new(connect(&gateway).await);
    let asked = HealthCheckRequest {
        service: String::new(),
    };
    let mut watched = health.watch(asked).await.unwrap().into_inner();
    let serving = tonic_health::ServingStatus::Serving as i32;
    assert_eq!(watched.next().await.unwrap().unwrap().status, serving);
    upstream.stop().await;
    let not = tonic_health::ServingStatus::NotServing as i32;
    assert_eq!(watched.next().await.unwrap().unwrap().status, not);
    drop((watched, health));
    gateway.stop().await;
}
