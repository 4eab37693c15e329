//! The Connect protocol (connectrpc.com/docs/protocol) in front of gRPC services, beside REST, gRPC and gRPC-Web.
//!
//! What it promises:
//! - All four kinds of methods, as JSON and as binary protobuf, compressed or not; unary methods without side effects by
//!   GET too. Bidirectional streams need HTTP/2 and are refused with 505 before it.
//! - JSON is canonical ProtoJSON for every service, whatever a surface's documents say: Connect's clients are generated
//!   and expect it. Members that no field is named after are ignored.
//! - The checks in front of the service come first. What is wrong with a message, or with a header that gRPC has too, is
//!   told after them; 405, 415 and 505 and too many headers say nothing about any data and are answered at once.
//! - Every call ends at the client's timeout or the gateway's, whichever is sooner. A client that goes away cancels the
//!   call, and one that reads slowly slows the service down.
//!
//! How it is arranged: `methods` is the table, `call` and `query` read the head of a request, `request` makes gRPC of its
//! messages, `reply` and `stream` make Connect of the answer, `error` writes how it ended, `metadata` and `encoding` carry
//! headers and compression.
//!
//! The path of a method is Connect's alone: any other path is not taken, and what is no Connect request on it is answered
//! 405 or 415.

mod call;
mod encoding;
mod error;
mod metadata;
mod methods;
mod query;
mod reply;
mod request;
mod stream;

use std::{
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Parts};
use http_body::Body as HttpBody;
use tokio::time::Instant;
use tonic::{Status, body::Body};
use tower::{Service, ServiceExt};

use crate::{deadline::within, request::fault::too_many_headers};

pub use self::methods::{ConnectOptions, Methods};
use self::{
    call::Call,
    methods::Method,
    reply::Answer,
    request::{Refusal, RequestBody},
};

/// Connect in front of a gRPC service.
#[derive(Clone)]
pub struct Connect<S> {
    methods: Arc<Methods>,
    inner: S,
}

impl<S> Connect<S> {
    /// Calls `inner` for these methods.
    pub fn new(methods: Arc<Methods>, inner: S) -> Self {
        Self { methods, inner }
    }

    /// Whether requests for this path are Connect's. gRPC and gRPC-Web have the same paths: their content types, which
    /// begin with `application/grpc`, are to be looked at before.
    pub fn takes(&self, path: &str) -> bool {
        self.methods.contains(path)
    }
}

impl<S, B> Service<Request<B>> for Connect<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (methods, inner) = (self.methods.clone(), self.inner.clone());
        Box::pin(async move {
            let (parts, incoming) = request.into_parts();
            let Some(method) = methods.find(parts.uri.path()) else {
                return Ok(not_found());
            };
            match Call::read(method, &parts, &methods.options) {
                Ok(call) => Ok(answer(&methods, method, call, parts, incoming, inner).await),
                Err(refused) => Ok(*refused),
            }
        })
    }
}

async fn answer<S, B>(
    methods: &Arc<Methods>,
    method: &Arc<Method>,
    mut call: Call,
    parts: Parts,
    incoming: B,
    inner: S,
) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
    S::Future: Send,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    let limit = methods.options.limits.max_headers;
    if let Some(fault) = too_many_headers(&parts.headers, limit) {
        return refused(methods, method, &call, fault.to_status());
    }
    let deadline = call
        .timeout
        .and_then(|timeout| Instant::now().checked_add(timeout));
    let refusal = Refusal::default();
    let (head, copied) = crate::call::head(
        method.uri.clone(),
        &parts.headers,
        parts.extensions,
        &methods.options.metadata.requests,
        call.timeout,
    );
    call.or_fault(
        copied.map_err(|name| {
            Status::invalid_argument(format!("header '{name}': base64 was expected"))
        }),
    );
    let body = RequestBody::new(incoming, methods, method, &mut call, refusal.clone());
    let asked = async {
        match inner.oneshot(head.map(|()| Body::new(body))).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    };
    if call.is_stream() {
        let answer = until(deadline, asked).await;
        return stream::reply(methods, method, &call, answer, deadline, refusal);
    }
    let read = until(deadline, async { reply::read(methods, asked.await).await }).await;
    let answer = read.unwrap_or_else(Answer::from);
    reply::print(methods, method, &call, answer, &refusal)
}

/// The answer to a call that is not made.
#[cold]
fn refused(
    methods: &Arc<Methods>,
    method: &Arc<Method>,
    call: &Call,
    status: Status,
) -> Response<Body> {
    let refusal = Refusal::default();
    if call.is_stream() {
        return stream::reply(methods, method, call, Err(status), None, refusal);
    }
    reply::print(methods, method, call, Answer::from(status), &refusal)
}

/// The outcome, if it is there in time.
async fn until<T>(deadline: Option<Instant>, work: impl Future<Output = T>) -> Result<T, Status> {
    within(deadline, pin!(work))
        .await
        .ok_or_else(deadline_exceeded)
}

fn deadline_exceeded() -> Status {
    Status::deadline_exceeded("the call took too long")
}

/// For callers that did not ask whether the path is taken.
#[cold]
fn not_found() -> Response<Body> {
    error::refusal(StatusCode::NOT_FOUND, "there is no such method")
}
