//! Servers that take connections and do not tell their descriptors: not yet, or not now.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use nix::sys::signal::Signal;
use pulpo_gateway_proxy::{config::Upstream as Told, run::Proxy};
use tokio::sync::watch;
use tonic::{Code, Status, body::Body, server::NamedService, service::Routes};
use tower::Service;

use crate::{
    gateway::{Gateway, config, eventually, reflected},
    refresh::{Described, surface, told},
    running::Running,
    scripted,
    server::{ANYWHERE, Server},
    upstream::descriptor_set,
};

/// What becomes of a call.
#[derive(Clone, Copy)]
enum Mood {
    /// It is answered.
    Well,
    /// It waits for another mood.
    Silent,
    /// It fails so.
    Failing(Code),
}

/// Reflection of the shop, in this mood.
#[derive(Clone)]
struct Moody {
    mood: watch::Receiver<Mood>,
    reflection: Routes,
}

impl NamedService for Moody {
    const NAME: &'static str = "grpc.reflection.v1.ServerReflection";
}

impl Service<Request<Body>> for Moody {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut moody = self.clone();
        Box::pin(async move {
            let is_other = |mood: &Mood| !matches!(mood, Mood::Silent);
            let mood = moody.mood.wait_for(is_other).await.map(|mood| *mood);
            match mood.unwrap() {
                Mood::Failing(code) => Ok(Status::new(code, "not now").into_http()),
                _ => moody.reflection.call(request).await,
            }
        })
    }
}

/// A server with nothing but that reflection, and what changes its mood.
async fn moody(mood: Mood) -> (Server, watch::Sender<Mood>) {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(&descriptor_set(true))
        .build_v1()
        .unwrap();
    let (sender, mood) = watch::channel(mood);
    let moody = Moody {
        mood,
        reflection: Routes::new(reflection).prepare(),
    };
    let server = Server::serve(ANYWHERE, Routes::new(moody), None).await;
    (server, sender)
}

const ITEM: &str = "/v1/items/lamp";

async fn status(gateway: &Gateway, host: &str, path: &str) -> u16 {
    let request = gateway.client.get(gateway.url(path));
    let reply = request.header("host", format!("{host}.example")).send();
    reply.await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_server_that_cannot_answer_yet_is_asked_again() {
    for code in [Code::Unavailable, Code::Cancelled, Code::DeadlineExceeded] {
        let (server, mood) = moody(Mood::Failing(code)).await;
        let gateway = Gateway::start(config(reflected(&server.url()))).await;
        let early = gateway.get(ITEM).await;
        assert_eq!(early.status(), 503, "{code:?}");
        assert_eq!(early.headers()["retry-after"], "1");
        assert_eq!(gateway.get("/readyz").await.status(), 503);
        mood.send_replace(Mood::Well);
        // There is the route; nobody answers.
        eventually(async || gateway.get(ITEM).await.status() == 501).await;
        assert_eq!(gateway.get("/readyz").await.status(), 200);
        gateway.stop().await;
        server.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_has_no_reflection_is_told_of_at_once() {
    let (server, _mood) = moody(Mood::Failing(Code::Unimplemented)).await;
    let refused = Proxy::bind(config(reflected(&server.url()))).await;
    let refused = refused.err().unwrap().to_string();
    assert!(
        refused.contains("upstream shop: Unimplemented"),
        "{refused}"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_silent_server_holds_nobody_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lines.binpb");
    std::fs::write(&path, scripted::descriptor_set()).unwrap();
    let (silent, mood) = moody(Mood::Silent).await;
    let items = Described::start("127.0.0.1:0", "/v1/items/{name}").await;
    let mut all = config(reflected(&silent.url()));
    all.upstreams.push(Told {
        descriptor_set: Some(path.clone()),
        ..Told::at("lines", "http://127.0.0.1:1")
    });
    all.upstreams.push(told("items", &items, 0));
    all.surfaces = ["shop", "lines", "items"].map(surface).to_vec();
    let gateway = Gateway::start(all).await;
    assert_eq!(status(&gateway, "shop", ITEM).await, 503);
    assert_eq!(status(&gateway, "items", ITEM).await, 501);

    // A file that changes.
    assert_eq!(status(&gateway, "lines", "/v2/lines/l").await, 404);
    let moved = scripted::changed(|proto| proto.replace("/v1/lines/", "/v2/lines/"));
    let beside = path.with_extension("new");
    std::fs::write(&beside, moved).unwrap();
    std::fs::rename(&beside, &path).unwrap();
    eventually(async || status(&gateway, "lines", "/v2/lines/l").await == 503).await;

    // What is new when somebody asks.
    let address = items.address.to_string();
    let is = async |state: &str| {
        let ready = gateway.get("/readyz").await.text().await.unwrap();
        ready.contains(&format!(r#""items":"{state}""#))
    };
    items.stop().await;
    eventually(async || is("down").await).await;
    let items = Described::start(&address, "/v2/items/{name}").await;
    eventually(async || is("up").await).await;
    gateway.reload.send(()).await.unwrap();
    eventually(async || status(&gateway, "items", "/v2/items/lamp").await == 501).await;

    assert_eq!(status(&gateway, "shop", ITEM).await, 503);
    mood.send_replace(Mood::Well);
    eventually(async || status(&gateway, "shop", ITEM).await == 501).await;
    gateway.stop().await;
    items.stop().await;
    silent.stop().await;
}

#[tokio::test]
async fn a_hangup_during_the_start_is_a_wish_for_later() {
    let (server, mood) = moody(Mood::Silent).await;
    let mut running = Running::start(&[
        "--upstream",
        &server.url(),
        "--reflection",
        "--listen",
        "127.0.0.1:0",
    ]);
    running.says("connected to the upstream").await;
    running.signal(Signal::SIGHUP);
    mood.send_replace(Mood::Well);
    running.says("listening").await;
    running.says("told to read the descriptors again").await;
    running.signal(Signal::SIGTERM);
    assert!(running.child.wait().await.unwrap().success());
    server.stop().await;
}
