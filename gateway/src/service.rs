//! The tower service: REST in, a gRPC service in process or in another one behind it, REST out.

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body as HttpBody;
use tonic::body::Body;
use tower::Service;

use crate::{
    exchange::{Exchange, infallible},
    fault::{Fault, MethodsAtPath},
    framing::Framing,
    lookup::{Found, ReplyKind},
    reply::{self, Handshake, Incoming, Sockets},
    request::{self, Plan},
    surface::{Endpoint, SurfaceHandle},
};

/// One surface in front of one gRPC service.
#[derive(Clone)]
pub struct Gateway<S> {
    surface: SurfaceHandle,
    sockets: Sockets,
    is_bare: bool,
    inner: S,
}

impl<S> Gateway<S> {
    /// A gateway that calls `inner`, which takes gRPC requests.
    pub fn new(surface: impl Into<SurfaceHandle>, inner: S) -> Self {
        Self {
            surface: surface.into(),
            sockets: Sockets::default(),
            is_bare: false,
            inner,
        }
    }

    /// For services of this process: calls have no media type, and unary replies may have neither that nor a frame nor
    /// trailers, as those of [`crate::server`] do. The default deadline is kept and not told.
    #[must_use]
    pub fn in_process(mut self) -> Self {
        self.is_bare = true;
        self
    }

    /// Keeps its WebSockets among these, for whoever stops the server to close.
    #[must_use]
    pub fn with_sockets(mut self, sockets: Sockets) -> Self {
        self.sockets = sockets;
        self
    }
}

impl<S, B> Service<Request<B>> for Gateway<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.begin(request)
    }
}

/// A reply to come.
type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<S> Gateway<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    /// Everything up to the call, and the call itself, happens here and at once, so that what is awaited is small.
    fn begin<B>(&mut self, request: Request<B>) -> Answer
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: std::fmt::Display,
    {
        let (parts, incoming) = request.into_parts();
        let mut exchange = Exchange::new(self.surface.load(), parts, self.is_bare);
        if let Some(refusal) = exchange.over_limits() {
            return Box::pin(ready(Ok(refusal)));
        }
        let handshake = exchange.handshake();
        let (index, bindings, reply) = match exchange.find(handshake.is_some()) {
            Found::Options(allow) => return Box::pin(ready(Ok(options(allow)))),
            Found::Fault(fault, methods) => return self.miss(exchange, fault, methods),
            Found::Endpoint {
                index,
                bindings,
                reply,
            } => (index, bindings, reply),
        };
        exchange.index = index;
        let head = match exchange.grpc_call(reply) {
            Ok(head) => head,
            Err(fault) => {
                let uri = exchange.endpoint().map(|e| e.uri.clone());
                let methods = MethodsAtPath(uri.into_iter().collect());
                return self.miss(exchange, fault, methods);
            }
        };
        if let (Some(handshake), ReplyKind::Stream(Framing::WebSocket)) = (handshake, reply) {
            let plan = exchange.plan(bindings);
            return self.socket(exchange, head, plan, handshake);
        }
        let body = match bindings {
            Ok(bindings) if exchange.is_bound() => bindings.into_body(),
            bindings => request::body(incoming, exchange.plan(bindings)),
        };
        let answer = self.inner.call(head.map(|()| body));
        Box::pin(exchange.call(reply, answer))
    }

    #[cold]
    fn socket(
        &mut self,
        exchange: Box<Exchange>,
        head: Request<()>,
        plan: Plan,
        handshake: Handshake,
    ) -> Answer {
        // A method without a body has all it needs in the handshake.
        let has_body = exchange.endpoint().is_some_and(Endpoint::has_body);
        let (input, body) = match has_body {
            false => (None, request::body(Body::empty(), plan)),
            true => {
                let (incoming, body) = Incoming::new();
                (Some((plan, incoming)), body)
            }
        };
        let answer = self.inner.call(head.map(|()| body));
        let reply = Box::pin(async move { infallible(answer.await) });
        let sockets = self.sockets.clone();
        Box::pin(async move {
            let call = match exchange.to_call() {
                Ok(call) => call,
                Err(refusal) => return Ok(*refusal),
            };
            Ok(reply::upgrade(&call, handshake, &sockets, input, reply).await)
        })
    }

    /// A request without a route still goes through the checks in front of the service, where the surface wants it.
    #[cold]
    fn miss(
        &mut self,
        mut exchange: Box<Exchange>,
        fault: Box<Fault>,
        methods: MethodsAtPath,
    ) -> Answer {
        let head = match exchange.surface.unmatched.clone() {
            Some(uri) => exchange.grpc_head(uri, None),
            None => Err(fault.clone()),
        };
        let answer = head.map(|head| {
            let mut call = head.map(|()| Body::empty());
            call.extensions_mut().insert(Fault::clone(&fault));
            call.extensions_mut().insert(methods);
            self.inner.call(call)
        });
        Box::pin(exchange.refuse(fault, answer))
    }
}

#[cold]
fn options(allow: Option<HeaderValue>) -> Response<Body> {
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = StatusCode::NO_CONTENT;
    if let Some(allow) = allow {
        reply.headers_mut().insert(header::ALLOW, allow);
    }
    reply
}
