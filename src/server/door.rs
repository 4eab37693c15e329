//! What a listener does with a request before anybody looks into it: its id, its client's address, and which of the
//! doors (REST, gRPC, gRPC-Web, Connect) it came for.

use std::{
    convert::Infallible,
    future::Future,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderName, HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use pulpo_gateway::{
    connect::{Connect, Methods},
    listen::{
        self, REQUEST_ID, TrustedProxies, grpc_refusal, is_grpc, is_plain_options, request_id,
    },
    openapi::pages::Pages,
    service::Gateway,
    services::Services,
    surface::Surface,
};
use tonic::body::Body;
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Service, ServiceExt};
use tower_http::cors::Cors;
use tower_layer::Layer;

use crate::{
    config::Http,
    layers::{ClientIp, RequestId, Stack},
};

/// Headers of the documents that a browser's script may read.
const EXPOSED: [HeaderName; 4] = [
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
    HeaderName::from_static("x-ratelimit-daily-remaining"),
];

/// Headers of every REST and Connect reply: nothing served here is a page that should be framed, sniffed or run.
const SECURITY: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    (
        "strict-transport-security",
        "max-age=63072000; includeSubDomains",
    ),
    (
        "content-security-policy",
        "default-src 'none'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "no-referrer"),
];

/// The service of one listener.
#[derive(Clone)]
pub(super) struct Door {
    inner: Cors<Dispatch>,
    trusted_proxies: TrustedProxies,
    peer: Option<IpAddr>,
}

impl Door {
    pub(super) fn new(
        config: &Http,
        surface: Arc<Surface>,
        pages: Option<Pages>,
        methods: Arc<Methods>,
        stack: Stack,
        infrastructure: Services,
    ) -> Self {
        let dispatch = Dispatch {
            max_headers: surface.max_headers(),
            pages,
            rest: Gateway::new(surface, stack.clone()).in_process(),
            connect: Connect::new(methods, stack.clone()),
            grpc: GrpcWebLayer::new().layer(stack),
            infrastructure: GrpcWebLayer::new().layer(infrastructure),
        };
        Self {
            inner: listen::cors(&config.cors_origins, EXPOSED).layer(dispatch),
            trusted_proxies: config.trusted_proxies.clone().into(),
            peer: None,
        }
    }

    /// The door for the connections of one client.
    pub(super) fn for_peer(&self, peer: IpAddr) -> Self {
        Self {
            peer: Some(peer),
            ..self.clone()
        }
    }
}

impl Service<Request<Incoming>> for Door {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let mut request = request.map(Body::new);
        let id = request_id(request.headers());
        let text = id.to_str().unwrap_or_default();
        request.extensions_mut().insert(RequestId(text.into()));
        request.headers_mut().insert(REQUEST_ID, id.clone());
        if let Some(peer) = self.peer {
            let ip = self.trusted_proxies.client(peer, request.headers());
            request.extensions_mut().insert(ClientIp(ip));
        }
        let inner = self.inner.clone();
        Box::pin(async move {
            let mut response = match is_plain_options(&request) {
                true => inner.get_ref().clone().oneshot(request).await?,
                false => inner.oneshot(request).await?,
            };
            response.headers_mut().insert(REQUEST_ID, id);
            Ok(response)
        })
    }
}

/// gRPC or gRPC-Web by the content type, Connect by the path, and all else REST.
#[derive(Clone)]
struct Dispatch {
    max_headers: usize,
    /// What describes the API; public like the API's shape.
    pages: Option<Pages>,
    rest: Gateway<Stack>,
    connect: Connect<Stack>,
    grpc: GrpcWebService<Stack>,
    infrastructure: GrpcWebService<Services>,
}

impl Service<Request<Body>> for Dispatch {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            if !is_grpc(request.headers()) {
                let page = this.pages.and_then(|pages| pages.answer(&request));
                // A page says itself what it may do; nothing else may say so.
                let policy = page
                    .as_ref()
                    .and_then(|page| page.headers().get(header::CONTENT_SECURITY_POLICY).cloned());
                let mut response = match page {
                    Some(page) => page,
                    None if this.connect.takes(request.uri().path()) => {
                        this.connect.oneshot(request).await?
                    }
                    None => this.rest.oneshot(request).await?,
                };
                let headers = response.headers_mut();
                for (name, value) in SECURITY {
                    headers.insert(name, HeaderValue::from_static(value));
                }
                if let Some(policy) = policy {
                    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
                }
                return Ok(response);
            }
            if let Some(refusal) = grpc_refusal(&request, this.max_headers) {
                return Ok(refusal);
            }
            if request.uri().path().starts_with("/grpc.") {
                this.infrastructure.oneshot(request).await
            } else {
                this.grpc.oneshot(request).await
            }
        })
    }
}
