//! Servers that take connections and do not tell their descriptors: not yet, or not now.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use nix::sys::signal::Signal;
use tokio::sync::watch;
use tonic::{body::Body, server::NamedService, service::Routes};
use tower::Service;

use crate::{
    running::Running,
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
            assert!(mood.is_ok());
            moody.reflection.call(request).await
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
