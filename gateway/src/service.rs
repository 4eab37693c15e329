//! The tower service: REST in, a gRPC service in process behind it, REST out.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header,
};
use http_body::Body as HttpBody;
use tonic::{Code, body::Body};
use tower::{Service, ServiceExt};

use crate::{
    fault::{ErrorContext, Fault},
    reply,
    request::{Plan, RequestBody, bind_fault, body_headers},
    router::{Lookup, PathFault},
    surface::Surface,
};

/// One surface in front of one gRPC service.
#[derive(Clone)]
pub struct Gateway<S> {
    surface: Arc<Surface>,
    inner: S,
}

impl<S> Gateway<S> {
    /// A gateway that calls `inner`, which takes gRPC requests of one framed message.
    pub fn new(surface: Arc<Surface>, inner: S) -> Self {
        Self { surface, inner }
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
        let (surface, inner) = (self.surface.clone(), self.inner.clone());
        Box::pin(async move { Ok(answer(surface, inner, request).await) })
    }
}

async fn answer<S, B>(surface: Arc<Surface>, inner: S, request: Request<B>) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
    S::Future: Send,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    let (parts, incoming) = request.into_parts();
    let context = ErrorContext {
        method: &parts.method,
        path: parts.uri.path(),
        headers: &parts.headers,
    };
    let mut reply = match find(&surface, &parts.method, &parts.uri, &parts.headers) {
        Found::Options(allow) => options(allow),
        Found::Fault(fault) => {
            unmatched(
                &surface,
                inner,
                &parts.headers,
                &parts.extensions,
                *fault,
                context,
            )
            .await
        }
        Found::Endpoint { index, bindings } => {
            let Some(endpoint) = surface.endpoints.get(index) else {
                return reply::refusal(&surface, &not_found(parts.uri.path()), context);
            };
            let (content_type, content_length) = body_headers(&parts.headers);
            let plan = Plan {
                surface: surface.clone(),
                endpoint: index,
                content_type,
                content_length,
                bindings,
            };
            let body = Body::new(RequestBody::new(incoming, plan));
            let call = grpc_request(
                endpoint.uri.clone(),
                &parts.headers,
                &parts.extensions,
                body,
            );
            match inner.oneshot(call).await {
                Ok(response) => reply::unary(&surface, endpoint, response, context).await,
                Err(never) => match never {},
            }
        }
    };
    if parts.method == Method::HEAD {
        // The length stays: HEAD tells what GET would send.
        let length = reply.body().size_hint().exact();
        *reply.body_mut() = Body::empty();
        if let Some(length) = length {
            reply
                .headers_mut()
                .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
    }
    reply
}

enum Found {
    Endpoint {
        index: usize,
        bindings: Result<Vec<u8>, Box<Fault>>,
    },
    Options(Option<HeaderValue>),
    Fault(Box<Fault>),
}

fn find(surface: &Surface, method: &Method, uri: &Uri, headers: &HeaderMap) -> Found {
    match surface.router.lookup(method, uri.path()) {
        Lookup::Match(found) => {
            let Some(endpoint) = surface.endpoints.get(found.target) else {
                return Found::Fault(Box::new(not_found(uri.path())));
            };
            if endpoint.raw_response.is_none() && !accepts_json(headers) {
                return Found::Fault(Box::new(not_acceptable()));
            }
            let mut wire = Vec::new();
            let written = uri
                .query()
                .map_or(Ok(()), |query| {
                    endpoint
                        .binder
                        .write_query(&surface.codec, query, &mut wire)
                })
                .and_then(|()| {
                    endpoint
                        .binder
                        .write_headers(&surface.codec, headers, &mut wire)
                })
                .and_then(|()| {
                    endpoint
                        .binder
                        .write_path(&surface.codec, &found.captures, &mut wire)
                });
            Found::Endpoint {
                index: found.target,
                bindings: written.map(|()| wire).map_err(|f| bind_fault(&f)),
            }
        }
        Lookup::MethodNotAllowed { allow } => {
            let names = allow
                .iter()
                .map(Method::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            let value = HeaderValue::from_str(&names).ok();
            if *method == Method::OPTIONS {
                return Found::Options(value);
            }
            let message = format!("{method} is not answered here; use {names}");
            let mut fault = Fault::gateway(
                Code::Unimplemented,
                StatusCode::METHOD_NOT_ALLOWED,
                "METHOD_NOT_ALLOWED",
                message,
            );
            fault.allow = value;
            Found::Fault(Box::new(fault))
        }
        Lookup::NotFound => Found::Fault(Box::new(not_found(uri.path()))),
        Lookup::Malformed(fault) => {
            let status = match fault {
                PathFault::TooLong | PathFault::TooManySegments => StatusCode::URI_TOO_LONG,
                _ => StatusCode::BAD_REQUEST,
            };
            let message = format!("the path is malformed: {fault}");
            Found::Fault(Box::new(Fault::gateway(
                Code::InvalidArgument,
                status,
                "INVALID_PATH",
                message,
            )))
        }
    }
}

/// A request without a route still goes through the checks in front of the service, where the surface wants it.
async fn unmatched<S>(
    surface: &Surface,
    inner: S,
    headers: &HeaderMap,
    extensions: &http::Extensions,
    fault: Fault,
    context: ErrorContext<'_>,
) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
    S::Future: Send,
{
    let Some(uri) = &surface.unmatched else {
        return reply::refusal(surface, &fault, context);
    };
    let mut call = grpc_request(uri.clone(), headers, extensions, Body::empty());
    let allow = fault.allow.clone();
    call.extensions_mut().insert(fault.clone());
    let response = match inner.oneshot(call).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let mut told = reply::fault_of(&response).unwrap_or(fault);
    if told.status == StatusCode::METHOD_NOT_ALLOWED {
        told.allow = allow;
    }
    let mut reply = reply::refusal(surface, &told, context);
    reply::copy_metadata(response.headers(), reply.headers_mut());
    reply
}

fn grpc_request(
    uri: Uri,
    headers: &HeaderMap,
    extensions: &http::Extensions,
    body: Body,
) -> Request<Body> {
    let mut call = Request::new(body);
    *call.method_mut() = Method::POST;
    *call.version_mut() = Version::HTTP_2;
    *call.uri_mut() = uri;
    *call.extensions_mut() = extensions.clone();
    let metadata = call.headers_mut();
    metadata.reserve(headers.len() + 2);
    for (name, value) in headers {
        if is_forwarded(name) {
            metadata.append(name.clone(), value.clone());
        }
    }
    metadata.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    metadata.insert(header::TE, HeaderValue::from_static("trailers"));
    call
}

/// Everything but what describes the HTTP message itself, and names that gRPC keeps for itself.
fn is_forwarded(name: &HeaderName) -> bool {
    let text = name.as_str();
    !(text.starts_with("grpc-")
        || text.starts_with("pulpo-")
        || matches!(
            text,
            "connection"
                | "keep-alive"
                | "proxy-connection"
                | "transfer-encoding"
                | "upgrade"
                | "te"
                | "trailer"
                | "host"
                | "expect"
                | "content-type"
                | "content-length"
                | "content-encoding"
                | "accept-encoding"
        ))
}

fn accepts_json(headers: &HeaderMap) -> bool {
    let mut asked = headers.get_all(header::ACCEPT).iter().peekable();
    if asked.peek().is_none() {
        return true;
    }
    asked.any(|value| {
        value.as_bytes().split(|b| *b == b',').any(|range| {
            let essence = range
                .split(|b| *b == b';')
                .next()
                .unwrap_or_default()
                .trim_ascii()
                .to_ascii_lowercase();
            essence.is_empty()
                || matches!(
                    essence.as_slice(),
                    b"*/*" | b"application/*" | b"application/json"
                )
                || essence.ends_with(b"+json")
        })
    })
}

fn options(allow: Option<HeaderValue>) -> Response<Body> {
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = StatusCode::NO_CONTENT;
    if let Some(allow) = allow {
        reply.headers_mut().insert(header::ALLOW, allow);
    }
    reply
}

fn not_found(path: &str) -> Fault {
    let shown: String = path.chars().take(200).collect();
    Fault::gateway(
        Code::NotFound,
        StatusCode::NOT_FOUND,
        "ROUTE_NOT_FOUND",
        format!("there is nothing at {shown}"),
    )
}

fn not_acceptable() -> Fault {
    let message = "the reply is application/json, which the Accept header does not take";
    Fault::gateway(
        Code::InvalidArgument,
        StatusCode::NOT_ACCEPTABLE,
        "NOT_ACCEPTABLE",
        message,
    )
}
