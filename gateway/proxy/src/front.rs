//! What a listener does with a request: its id and its client's address, the surface it is for, and which door it came
//! to (REST, Connect, gRPC, gRPC-Web).

use std::{
    convert::Infallible,
    future::{Future, ready},
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use pulpo_gateway::{
    connect::Connect,
    fault::{ErrorContext, Fault},
    listen::{
        FORWARDED_FOR, REQUEST_ID, TrustedProxies, grpc_refusal, is_grpc, is_plain_options,
        request_id,
    },
    problem,
    reply::Sockets,
    service::Gateway,
};
use tonic::{Code, Status, body::Body};
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service};

use crate::{
    catalog::{Catalog, Site},
    health::Health,
    record::{Record, Recorded, Recorder},
    upstream::Call,
};

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// What proxies say of a client begins so: its address, its certificate, its name, its groups.
const FORWARDED_PREFIX: &str = "x-forwarded-";

/// What the fronts of all listeners share.
pub struct Shared {
    /// What is served now.
    pub catalog: Arc<ArcSwap<Catalog>>,
    /// How requests are counted and logged.
    pub recorder: Arc<Recorder>,
    /// What is said of the gateway's own health.
    pub health: Health,
    /// Open WebSockets.
    pub sockets: Sockets,
    /// Proxies whose word about their clients is believed.
    pub trusted_proxies: TrustedProxies,
}

/// The service of one connection.
#[derive(Clone)]
pub struct Front {
    shared: Arc<Shared>,
    /// Which listener, by its place in the configuration.
    listener: usize,
    has_health: bool,
    scheme: HeaderValue,
    peer: IpAddr,
    /// The peer's address as a header.
    address: HeaderValue,
    is_trusted: bool,
}

impl Front {
    /// The front of a listener, by its place in the configuration.
    pub fn new(shared: Arc<Shared>, listener: usize, has_health: bool, is_tls: bool) -> Self {
        let scheme = match is_tls {
            true => HeaderValue::from_static("https"),
            false => HeaderValue::from_static("http"),
        };
        Self {
            shared,
            listener,
            has_health,
            scheme,
            peer: IpAddr::from([0, 0, 0, 0]),
            address: HeaderValue::from_static(""),
            is_trusted: false,
        }
    }

    /// The same for the connection of one client.
    #[must_use]
    pub fn for_peer(&self, peer: IpAddr) -> Self {
        let peer = peer.to_canonical();
        let trusted = &self.shared.trusted_proxies;
        Self {
            peer,
            // The text of an address is always a header value.
            address: HeaderValue::try_from(peer.to_string())
                .unwrap_or_else(|_| HeaderValue::from_static("unknown")),
            is_trusted: trusted.contains(&peer),
            ..self.clone()
        }
    }

    /// Says where the request comes from, in the words of whoever may be believed.
    fn forward(&self, headers: &mut HeaderMap) {
        if self.is_trusted {
            headers.append(FORWARDED_FOR, self.address.clone());
            return;
        }
        // Nothing is allocated where there are none.
        let claims: Vec<HeaderName> = headers.keys().filter(is_claim).cloned().collect();
        for claim in claims {
            headers.remove(claim);
        }
        headers.insert(FORWARDED_FOR, self.address.clone());
        headers.insert(FORWARDED_PROTO, self.scheme.clone());
    }

    fn own(&self, request: &Request<Incoming>) -> Option<Response<Body>> {
        if !self.has_health {
            return None;
        }
        match request.uri().path() {
            "/healthz" => Some(self.shared.health.live()),
            "/readyz" => Some(self.shared.health.ready()),
            _ => None,
        }
    }

    fn dispatch(&self, request: Request<Incoming>, record: &Arc<Record>) -> Pending {
        if let Some(own) = self.own(&request) {
            return Box::pin(ready(Ok(own)));
        }
        let catalog = self.shared.catalog.load();
        let Some(site) = catalog.site(self.listener, host(&request)) else {
            return Box::pin(ready(Ok(misdirected(&request))));
        };
        let mut dispatch = Dispatch {
            shared: self.shared.clone(),
            site: site.clone(),
            record: record.clone(),
        };
        match &site.cors {
            Some(cors) if !is_plain_options(&request) => {
                Box::pin(cors.layer(dispatch).call(request))
            }
            _ => dispatch.call(request),
        }
    }
}

type Pending = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl hyper::service::Service<Request<Incoming>> for Front {
    type Response = Response<Recorded>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, mut request: Request<Incoming>) -> Answer {
        let id = request_id(request.headers());
        request.headers_mut().insert(REQUEST_ID, id.clone());
        let client = self
            .shared
            .trusted_proxies
            .client(self.peer, request.headers());
        self.forward(request.headers_mut());
        let record = Record::begin(&self.shared.recorder, &request, client, &id);
        Answer {
            pending: self.dispatch(request, &record),
            record,
            id: Some(id),
        }
    }
}

/// A reply on its way to the client.
pub struct Answer {
    pending: Pending,
    record: Arc<Record>,
    id: Option<HeaderValue>,
}

impl Future for Answer {
    type Output = Result<Response<Recorded>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut response = ready!(self.pending.as_mut().poll(cx))?;
        if let Some(id) = self.id.take() {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        self.record.status(response.status());
        let record = self.record.clone();
        Poll::Ready(Ok(response.map(|body| Recorded::new(body, record))))
    }
}

/// Whether only a trusted proxy may say this of a client: the service takes it for the word of the proxy in front of it.
fn is_claim(name: &&HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with(FORWARDED_PREFIX) || name == "forwarded" || name == "x-real-ip"
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

#[cold]
fn misdirected(request: &Request<Incoming>) -> Response<Body> {
    let fault = Fault::gateway(
        Code::NotFound,
        StatusCode::MISDIRECTED_REQUEST,
        "UNKNOWN_HOST",
        "no surface is served for this host",
    );
    problem::refusal(&fault, ErrorContext::of(request))
}

/// The doors of one site.
#[derive(Clone)]
struct Dispatch {
    shared: Arc<Shared>,
    site: Arc<Site>,
    record: Arc<Record>,
}

impl Service<Request<Incoming>> for Dispatch {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pending;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Pending {
        let backend = Backend {
            site: self.site.clone(),
            record: self.record.clone(),
        };
        if is_grpc(request.headers()) {
            if let Some(refusal) = grpc_refusal(&request, self.site.max_headers) {
                return Box::pin(ready(Ok(refusal)));
            }
            if request.uri().path().starts_with(Health::PREFIX) {
                return self.shared.health.grpc(request);
            }
            return Box::pin(GrpcWebLayer::new().layer(backend).call(request));
        }
        if let Some(page) = self.site.pages.as_ref().and_then(|p| p.answer(&request)) {
            return Box::pin(ready(Ok(page)));
        }
        if let Some(methods) = &self.site.connect
            && self.site.is_connect(&request)
        {
            return Connect::new(methods.clone(), backend).call(request);
        }
        match &self.site.surface {
            Some(surface) => Gateway::new(surface.clone(), backend)
                .with_sockets(self.shared.sockets.clone())
                .call(request),
            None => Box::pin(ready(Ok(self.site.unavailable(&request)))),
        }
    }
}

/// The gRPC side of a site: each method's upstream.
#[derive(Clone)]
struct Backend {
    site: Arc<Site>,
    record: Arc<Record>,
}

impl Service<Request<Body>> for Backend {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Call;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Call {
        if let Some(rpc) = self.site.rpc(request.uri().path()) {
            self.record.route(&rpc.route);
            return match rpc.has_stream {
                true => rpc.upstream.clone().call(request),
                false => rpc.upstream.call_with_one(request),
            };
        }
        match &self.site.default {
            Some(upstream) => upstream.clone().call(request),
            None => Call::refused(Status::unimplemented("no upstream has this method")),
        }
    }
}
