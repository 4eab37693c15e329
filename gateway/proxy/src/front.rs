//! What a listener does with a request: the surface it is for, and which door it came to (REST, gRPC, gRPC-Web).

use std::{
    convert::Infallible,
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use http::{HeaderMap, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use pulpo_gateway::service::Gateway;
use tonic::{Status, body::Body};
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service};

use crate::{
    catalog::{Catalog, Site},
    upstream::Call,
};

/// The service of one listener.
#[derive(Clone)]
pub struct Front {
    /// Which one, by its place in the configuration.
    listener: usize,
    catalog: Arc<ArcSwap<Catalog>>,
}

impl Front {
    /// The front of a listener, by its place in the configuration.
    pub fn new(listener: usize, catalog: Arc<ArcSwap<Catalog>>) -> Self {
        Self { listener, catalog }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl hyper::service::Service<Request<Incoming>> for Front {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let catalog = self.catalog.load();
        let Some(site) = catalog.site(self.listener, host(&request)) else {
            return Box::pin(ready(Ok(misdirected())));
        };
        let backend = Backend { site: site.clone() };
        if is_grpc(request.headers()) {
            let mut grpc = GrpcWebLayer::new().layer(backend);
            return Box::pin(grpc.call(request));
        }
        Gateway::new(site.surface.clone(), backend).call(request)
    }
}

/// The host a request is for: of its target over HTTP/2, of its `Host` over HTTP/1.1.
fn host(request: &Request<Incoming>) -> &str {
    match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => request
            .headers()
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or_default(),
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

fn misdirected() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::MISDIRECTED_REQUEST;
    response
}

/// The gRPC side of a site: each method's upstream.
#[derive(Clone)]
struct Backend {
    site: Arc<Site>,
}

impl Service<Request<Body>> for Backend {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Call;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Call {
        match self.site.upstream(request.uri().path()) {
            Some(upstream) => upstream.clone().call(request),
            None => Call::refused(Status::unimplemented("no upstream has this method")),
        }
    }
}
