//! The tower service: REST in, a gRPC service in process or in another one behind it, REST out.

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::{Pin, pin},
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
use tower::Service;

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
    surface::{Endpoint, Surface, SurfaceHandle},
};

const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

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
        let mut prepared = Prepared::new(self.surface.load(), parts, self.is_bare);
        let handshake = prepared.handshake();
        let (index, bindings, reply) = match prepared.find(handshake.is_some()) {
            Found::Options(allow) => return Box::pin(ready(Ok(options(allow)))),
            Found::Fault(fault, methods) => return self.miss(prepared, fault, methods),
            Found::Endpoint {
                index,
                bindings,
                reply,
            } => (index, bindings, reply),
        };
        prepared.index = index;
        let head = match prepared.grpc_call(reply) {
            Ok(head) => head,
            Err(fault) => {
                let uri = prepared.endpoint().map(|e| e.uri.clone());
                let methods = MethodsAtPath(uri.into_iter().collect());
                return self.miss(prepared, fault, methods);
            }
        };
        let plan = prepared.plan(bindings);
        match handshake.filter(|_| reply == ReplyKind::Stream(Framing::WebSocket)) {
            Some(handshake) => self.socket(prepared, head, plan, handshake),
            None => {
                let answer = self
                    .inner
                    .call(head.map(|()| request::body(incoming, plan)));
                Box::pin(prepared.call(reply, answer))
            }
        }
    }

    fn socket(
        &mut self,
        prepared: Box<Prepared>,
        head: Request<()>,
        plan: Plan,
        handshake: Handshake,
    ) -> Answer {
        // A method without a body has all it needs in the handshake.
        let has_body = prepared.endpoint().is_some_and(Endpoint::has_body);
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
            let call = match prepared.to_call() {
                Ok(call) => call,
                Err(refusal) => return Ok(*refusal),
            };
            Ok(reply::upgrade(&call, handshake, &sockets, input, reply).await)
        })
    }

    /// A request without a route still goes through the checks in front of the service, where the surface wants it.
    fn miss(
        &mut self,
        mut prepared: Box<Prepared>,
        fault: Box<Fault>,
        methods: MethodsAtPath,
    ) -> Answer {
        let head = match prepared.surface.unmatched.clone() {
            Some(uri) => prepared.grpc_head(uri, None),
            None => Err(fault.clone()),
        };
        let answer = head.map(|head| {
            let mut call = head.map(|()| Body::empty());
            call.extensions_mut().insert(Fault::clone(&fault));
            call.extensions_mut().insert(methods);
            self.inner.call(call)
        });
        Box::pin(prepared.refuse(fault, answer))
    }
}

/// What stays known of a request while the service answers. It is moved about in a box: it is half a kilobyte.
struct Prepared {
    surface: Arc<Surface>,
    index: usize,
    parts: Parts,
    faults: FaultSlot,
    deadline: Option<Instant>,
    is_bare: bool,
}

impl Prepared {
    fn new(surface: Arc<Surface>, parts: Parts, is_bare: bool) -> Box<Self> {
        Box::new(Self {
            surface,
            index: usize::MAX,
            parts,
            faults: FaultSlot::default(),
            deadline: None,
            is_bare,
        })
    }

    fn handshake(&mut self) -> Option<Handshake> {
        let parts = &mut self.parts;
        Handshake::of(&parts.method, &parts.headers, &mut parts.extensions)
    }

    fn find(&self, is_handshake: bool) -> Found {
        let asked = Asked {
            method: &self.parts.method,
            uri: &self.parts.uri,
            headers: &self.parts.headers,
            is_handshake,
        };
        find(&self.surface, asked)
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        self.surface.endpoints.get(self.index)
    }

    /// The head of the gRPC call; from here on it is known until when its reply is waited for.
    fn grpc_call(&mut self, reply: ReplyKind) -> Result<Request<()>, Box<Fault>> {
        let is_stream = reply != ReplyKind::Unary;
        let asked = deadline::asked(&self.parts.headers)
            .map_err(|name| invalid_header(name.as_str(), "a time was expected"))?;
        let allowed = deadline::allowed(asked, &self.surface.options.deadlines, is_stream);
        self.deadline = allowed.map(|allowed| Instant::now() + allowed);
        let uri = self.endpoint().map(|e| e.uri.clone());
        // Within the process the call is dropped when its time is over: what nobody asked for need not be told.
        let told = allowed.filter(|_| asked.is_some() || !self.is_bare);
        self.grpc_head(uri.unwrap_or_default(), told)
    }

    fn grpc_head(
        &mut self,
        uri: Uri,
        allowed: Option<Duration>,
    ) -> Result<Request<()>, Box<Fault>> {
        let options = &self.surface.options;
        let rules = &options.metadata.requests;
        let extensions = std::mem::take(&mut self.parts.extensions);
        let headers = &self.parts.headers;
        let (mut head, copied) = match self.is_bare {
            true => call::bare_head(uri, headers, extensions, rules, allowed),
            false => call::head(uri, headers, extensions, rules, allowed),
        };
        copied.map_err(|name| invalid_header(name.as_str(), "base64 was expected"))?;
        if options.has_grpc_gzip {
            let gzip = HeaderValue::from_static("gzip");
            let metadata = head.headers_mut();
            metadata.insert(GRPC_ENCODING, gzip.clone());
            metadata.insert(GRPC_ACCEPT_ENCODING, gzip);
        }
        Ok(head)
    }

    fn plan(&self, bindings: Result<Vec<u8>, Box<Fault>>) -> Plan {
        // What describes a body that is not read is nobody's business.
        let is_read = self.endpoint().is_some_and(Endpoint::has_body);
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
        let Some(endpoint) = self.endpoint() else {
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
            is_bare: self.is_bare,
        })
    }

    async fn call(
        self: Box<Self>,
        reply: ReplyKind,
        answer: impl Future<Output = Result<Response<Body>, Infallible>>,
    ) -> Result<Response<Body>, Infallible> {
        let call = match self.to_call() {
            Ok(call) => call,
            Err(refusal) => return Ok(*refusal),
        };
        let answered = pin!(async {
            let response = infallible(answer.await);
            match reply {
                ReplyKind::Unary => reply::unary(&call, response).await,
                // In a box, as all other calls would have to be as large.
                ReplyKind::Stream(framing) => {
                    Box::pin(reply::streamed(&call, framing, response)).await
                }
            }
        });
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

    /// The refusal of a request without a route, in the words of the checks where they refuse it too.
    async fn refuse(
        self: Box<Self>,
        fault: Box<Fault>,
        answer: Result<impl Future<Output = Result<Response<Body>, Infallible>>, Box<Fault>>,
    ) -> Result<Response<Body>, Infallible> {
        let (surface, context) = (&self.surface, context(&self.parts));
        let mut reply = match answer {
            Err(fault) => reply::refusal(surface, &fault, context),
            Ok(answer) => {
                let response = infallible(answer.await);
                let allow = fault.allow.clone();
                let mut told = reply::fault_of(&response).unwrap_or(*fault);
                if told.status == StatusCode::METHOD_NOT_ALLOWED {
                    told.allow = allow;
                }
                let mut reply = reply::refusal(surface, &told, context);
                reply::copy_metadata(surface, response.headers(), reply.headers_mut());
                reply
            }
        };
        without_body_for(&self.parts.method, &mut reply);
        Ok(reply)
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
