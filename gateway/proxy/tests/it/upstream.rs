//! The shop: a service with messages of its own types.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures_util::Stream;
use http::{Request, Response};
use http_body_util::BodyExt;
use prost::Message;
use prost_types::Any;
use tokio::sync::{Notify, Semaphore};
use tonic::{
    Code, Status, Streaming,
    body::Body,
    codec::CompressionEncoding,
    server::{Grpc, NamedService, StreamingService, UnaryService},
    service::Routes,
};
use tonic_prost::ProstCodec;
use tonic_types::pb;
use tower::Service;

pub(crate) use crate::server::Reflection;
use crate::server::{self, ANYWHERE, Server};

/// `shop.v1.GetItemRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetItemRequest {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
}

/// `shop.v1.Item`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Item {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(int64, tag = "2")]
    pub(crate) price_cents: i64,
    #[prost(string, repeated, tag = "3")]
    pub(crate) tags: Vec<String>,
}

/// The service; calls named `slow` wait for a permit of `gate`.
#[derive(Clone)]
pub(crate) struct Shop {
    gate: Arc<Semaphore>,
    arrived: Arc<Notify>,
    received: Arc<AtomicUsize>,
}

impl NamedService for Shop {
    const NAME: &'static str = "shop.v1.Shop";
}

type Reply<T> = Pin<Box<dyn Future<Output = Result<tonic::Response<T>, Status>> + Send>>;
type Items = Pin<Box<dyn Stream<Item = Result<Item, Status>> + Send>>;

impl UnaryService<GetItemRequest> for Shop {
    type Response = Item;
    type Future = Reply<Item>;

    fn call(&mut self, request: tonic::Request<GetItemRequest>) -> Self::Future {
        let (gate, arrived) = (self.gate.clone(), self.arrived.clone());
        Box::pin(async move {
            let sent = request.metadata().clone();
            let name = request.into_inner().name;
            match name.as_str() {
                "missing" => return Err(Status::not_found("there is no such item")),
                "closed" => return Err(closed()),
                "slow" => {
                    arrived.notify_one();
                    drop(gate.acquire().await);
                }
                _ => {}
            }
            let mut reply = tonic::Response::new(Item {
                name,
                price_cents: 1250,
                tags: vec!["a".to_owned(), "b".to_owned()],
            });
            if let Some(id) = sent.get("x-request-id") {
                reply.metadata_mut().insert("x-seen-id", id.clone());
            }
            let hops: Vec<&str> = sent
                .get_all("x-forwarded-for")
                .iter()
                .filter_map(|hop| hop.to_str().ok())
                .collect();
            if let Ok(hops) = hops.join(",").parse() {
                reply.metadata_mut().insert("x-seen-address", hops);
            }
            Ok(reply)
        })
    }
}

/// The details of [`closed`]: one that every client knows, one of the server's own, and one of nobody's.
pub(crate) fn closed_details() -> Vec<u8> {
    let info = pb::ErrorInfo {
        reason: "CLOSED".to_owned(),
        domain: "shop.v1".to_owned(),
        metadata: [("day".to_owned(), "Sunday".to_owned())].into(),
    };
    let item = Item {
        name: "lamp".to_owned(),
        ..Item::default()
    };
    let any = |name: &str, value| Any {
        type_url: format!("type.googleapis.com/{name}"),
        value,
    };
    let status = pb::Status {
        code: 9,
        message: "closed".to_owned(),
        details: vec![
            any("google.rpc.ErrorInfo", info.encode_to_vec()),
            any("shop.v1.Item", item.encode_to_vec()),
            any("elsewhere.Thing", vec![8, 1]),
        ],
    };
    status.encode_to_vec()
}

fn closed() -> Status {
    Status::with_details(Code::FailedPrecondition, "closed", closed_details().into())
}

/// Gives the item back.
struct Echo;

impl UnaryService<Item> for Echo {
    type Response = Item;
    type Future = Reply<Item>;

    fn call(&mut self, request: tonic::Request<Item>) -> Self::Future {
        Box::pin(async move { Ok(tonic::Response::new(request.into_inner())) })
    }
}

impl StreamingService<Item> for Echo {
    type Response = Item;
    type ResponseStream = Items;
    type Future = Reply<Items>;

    fn call(&mut self, request: tonic::Request<Streaming<Item>>) -> Self::Future {
        Box::pin(async move {
            let items: Items = Box::pin(request.into_inner());
            Ok(tonic::Response::new(items))
        })
    }
}

impl Service<Request<Body>> for Shop {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shop = self.clone();
        Box::pin(async move {
            let method = request.uri().path().rsplit('/').next().map(str::to_owned);
            let received = shop.received.clone();
            let request = request.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    received.fetch_add(bytes, Ordering::Relaxed);
                    frame
                }))
            });
            let mut reply = match method.as_deref() {
                Some("GetItem") => server().unary(shop, request).await,
                Some("CreateItem" | "Plain") => server().unary(Echo, request).await,
                Some("Talk") => server().streaming(Echo, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            };
            // How the messages are compressed, for the client to see.
            let headers = reply.headers_mut();
            if let Some(coding) = headers.get("grpc-encoding").cloned() {
                headers.insert("x-sent-encoding", coding);
            }
            Ok(reply)
        })
    }
}

/// Takes gzip, and sends it to whoever takes it.
fn server<Sent, Received>() -> Grpc<ProstCodec<Sent, Received>>
where
    Sent: Message + 'static,
    Received: Message + Default + 'static,
{
    Grpc::new(ProstCodec::default())
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip)
}

/// The descriptors of the service, as protoc writes them.
pub(crate) fn descriptor_set(include_imports: bool) -> Vec<u8> {
    compiled(include_imports, str::to_owned)
}

/// The same of a changed .proto file.
pub(crate) fn compiled(include_imports: bool, change: impl Fn(&str) -> String) -> Vec<u8> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/protos/shop.proto");
    server::compiled(source, include_imports, change)
}

/// A running server.
pub(crate) struct Upstream {
    server: Server,
    pub(crate) address: SocketAddr,
    /// Lets `slow` calls go on.
    pub(crate) gate: Arc<Semaphore>,
    arrived: Arc<Notify>,
    /// Bytes of messages that have come, as they were on the wire.
    pub(crate) received: Arc<AtomicUsize>,
}

impl Upstream {
    pub(crate) async fn start(reflection: Reflection) -> Self {
        Self::start_at(ANYWHERE, reflection).await
    }

    pub(crate) async fn start_at(address: SocketAddr, reflection: Reflection) -> Self {
        Self::start_with(address, reflection, &descriptor_set(true)).await
    }

    /// With these descriptors for whoever asks.
    pub(crate) async fn start_with(
        address: SocketAddr,
        reflection: Reflection,
        set: &[u8],
    ) -> Self {
        let (gate, arrived) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
        let received = Arc::new(AtomicUsize::new(0));
        let shop = Shop {
            gate: gate.clone(),
            arrived: arrived.clone(),
            received: received.clone(),
        };
        let server = Server::start(address, Routes::new(shop), reflection, set).await;
        Self {
            address: server.address,
            server,
            gate,
            arrived,
            received,
        }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Waits until a `slow` call is there.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Stops it gracefully: calls in flight end first.
    pub(crate) async fn stop(self) {
        self.server.stop().await;
    }
}
