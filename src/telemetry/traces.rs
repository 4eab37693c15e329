//! Traces by OTLP over gRPC: a call's span continues the caller's trace (W3C traceparent) and has the names and statuses
//! of OpenTelemetry's conventions for rpcs.
//!
//! Spans are sent in batches from a thread of their own. A collector that cannot be reached costs spans, not requests:
//! the queue is bounded, and the log says once that they are lost and once that they arrive again.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use http::HeaderMap;
use opentelemetry::{
    KeyValue,
    propagation::{Extractor, TextMapPropagator},
    trace::{SpanKind, Status, TraceContextExt},
};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    propagation::TraceContextPropagator,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use tonic::Code;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// How long one batch may take, repetitions included.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// The field of a call's span that names its rpc: `/package.Service/Method`.
const METHOD: &str = "method";

/// What sends spans to the collector at `endpoint`. Needs a running runtime.
pub(super) fn provider(endpoint: &str) -> Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .with_context(|| format!("log.otlp_endpoint {endpoint:?}"))?;
    let resource = Resource::builder()
        .with_service_name("pulpo")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(Exporter {
            inner: exporter,
            is_failing: AtomicBool::new(false),
        })
        .with_resource(resource)
        .build())
}

/// Makes `span` part of the trace that the headers name (W3C Trace Context); it begins one of its own without.
pub fn continue_trace(span: &Span, headers: &HeaderMap) {
    let context = TraceContextPropagator::new().extract(&Headers(headers));
    if context.span().span_context().is_valid() {
        // It fails where nothing is traced, which is as good.
        let _ = span.set_parent(context);
    }
}

/// Writes how the call ended. Only what is the server's fault makes the span an error, as the conventions ask.
pub fn record_outcome(span: &Span, code: Code) {
    span.set_attribute("rpc.grpc.status_code", i64::from(code as i32));
    if matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    ) {
        span.set_status(Status::error(format!("{code:?}")));
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

/// Names spans on their way out, and tells the log when they stop arriving and when they arrive again.
#[derive(Debug)]
struct Exporter {
    inner: opentelemetry_otlp::SpanExporter,
    is_failing: AtomicBool,
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let outcome = self
            .inner
            .export(batch.into_iter().map(named).collect())
            .await;
        let was_failing = self.is_failing.swap(outcome.is_err(), Ordering::Relaxed);
        let label = if outcome.is_ok() { "sent" } else { "lost" };
        metrics::counter!("pulpo_trace_spans_total", "outcome" => label).increment(spans);
        match &outcome {
            Err(error) if !was_failing => {
                tracing::warn!(%error, "traces do not reach the collector and are lost until it answers");
            }
            Ok(()) if was_failing => tracing::info!("traces reach the collector again"),
            _ => {}
        }
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// A call's span under the name of its rpc, with the conventions' attributes; any other span as it is.
fn named(mut span: SpanData) -> SpanData {
    let is_method = |attribute: &KeyValue| attribute.key.as_str() == METHOD;
    let Some(at) = span.attributes.iter().position(is_method) else {
        return span;
    };
    let path = span.attributes.swap_remove(at).value.to_string();
    let name = path.trim_start_matches('/');
    if let Some((service, method)) = name.split_once('/') {
        span.attributes.extend([
            KeyValue::new("rpc.system", "grpc"),
            KeyValue::new("rpc.service", service.to_owned()),
            KeyValue::new("rpc.method", method.to_owned()),
        ]);
    }
    span.span_kind = SpanKind::Server;
    span.name = name.to_owned().into();
    span
}
