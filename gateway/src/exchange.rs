//! One request and its reply, from the head of a call to what its answer becomes.

use std::{convert::Infallible, future::Future, pin::pin, sync::Arc, time::Duration};

use http::{
    HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header,
    request::Parts,
};
use http_body::Body as _;
use tokio::time::Instant;
use tonic::{Code, body::Body};

use crate::{
    call,
    compress::Coding,
    deadline,
    fault::{ErrorContext, Fault},
    frame::GRPC_ENCODING,
    lookup::{Asked, Found, ReplyKind, find},
    origin,
    reply::{self, Call, Handshake, Reading},
    request::{self, Bindings, Plan, body_headers, fault::FaultSlot},
    surface::{Endpoint, Surface},
};

const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// What stays known of a request while the service answers. It is moved about in a box: it is half a kilobyte.
pub(crate) struct Exchange {
    pub(crate) surface: Arc<Surface>,
    /// Of the endpoint; none before it is found.
    pub(crate) index: usize,
    parts: Parts,
    faults: FaultSlot,
    deadline: Option<Instant>,
    is_bare: bool,
}

impl Exchange {
    pub(crate) fn new(surface: Arc<Surface>, parts: Parts, is_bare: bool) -> Box<Self> {
        Box::new(Self {
            surface,
            index: usize::MAX,
            parts,
            faults: FaultSlot::default(),
            deadline: None,
            is_bare,
        })
    }

    /// The refusal of a request with too many headers, which is not looked into any further.
    pub(crate) fn over_limits(&self) -> Option<Response<Body>> {
        let limit = self.surface.max_headers();
        let fault = request::fault::too_many_headers(&self.parts.headers, limit)?;
        let mut reply = reply::refusal(&self.surface, &fault, context(&self.parts));
        without_body_for(&self.parts.method, &mut reply);
        Some(reply)
    }

    pub(crate) fn handshake(&mut self) -> Option<Handshake> {
        let parts = &mut self.parts;
        Handshake::of(&parts.method, &parts.headers, &mut parts.extensions)
    }

    pub(crate) fn find(&self, is_handshake: bool) -> Found {
        let asked = Asked {
            method: &self.parts.method,
            uri: &self.parts.uri,
            headers: &self.parts.headers,
            is_handshake,
        };
        find(&self.surface, asked)
    }

    pub(crate) fn endpoint(&self) -> Option<&Endpoint> {
        self.surface.endpoints.get(self.index)
    }

    /// The head of the gRPC call; from here on it is known until when its reply is waited for.
    pub(crate) fn grpc_call(&mut self, reply: ReplyKind) -> Result<Request<()>, Box<Fault>> {
        let takes_stream = self.endpoint().is_some_and(|e| e.input.is_streaming);
        let is_stream = takes_stream || reply != ReplyKind::Unary;
        let asked = deadline::asked(&self.parts.headers)
            .map_err(|name| invalid_header(name.as_str(), "a time was expected"))?;
        let allowed = deadline::allowed(asked, &self.surface.options.deadlines, is_stream);
        self.deadline = allowed.map(|allowed| Instant::now() + allowed);
        let uri = self.endpoint().map(|e| e.uri.clone());
        // Within the process the call is dropped when its time is over: what nobody asked for need not be told.
        let told = allowed.filter(|_| asked.is_some() || !self.is_bare);
        self.grpc_head(uri.unwrap_or_default(), told)
    }

    pub(crate) fn grpc_head(
        &mut self,
        uri: Uri,
        allowed: Option<Duration>,
    ) -> Result<Request<()>, Box<Fault>> {
        let options = &self.surface.options;
        let rules = &options.metadata.requests;
        let extensions = std::mem::take(&mut self.parts.extensions);
        let headers = &self.parts.headers;
        let (mut head, copied) = match self.is_bare && !options.has_grpc_gzip {
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

    /// Whether path, query and headers are the whole request.
    pub(crate) fn is_bound(&self) -> bool {
        let is_one = |endpoint: &Endpoint| !endpoint.has_body() && !endpoint.input.is_streaming;
        self.endpoint().is_some_and(is_one) && !self.surface.options.has_grpc_gzip
    }

    pub(crate) fn plan(&mut self, bindings: Result<Bindings, Box<Fault>>) -> Plan {
        self.faults = FaultSlot::new();
        // What describes a body that is not read is nobody's business.
        let is_read = self.endpoint().is_some_and(Endpoint::has_body);
        let headers = Some(&self.parts.headers).filter(|_| is_read);
        let (content_type, content_length) = headers.map(body_headers).unwrap_or_default();
        let is_untyped = is_read && content_type.is_none();
        let is_unasked = is_untyped && origin::is_foreign(&self.parts.headers, &self.parts.uri);
        Plan {
            surface: self.surface.clone(),
            endpoint: self.index,
            content_type,
            content_length,
            is_unasked,
            coding: headers.map_or(Ok(None), Coding::of_request),
            bindings,
            faults: self.faults.clone(),
        }
    }

    /// What the reply has to know of the call.
    pub(crate) fn to_call(&self) -> Result<Call<'_>, Box<Response<Body>>> {
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

    pub(crate) async fn call(
        self: Box<Self>,
        reply: ReplyKind,
        answer: impl Future<Output = Result<Response<Body>, Infallible>>,
    ) -> Result<Response<Body>, Infallible> {
        let call = match self.to_call() {
            Ok(call) => call,
            Err(refusal) => return Ok(*refusal),
        };
        let answered = deadline::within(self.deadline, pin!(answer)).await;
        let response = answered.map(infallible);
        let reply = match (response, reply) {
            (None, _) => None,
            (Some(response), ReplyKind::Unary) => match reply::read(&call, response) {
                Reading::Whole(reply) => Some(reply),
                reading => {
                    // In a box: calls that do not need it would have to be as large otherwise.
                    let whole = pin!(Box::pin(reply::unary(&call, reading)));
                    deadline::within(self.deadline, whole).await
                }
            },
            (Some(response), ReplyKind::Stream(framing)) => {
                let begun = pin!(Box::pin(reply::streamed(&call, framing, response)));
                deadline::within(self.deadline, begun).await
            }
        };
        let mut answer = reply.unwrap_or_else(|| {
            let late = request::fault::deadline_exceeded();
            reply::refusal(&self.surface, &late, call.context)
        });
        without_body_for(&self.parts.method, &mut answer);
        Ok(answer)
    }

    /// The refusal of a request without a route, in the words of the checks where they refuse it too.
    pub(crate) async fn refuse(
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
        // Over HTTP/2 a connection is not what is upgraded, and may not be spoken of.
        if reply.status() == StatusCode::UPGRADE_REQUIRED && self.parts.version < Version::HTTP_2 {
            reply::offer_upgrade(reply.headers_mut());
        }
        without_body_for(&self.parts.method, &mut reply);
        Ok(reply)
    }
}

fn context(parts: &Parts) -> ErrorContext<'_> {
    ErrorContext::new(&parts.method, parts.uri.path(), &parts.headers)
}

pub(crate) fn infallible<T>(outcome: Result<T, Infallible>) -> T {
    match outcome {
        Ok(value) => value,
        Err(never) => match never {},
    }
}

#[cold]
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

/// The length stays: HEAD tells what GET would send. 204 and 304 have none (RFC 9110, section 8.6).
fn without_body_for(method: &Method, reply: &mut Response<Body>) {
    if *method != Method::HEAD {
        return;
    }
    let has_length = !matches!(
        reply.status(),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    let length = reply.body().size_hint().exact();
    *reply.body_mut() = Body::empty();
    if let Some(length) = length.filter(|_| has_length) {
        reply
            .headers_mut()
            .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}
