//! What the gateway says of itself: alive, ready, and, over gRPC, serving.
//!
//! It is ready while every upstream has an open connection and its descriptors are there, and until it drains.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use serde_json::json;
use tonic::{body::Body, service::Routes};
use tonic_health::{ServingStatus, server::HealthReporter};
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Layer, Service};

use crate::upstream::Upstream;

/// How often what is said over gRPC is brought up to date.
const PERIOD: Duration = Duration::from_millis(250);

/// The state behind the answers.
#[derive(Clone)]
pub struct Health {
    shared: Arc<Shared>,
    routes: GrpcWebService<Routes>,
}

struct Shared {
    upstreams: Vec<Upstream>,
    has_descriptors: AtomicBool,
    is_draining: AtomicBool,
    reporter: HealthReporter,
}

impl Health {
    /// The path of gRPC's health service.
    pub const PREFIX: &str = "/grpc.health.v1.Health/";

    /// The health of a gateway with these upstreams.
    pub fn new(upstreams: Vec<Upstream>) -> Self {
        let (reporter, service) = tonic_health::server::health_reporter();
        let routes = Routes::new(service).prepare();
        Self {
            shared: Arc::new(Shared {
                upstreams,
                has_descriptors: AtomicBool::new(false),
                is_draining: AtomicBool::new(false),
                reporter,
            }),
            routes: GrpcWebLayer::new().layer(routes),
        }
    }

    /// Whether the descriptors of all surfaces are there.
    pub fn described(&self, are_there: bool) {
        self.shared
            .has_descriptors
            .store(are_there, Ordering::Relaxed);
    }

    /// Says no more that it is ready, so that no new clients are sent here.
    pub fn drain(&self) {
        self.shared.is_draining.store(true, Ordering::Relaxed);
    }

    /// Keeps what is said over gRPC up to date.
    pub async fn report(&self) {
        let mut ticks = tokio::time::interval(PERIOD);
        loop {
            ticks.tick().await;
            let status = match self.is_ready() {
                true => ServingStatus::Serving,
                false => ServingStatus::NotServing,
            };
            self.shared.reporter.set_service_status("", status).await;
        }
    }

    fn is_ready(&self) -> bool {
        let shared = &self.shared;
        shared.has_descriptors.load(Ordering::Relaxed)
            && !shared.is_draining.load(Ordering::Relaxed)
            && shared.upstreams.iter().all(|u| u.connections() > 0)
    }

    /// 200: the program runs.
    pub fn live(&self) -> Response<Body> {
        reply(StatusCode::OK, &json!({"status": "alive"}))
    }

    /// 200 when requests can be served, 503 otherwise; which upstream is missing is said too, but not why.
    pub fn ready(&self) -> Response<Body> {
        let upstreams = self.shared.upstreams.iter().map(|upstream| {
            let word = match upstream.connections() {
                0 => "down",
                _ => "up",
            };
            (upstream.name().to_owned(), json!(word))
        });
        let (status, word) = match self.is_ready() {
            true => (StatusCode::OK, "ready"),
            false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
        };
        let upstreams: serde_json::Map<_, _> = upstreams.collect();
        reply(status, &json!({"status": word, "upstreams": upstreams}))
    }

    /// gRPC's health service.
    pub fn grpc(
        &self,
        request: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>> {
        Box::pin(self.routes.clone().call(request))
    }
}

fn reply(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::new(http_body_util::Full::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}
