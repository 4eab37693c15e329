//! The tower service: REST in, a gRPC service in process or in another one behind it, REST out.

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header, request::Parts,
};
use http_body::Body as HttpBody;
use tokio::time::Instant;
use tonic::{Code, body::Body};
use tower::{Service, ServiceExt};

use crate::{
    call,
    compress::Coding,
    deadline,
    fault::{ErrorContext, Fault, MethodsAtPath},
    frame::GRPC_ENCODING,
    framing::Framing,
    lookup::{Asked, Found, ReplyKind, find},
    reply::{self, Call, Handshake, Incoming, Sockets},
    request::{self, Plan, body_headers, fault::FaultSlot},
    surface::{Surface, SurfaceHandle},
};

const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

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
    type Future = Answer;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.begin(request)
    }
}

/// A reply to come.
type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<S> Gateway<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    /// Everything up to the call itself happens here and at once, so that what is awaited is small.
    fn begin<B>(&self, request: Request<B>) -> Answer
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
        let (index, bindings, reply) = match find(&surface, asked) {
            Found::Options(allow) => return Box::pin(ready(Ok(options(allow)))),
            Found::Fault(fault, methods) => return self.miss(surface, parts, fault, methods),
            Found::Endpoint {
                index,
                bindings,
                reply,
            } => (index, bindings, reply),
        };
        let (head, deadline) = match grpc_call(&surface, index, &mut parts, reply) {
            Ok(made) => made,
            Err(fault) => {
                let uri = surface.endpoints.get(index).map(|e| e.uri.clone());
                let methods = MethodsAtPath(uri.into_iter().collect());
                return self.miss(surface, parts, fault, methods);
            }
        };
        let prepared = Prepared {
            surface,
            index,
            parts,
            faults: FaultSlot::default(),
            deadline,
        };
        let plan = prepared.plan(bindings);
        let inner = self.inner.clone();
        match handshake.filter(|_| reply == ReplyKind::Stream(Framing::WebSocket)) {
            Some(handshake) => {
                let sockets = self.sockets.clone();
                Box::pin(prepared.socket(head, plan, handshake, sockets, inner))
            }
            None => {
                let request = head.map(|()| request::body(incoming, plan));
                Box::pin(prepared.call(request, reply, inner))
            }
        }
    }

    fn miss(
        &self,
        surface: Arc<Surface>,
        parts: Parts,
        fault: Box<Fault>,
        methods: MethodsAtPath,
    ) -> Answer {
        Box::pin(unmatched(
            surface,
            self.inner.clone(),
            parts,
            fault,
            methods,
        ))
    }
}

/// What stays known of a request while the service answers.
struct Prepared {
    surface: Arc<Surface>,
    index: usize,
    parts: Parts,
    faults: FaultSlot,
    deadline: Option<Instant>,
}

impl Prepared {
    fn plan(&self, bindings: Result<Vec<u8>, Box<Fault>>) -> Plan {
        let endpoint = self.surface.endpoints.get(self.index);
        // What describes a body that is not read is nobody's business.
        let is_read = endpoint.is_some_and(|endpoint| !endpoint.binder.body().is_none());
        let headers = Some(&self.parts.headers).filter(|_| is_read);
        let (content_type, content_length) = headers.map(body_headers).unwrap_or_default();
        Plan {
            surface: self.surface.clone(),
            endpoint: self.index,
            content_type,
            content_length,
            coding: headers.map_or(Ok(None), Coding::of_request),
            bindings,
            faults: self.faults.clone(),
        }
    }

    /// What the reply has to know of the call.
    fn to_call(&self) -> Result<Call<'_>, Box<Response<Body>>> {
        let context = context(&self.parts);
        let Some(endpoint) = self.surface.endpoints.get(self.index) else {
            let fault = request::fault::not_found(self.parts.uri.path());
            return Err(Box::new(reply::refusal(&self.surface, &fault, context)));
        };
        Ok(Call {
            surface: &self.surface,
            index: self.index,
            endpoint,
            context,
            faults: self.faults.clone(),
            deadline: self.deadline,
        })
    }

    async fn call<S>(
        self,
        request: Request<Body>,
        reply: ReplyKind,
        inner: S,
    ) -> Result<Response<Body>, Infallible>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
        S::Future: Send,
    {
        let call = match self.to_call() {
            Ok(call) => call,
            Err(refusal) => return Ok(*refusal),
        };
        let answered = async {
            let response = infallible(inner.oneshot(request).await);
            match reply {
                ReplyKind::Unary => reply::unary(&call, response).await,
                ReplyKind::Stream(framing) => reply::streamed(&call, framing, response).await,
            }
        };
        let mut answer = match deadline::within(self.deadline, answered).await {
            Some(answer) => answer,
            None => {
                let late = request::fault::deadline_exceeded();
                reply::refusal(&self.surface, &late, call.context)
            }
        };
        without_body_for(&self.parts.method, &mut answer);
        Ok(answer)
    }

    async fn socket<S>(
        self,
        head: Request<()>,
        plan: Plan,
        handshake: Handshake,
        sockets: Sockets,
        inner: S,
    ) -> Result<Response<Body>, Infallible>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send + 'static,
        S::Future: Send,
    {
        let call = match self.to_call() {
            Ok(call) => call,
            Err(refusal) => return Ok(*refusal),
        };
        // A method without a body has all it needs in the handshake.
        let (input, body) = match call.endpoint.binder.body().is_none() {
            true => (None, request::body(Body::empty(), plan)),
            false => {
                let (incoming, body) = Incoming::new();
                (Some((plan, incoming)), body)
            }
        };
        let reply = Box::pin(async move { infallible(inner.oneshot(head.map(|()| body)).await) });
        Ok(reply::upgrade(&call, handshake, &sockets, input, reply).await)
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
    surface: Arc<Surface>,
    inner: S,
    mut parts: Parts,
    fault: Box<Fault>,
    methods: MethodsAtPath,
) -> Result<Response<Body>, Infallible>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
    S::Future: Send,
{
    let made = match &surface.unmatched {
        Some(uri) => grpc_head(&surface, uri.clone(), &mut parts, None),
        None => Err(fault.clone()),
    };
    let mut reply = match made {
        Err(fault) => reply::refusal(&surface, &fault, context(&parts)),
        Ok(head) => {
            let mut call = head.map(|()| Body::empty());
            let allow = fault.allow.clone();
            call.extensions_mut().insert(Fault::clone(&fault));
            call.extensions_mut().insert(methods);
            let response = infallible(inner.oneshot(call).await);
            let mut told = reply::fault_of(&response).unwrap_or(*fault);
            if told.status == StatusCode::METHOD_NOT_ALLOWED {
                told.allow = allow;
            }
            let mut reply = reply::refusal(&surface, &told, context(&parts));
            reply::copy_metadata(&surface, response.headers(), reply.headers_mut());
            reply
        }
    };
    without_body_for(&parts.method, &mut reply);
    Ok(reply)
}

/// The head of the gRPC call, and until when it is waited for.
fn grpc_call(
    surface: &Surface,
    index: usize,
    parts: &mut Parts,
    reply: ReplyKind,
) -> Result<(Request<()>, Option<Instant>), Box<Fault>> {
    let is_stream = reply != ReplyKind::Unary;
    let deadlines = &surface.options.deadlines;
    let allowed = deadline::allowed(&parts.headers, deadlines, is_stream)
        .map_err(|name| invalid_header(name.as_str(), "a time was expected"))?;
    let uri = surface.endpoints.get(index).map(|e| e.uri.clone());
    let head = grpc_head(surface, uri.unwrap_or_default(), parts, allowed)?;
    Ok((head, allowed.map(|allowed| Instant::now() + allowed)))
}

fn grpc_head(
    surface: &Surface,
    uri: Uri,
    parts: &mut Parts,
    allowed: Option<Duration>,
) -> Result<Request<()>, Box<Fault>> {
    let rules = &surface.options.metadata.requests;
    let extensions = std::mem::take(&mut parts.extensions);
    let (mut head, copied) = call::head(uri, &parts.headers, extensions, rules, allowed);
    copied.map_err(|name| invalid_header(name.as_str(), "base64 was expected"))?;
    if surface.options.has_grpc_gzip {
        let gzip = HeaderValue::from_static("gzip");
        let metadata = head.headers_mut();
        metadata.insert(GRPC_ENCODING, gzip.clone());
        metadata.insert(GRPC_ACCEPT_ENCODING, gzip);
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
fn without_body_for(method: &Method, reply: &mut Response<Body>) {
    if *method != Method::HEAD {
        return;
    }
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
