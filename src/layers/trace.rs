//! One span and one log line a call, and its metrics.

use std::time::Instant;

use http::{Request, Response};
use tonic::{Code, Status, body::Body};
use tracing::Instrument;

use super::{Next, RequestId, Step, route::rule};
use crate::telemetry;

/// Names the call in logs, traces and metrics.
pub(super) struct Trace;

#[tonic::async_trait]
impl Step for Trace {
    async fn run(&self, request: Request<Body>, next: Next) -> Response<Body> {
        let rule = match rule(request.extensions()) {
            Ok(rule) => rule,
            Err(status) => return status.into_http(),
        };
        let request_id = request
            .extensions()
            .get::<RequestId>()
            .map(|id| id.0.clone())
            .unwrap_or_default();
        let span = tracing::info_span!("call", method = %rule.path, request_id = %request_id);
        telemetry::continue_trace(&span, request.headers());
        let began = Instant::now();
        let response = next.run(request).instrument(span.clone()).await;
        let elapsed = began.elapsed();
        let code = code_of(&response);
        telemetry::record_outcome(&span, code);
        let labels = [("method", rule.path.clone()), ("code", format!("{code:?}"))];
        metrics::counter!("pulpo_calls_total", &labels).increment(1);
        metrics::histogram!("pulpo_call_duration_seconds", "surface" => rule.surface.as_str())
            .record(elapsed);
        let took_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        span.in_scope(|| tracing::info!(code = ?code, took_ms, "call answered"));
        response
    }
}

/// The code of a reply without messages; a unary reply with one says OK in its trailers or the call has failed in
/// the service, which logs it.
fn code_of(response: &Response<Body>) -> Code {
    Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code())
}
