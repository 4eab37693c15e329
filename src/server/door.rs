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

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header};
use hyper::body::Incoming;
use ipnet::IpNet;
use pulpo_gateway::{
    connect::{Connect, Methods},
    openapi::pages::Pages,
    service::Gateway,
    services::Services,
    surface::Surface,
};
use tonic::body::Body;
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Service, ServiceExt};
use tower_http::cors::{AllowOrigin, Cors, CorsLayer};
use tower_layer::Layer;
use uuid::Uuid;

use crate::{
    config::Http,
    layers::{ClientIp, RequestId, Stack},
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Headers a browser's script may read.
const EXPOSED: [&str; 11] = [
    "grpc-status",
    "grpc-message",
    "grpc-status-details-bin",
    "connect-content-encoding",
    "x-request-id",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-daily-remaining",
    "retry-after",
    "www-authenticate",
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
    trusted_proxies: Arc<[IpNet]>,
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
            pages,
            rest: Gateway::new(surface, stack.clone()),
            connect: Connect::new(methods, stack.clone()),
            grpc: GrpcWebLayer::new().layer(stack),
            infrastructure: GrpcWebLayer::new().layer(infrastructure),
        };
        Self {
            inner: cors(&config.cors_origins).layer(dispatch),
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
        let value =
            HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        request.headers_mut().insert(REQUEST_ID, value.clone());
        request.extensions_mut().insert(RequestId(id.into()));
        if let Some(peer) = self.peer {
            let ip = client_ip(peer, request.headers(), &self.trusted_proxies);
            request.extensions_mut().insert(ClientIp(ip));
        }
        let inner = self.inner.clone();
        Box::pin(async move {
            // The CORS layer answers every OPTIONS; only a browser's preflight is meant for it.
            let mut response = match is_plain_options(&request) {
                true => inner.get_ref().clone().oneshot(request).await?,
                false => inner.oneshot(request).await?,
            };
            response.headers_mut().insert(REQUEST_ID, value);
            Ok(response)
        })
    }
}

/// An OPTIONS that asks what the path answers, not what a browser may send.
fn is_plain_options(request: &Request<Body>) -> bool {
    let asked = header::ACCESS_CONTROL_REQUEST_METHOD;
    request.method() == Method::OPTIONS && !request.headers().contains_key(asked)
}

/// The client's own id when it is one that can be logged and sent on as it is; a fresh one otherwise.
fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic()))
        .map_or_else(|| Uuid::new_v4().to_string(), str::to_owned)
}

/// The address of the client. Behind trusted proxies it is the last entry of `X-Forwarded-For` that no trusted proxy
/// stands for; earlier entries are the client's own words.
fn client_ip(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
    let mut client = peer.to_canonical();
    let hops: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    for hop in hops.iter().rev() {
        if !is_trusted(&client) {
            break;
        }
        let Ok(ip) = hop.trim().parse::<IpAddr>() else {
            break;
        };
        client = ip.to_canonical();
    }
    client
}

fn cors(origins: &[String]) -> CorsLayer {
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(
            origins
                .iter()
                .filter_map(|origin| HeaderValue::from_str(origin).ok()),
        )
    };
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers(tower_http::cors::AllowHeaders::mirror_request())
        .expose_headers(EXPOSED.map(HeaderName::from_static))
}

/// gRPC or gRPC-Web by the content type, Connect by the path, and all else REST.
#[derive(Clone)]
struct Dispatch {
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
            if request.uri().path().starts_with("/grpc.") {
                this.infrastructure.oneshot(request).await
            } else {
                this.grpc.oneshot(request).await
            }
        })
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn forwarded(text: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(
            HeaderName::from_static("x-forwarded-for"),
            HeaderValue::from_static(text),
        )])
    }

    #[test]
    fn forwarded_addresses_count_only_behind_trusted_proxies() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let headers = forwarded("1.2.3.4, 203.0.113.9, 10.0.0.7");
        assert_eq!(
            client_ip(ip("198.51.100.1"), &headers, &trusted),
            ip("198.51.100.1")
        );
        assert_eq!(
            client_ip(ip("10.0.0.1"), &headers, &trusted),
            ip("203.0.113.9")
        );
        assert_eq!(
            client_ip(ip("10.0.0.1"), &forwarded("nonsense"), &trusted),
            ip("10.0.0.1")
        );
        assert_eq!(
            client_ip(ip("10.0.0.1"), &HeaderMap::new(), &trusted),
            ip("10.0.0.1")
        );
    }

    #[test]
    fn strange_request_ids_are_replaced() {
        let with = |value: &str| {
            HeaderMap::from_iter([(
                REQUEST_ID,
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            )])
        };
        assert_eq!(request_id(&with("abc-123")), "abc-123");
        for strange in ["", "has space", &"x".repeat(129), "ümlaut"] {
            assert_ne!(request_id(&with(strange)), strange);
        }
    }
}
