//! `gateway.test.v1.StreamService` on a server of its own; each test says what it answers, in bare frames.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use futures_util::{StreamExt, stream};
use http::{Request, Response};
use tokio::sync::Semaphore;
use tonic::{Code, Status, body::Body, server::NamedService, service::Routes};
use tower::Service;

use crate::{
    messages::{collected, lines, reply},
    server::{self, ANYWHERE, Reflection, Server},
};

type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

#[derive(Clone)]
struct Scripted(Arc<dyn Fn(Request<Body>) -> Answer + Send + Sync>);

impl NamedService for Scripted {
    const NAME: &'static str = "gateway.test.v1.StreamService";
}

impl Service<Request<Body>> for Scripted {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = (self.0)(request);
        Box::pin(async move {
            let mut reply = answer.await;
            let grpc = http::HeaderValue::from_static("application/grpc");
            reply.headers_mut().insert("content-type", grpc);
            Ok(reply)
        })
    }
}

/// A server that answers every call so.
pub(crate) async fn scripted<F>(
    answer: impl Fn(Request<Body>) -> F + Send + Sync + 'static,
) -> Server
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    narrow(None, answer).await
}

/// One that takes so many calls on a connection at most.
async fn narrow<F>(
    calls: Option<u32>,
    answer: impl Fn(Request<Body>) -> F + Send + Sync + 'static,
) -> Server
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let service = Scripted(Arc::new(move |request| Box::pin(answer(request))));
    let set = descriptor_set();
    Server::start_narrow(ANYWHERE, Routes::new(service), Reflection::V1, &set, calls).await
}

/// One that keeps the messages of every call, and answers with the last.
pub(crate) async fn collecting<M>() -> (Server, Arc<Mutex<Vec<M>>>)
where
    M: prost::Message + Default + Clone + 'static,
{
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    let server = scripted(move |request| collected::<M>(request, kept.clone())).await;
    (server, seen)
}

/// One that sends as many lines as the header `x-lines` says, and ends by the code that `x-code` says.
pub(crate) async fn counting() -> Server {
    scripted(|request| {
        let asked = |name: &str| -> i32 {
            let value = request.headers().get(name);
            value.map_or(0, |value| value.to_str().unwrap().parse().unwrap())
        };
        let (count, code) = (asked("x-lines"), Code::from_i32(asked("x-code")));
        async move {
            match (count, code) {
                (-1, code) => Status::new(code, "no more").into_http(),
                _ => reply(lines(count), code),
            }
        }
    })
    .await
}

/// One that sends a line and then nothing, and gives a permit when it is told that nobody listens. A call of `Read` is
/// answered.
pub(crate) async fn silent() -> (Server, Arc<Semaphore>) {
    silent_and_narrow(None).await
}

/// The same, with so many calls on a connection at most.
pub(crate) async fn silent_and_narrow(calls: Option<u32>) -> (Server, Arc<Semaphore>) {
    let gone = Arc::new(Semaphore::new(0));
    let told = gone.clone();
    let server = narrow(calls, move |request| {
        let is_read = request.uri().path().ends_with("/Read");
        let end = (!is_read).then(|| Told(told.clone()));
        let rest = stream::pending().map(move |piece| {
            let _kept = &end;
            piece
        });
        async move {
            match is_read {
                true => reply(lines(1), Code::Ok),
                false => reply(lines(1).chain(rest), Code::Ok),
            }
        }
    })
    .await;
    (server, gone)
}

/// Gives a permit when it is dropped.
pub(crate) struct Told(pub(crate) Arc<Semaphore>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

/// The descriptors of the service.
pub(crate) fn descriptor_set() -> Vec<u8> {
    changed(str::to_owned)
}

/// The same of a changed .proto file.
pub(crate) fn changed(change: impl Fn(&str) -> String) -> Vec<u8> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/protos/stream.proto");
    server::compiled(source, true, change)
}
