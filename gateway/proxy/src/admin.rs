//! What operators ask: is it alive, is it ready, how is it doing, what was wrong with the last descriptors.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{Arc, PoisonError},
};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, service::Service};
use tonic::body::Body;

use crate::{health::Health, metrics::Metrics, reload::Faults, upstream::Upstream};

/// The service of the admin listener.
#[derive(Clone)]
pub struct Admin {
    /// Alive and ready.
    pub health: Health,
    /// Counts and times.
    pub metrics: Arc<Metrics>,
    /// What is wrong with the descriptors refused last.
    pub faults: Faults,
    /// Whose connections are counted.
    pub upstreams: Arc<[Upstream]>,
}

impl Service<Request<Incoming>> for Admin {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        ready(Ok(match (request.method(), request.uri().path()) {
            (&Method::GET, "/healthz") => self.health.live(),
            (&Method::GET, "/readyz") => self.health.ready(),
            (&Method::GET, "/metrics") => self.metrics(),
            (&Method::GET, "/faults") => self.faults(),
            _ => text(StatusCode::NOT_FOUND, "/healthz /readyz /metrics /faults\n"),
        }))
    }
}

impl Admin {
    fn metrics(&self) -> Response<Body> {
        for upstream in self.upstreams.iter() {
            let open = i64::try_from(upstream.connections()).unwrap_or(i64::MAX);
            self.metrics
                .upstream_connections
                .with_label_values(&[upstream.name()])
                .set(open);
        }
        match self.metrics.print() {
            Ok(metrics) => text(StatusCode::OK, metrics),
            Err(error) => {
                tracing::error!(%error, "the metrics cannot be printed");
                text(StatusCode::INTERNAL_SERVER_ERROR, "")
            }
        }
    }

    fn faults(&self) -> Response<Body> {
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: String = faults.iter().map(|fault| format!("{fault}\n")).collect();
        drop(faults);
        text(StatusCode::OK, lines)
    }
}

fn text(status: StatusCode, body: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(body.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    response
}
