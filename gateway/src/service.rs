//! The tower service: REST in, a gRPC service in process or in another one behind it, REST out.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header,
    request::Parts,
};
use http_body::Body as HttpBody;
use tokio::time::Instant;
use tonic::{Code, body::Body};
use tower::{Service, ServiceExt};

use crate::{
    deadline,
    fault::{ErrorContext, Fault, MethodsAtPath},
    framing::Framing,
    lookup::{Asked, Found, ReplyKind, find},
    reply::{self, Call, Handshake, Incoming, Sockets},
    request::{self, Plan, body_headers, fault::FaultSlot},
    surface::{Surface, SurfaceHandle},
};

/// One surface in front of one gRPC service.
#[derive(Clone)]
pub struct Gateway<S> {
    surface: SurfaceHandle,
    sockets: Sockets,
    inner: S,
}

impl<S> Gateway<S> {
    /// A gateway that calls `inner`, which takes gRPC requests.
    pub fn new(surface: impl Into<SurfaceHandle>, inner: S) -> Self {
        Self {
            surface: surface.into(),
            sockets: Sockets::default(),
            inner,
        }
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
        let this = self.clone();
        Box::pin(async move { Ok(this.answer(request).await) })
    }
}

impl<S> Gateway<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send + 'static,
    S::Future: Send,
{
    async fn answer<B>(self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: std::fmt::Display,
    {
        let surface = self.surface.load();
        let (mut parts, incoming) = request.into_parts();
        let handshake = Handshake::of(&parts.method, &parts.headers, &mut parts.extensions);
        let asked = Asked {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
            is_handshake: handshake.is_some(),
        };
        let mut reply = match find(&surface, asked) {
            Found::Options(allow) => options(allow),
            Found::Fault(fault, methods) => {
                unmatched(&surface, self.inner, &parts, *fault, methods).await
            }
            Found::Endpoint {
                index,
                bindings,
                reply,
            } => match Prepared::new(&surface, index, &parts, reply) {
                Err(fault) => {
                    let uri = surface.endpoints.get(index).map(|e| e.uri.clone());
                    let methods = MethodsAtPath(uri.into_iter().collect());
                    unmatched(&surface, self.inner, &parts, *fault, methods).await
                }
                Ok(prepared) => {
                    let plan = prepared.plan(&surface, &parts.headers, bindings);
                    match handshake.filter(|_| reply == ReplyKind::Stream(Framing::WebSocket)) {
                        Some(handshake) => {
                            let (sockets, inner) = (self.sockets, self.inner);
                            prepared
                                .socket(&surface, &parts, plan, handshake, &sockets, inner)
                                .await
                        }
                        None => {
                            let body = request::body(incoming, plan);
                            prepared
                                .call(&surface, &parts, reply, body, self.inner)
                                .await
                        }
                    }
                }
            },
        };
        if parts.method == Method::HEAD {
            without_body(&mut reply);
        }
        reply
    }
}

/// A call whose request head is made.
struct Prepared {
    index: usize,
    faults: FaultSlot,
    deadline: Option<Instant>,
    head: Request<()>,
}

impl Prepared {
    fn new(
        surface: &Surface,
        index: usize,
        parts: &Parts,
        reply: ReplyKind,
    ) -> Result<Self, Box<Fault>> {
        let is_stream = reply != ReplyKind::Unary;
        let deadlines = &surface.options.deadlines;
        let allowed = deadline::allowed(&parts.headers, deadlines, is_stream)
            .map_err(|name| invalid_header(name, "a time was expected"))?;
        let uri = surface.endpoints.get(index).map(|e| e.uri.clone());
        let head = grpc_head(surface, uri.unwrap_or_default(), parts, allowed)?;
        Ok(Self {
            index,
            faults: FaultSlot::default(),
            deadline: allowed.map(|allowed| Instant::now() + allowed),
            head,
        })
    }

    fn plan(
        &self,
        surface: &Arc<Surface>,
        headers: &HeaderMap,
        bindings: Result<Vec<u8>, Box<Fault>>,
    ) -> Plan {
        let (content_type, content_length) = body_headers(headers);
        Plan {
            surface: surface.clone(),
            endpoint: self.index,
            content_type,
            content_length,
            coding: crate::compress::Coding::of_request(headers),
            bindings,
            faults: self.faults.clone(),
        }
    }

    /// What the reply has to know of the call.
    fn to_call<'c>(
        &self,
        surface: &'c Arc<Surface>,
        parts: &'c Parts,
    ) -> Result<Call<'c>, Box<Response<Body>>> {
        let context = context(parts);
        let Some(endpoint) = surface.endpoints.get(self.index) else {
            let fault = request::fault::not_found(parts.uri.path());
            return Err(Box::new(reply::refusal(surface, &fault, context)));
        };
        Ok(Call {
            surface,
            index: self.index,
            endpoint,
            context,
            faults: self.faults.clone(),
            deadline: self.deadline,
        })
    }

    async fn call<S>(
        self,
        surface: &Arc<Surface>,
        parts: &Parts,
        reply: ReplyKind,
        body: Body,
        inner: S,
    ) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
        S::Future: Send,
    {
        let call = match self.to_call(surface, parts) {
            Ok(call) => call,
            Err(refusal) => return *refusal,
        };
        let answered = async {
            let response = infallible(inner.oneshot(self.head.map(|()| body)).await);
            match reply {
                ReplyKind::Unary => reply::unary(&call, response).await,
                ReplyKind::Stream(framing) => reply::streamed(&call, framing, response).await,
            }
        };
        match self.deadline {
            None => answered.await,
            Some(at) => match tokio::time::timeout_at(at, answered).await {
                Ok(reply) => reply,
                Err(_) => {
                    reply::refusal(surface, &request::fault::deadline_exceeded(), call.context)
                }
            },
        }
    }

    async fn socket<S>(
        self,
        surface: &Arc<Surface>,
        parts: &Parts,
        plan: Plan,
        handshake: Handshake,
        sockets: &Sockets,
        inner: S,
    ) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send + 'static,
        S::Future: Send,
    {
        let call = match self.to_call(surface, parts) {
            Ok(call) => call,
            Err(refusal) => return *refusal,
        };
        // A method without a body has all it needs in the handshake.
        let (input, body) = match call.endpoint.binder.body().is_none() {
            true => (None, request::body(Body::empty(), plan)),
            false => {
                let (incoming, body) = Incoming::new();
                (Some((plan, incoming)), body)
            }
        };
        let head = self.head;
        let reply = Box::pin(async move { infallible(inner.oneshot(head.map(|()| body)).await) });
        reply::upgrade(&call, handshake, sockets, input, reply).await
    }
}

fn context(parts: &Parts) -> ErrorContext<'_> {
    ErrorContext::new(&parts.method, parts.uri.path(), &parts.headers)
}

fn infallible<T>(outcome: Result<T, Infallible>) -> T {
    match outcome {
        Ok(value) => value,
        Err(never) => match never {},
    }
}

/// A request without a route still goes through the checks in front of the service, where the surface wants it.
async fn unmatched<S>(
    surface: &Surface,
    inner: S,
    parts: &Parts,
    fault: Fault,
    methods: MethodsAtPath,
) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
    S::Future: Send,
{
    let context = context(parts);
    let Some(uri) = &surface.unmatched else {
        return reply::refusal(surface, &fault, context);
    };
    let head = match grpc_head(surface, uri.clone(), parts, None) {
        Ok(head) => head,
        Err(fault) => return reply::refusal(surface, &fault, context),
    };
    let mut call = head.map(|()| Body::empty());
    let allow = fault.allow.clone();
    call.extensions_mut().insert(fault.clone());
    call.extensions_mut().insert(methods);
    let response = infallible(inner.oneshot(call).await);
    let mut told = reply::fault_of(&response).unwrap_or(fault);
    if told.status == StatusCode::METHOD_NOT_ALLOWED {
        told.allow = allow;
    }
    let mut reply = reply::refusal(surface, &told, context);
    reply::copy_metadata(surface, response.headers(), reply.headers_mut());
    reply
}

fn grpc_head(
    surface: &Surface,
    uri: Uri,
    parts: &Parts,
    allowed: Option<Duration>,
) -> Result<Request<()>, Box<Fault>> {
    let mut head = Request::new(());
    *head.method_mut() = Method::POST;
    *head.version_mut() = Version::HTTP_2;
    *head.uri_mut() = uri;
    *head.extensions_mut() = parts.extensions.clone();
    let metadata = head.headers_mut();
    metadata.reserve(parts.headers.len() + 4);
    surface
        .options
        .metadata
        .requests
        .copy(&parts.headers, metadata)
        .map_err(|name| invalid_header(name.as_str(), "base64 was expected"))?;
    metadata.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    metadata.insert(header::TE, HeaderValue::from_static("trailers"));
    if surface.options.has_grpc_gzip {
        let gzip = HeaderValue::from_static("gzip");
        metadata.insert("grpc-encoding", gzip.clone());
        metadata.insert("grpc-accept-encoding", gzip);
    }
    if let Some(allowed) = allowed {
        metadata.insert(deadline::GRPC_TIMEOUT, deadline::to_grpc_timeout(allowed));
    }
    Ok(head)
}

fn invalid_header(name: &str, expected: &str) -> Box<Fault> {
    let message = format!("header '{name}': {expected}");
    let fault = Fault::gateway(
        Code::InvalidArgument,
        StatusCode::BAD_REQUEST,
        "INVALID_HEADER",
        message,
    );
    Box::new(fault.with_violation(name, expected))
}

/// The length stays: HEAD tells what GET would send.
fn without_body(reply: &mut Response<Body>) {
    let length = reply.body().size_hint().exact();
    *reply.body_mut() = Body::empty();
    if let Some(length) = length {
        reply
            .headers_mut()
            .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}

fn options(allow: Option<HeaderValue>) -> Response<Body> {
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = StatusCode::NO_CONTENT;
    if let Some(allow) = allow {
        reply.headers_mut().insert(header::ALLOW, allow);
    }
    reply
}
