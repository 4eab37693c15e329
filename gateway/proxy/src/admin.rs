//! What operators ask: is it alive, is it ready, how is it doing, what was wrong with the last descriptors.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{Arc, PoisonError},
};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, service::Service};
use pulpo_gateway::{
    fault::{ErrorContext, Fault},
    problem,
};
use tonic::{Code, body::Body};

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
        ready(Ok(self.answer(&request)))
    }
}

impl Admin {
    fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let answer = match request.uri().path() {
            "/healthz" => |admin: &Self| admin.health.live(),
            "/readyz" => |admin: &Self| admin.health.ready(),
            "/metrics" => Self::metrics,
            "/faults" => Self::faults,
            _ => return refused(request, StatusCode::NOT_FOUND),
        };
        match *request.method() {
            Method::GET => answer(self),
            Method::HEAD => answer(self).map(|_| Body::empty()),
            _ => refused(request, StatusCode::METHOD_NOT_ALLOWED),
        }
    }

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

/// 404 or 405, as problem details.
fn refused(request: &Request<Incoming>, status: StatusCode) -> Response<Body> {
    let (code, reason, message) = match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            (Code::Unimplemented, "METHOD_NOT_ALLOWED", "use GET or HEAD")
        }
        _ => (
            Code::NotFound,
            "ROUTE_NOT_FOUND",
            "there are /healthz, /readyz, /metrics and /faults",
        ),
    };
    let mut fault = Fault::gateway(code, status, reason, message);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        fault.allow = Some(HeaderValue::from_static("GET, HEAD"));
    }
    problem::refusal(&fault, ErrorContext::of(request))
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
