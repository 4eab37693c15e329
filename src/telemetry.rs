//! Logs, traces and metrics.
//!
//! Log lines go to standard error, for people or as JSON; spans go to an OTLP collector when one is configured (`traces`);
//! metrics are collected in the process and shown by the surfaces that document them.

mod traces;

use std::{
    io::IsTerminal,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::config::{Log, LogFormat};

pub use traces::{continue_trace, record_outcome};

/// How often collected samples are folded together, so that metrics nobody reads take no more memory.
pub const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// How long the last traces may take to reach the collector.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// Traces that are still to be sent. Shut it down before the process ends.
#[derive(Debug)]
pub struct Telemetry(Option<SdkTracerProvider>);

impl Telemetry {
    /// Sends what is left. Call it while the runtime still runs, from a thread that may block.
    pub fn shut_down(self) {
        if let Some(provider) = self.0
            && let Err(error) = provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT)
        {
            tracing::warn!(error = %error, "the last traces could not be sent");
        }
    }
}

/// Installs the process-wide log, in `format` unless the configuration says otherwise. With an OTLP endpoint it needs
/// a running runtime.
///
/// # Errors
/// A filter or endpoint that cannot be understood, or a second call.
pub fn init(config: &Log, format: LogFormat) -> Result<Telemetry> {
    // The exporter reports every failed attempt; `traces` says the same once.
    let filter = EnvFilter::try_new(format!("opentelemetry=off,{}", config.filter))
        .with_context(|| format!("log.filter {:?}", config.filter))?;
    let provider = config
        .otlp_endpoint
        .as_deref()
        .map(traces::provider)
        .transpose()?;
    // Whatever is logged, every call is traced; and the exporter's own calls are not.
    let traced = Targets::new().with_target("pulpo", LevelFilter::INFO);
    let traces = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("pulpo"))
            .with_location(false)
            .with_threads(false)
            .with_filter(traced)
    });
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match config.format.unwrap_or(format) {
        LogFormat::Console => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(traces)
        .with(lines.with_filter(filter))
        .try_init()?;
    Ok(Telemetry(provider))
}

/// The handle of the process-wide metrics recorder, installed on the first call.
///
/// # Errors
/// Somebody else installed a recorder.
pub fn metrics_handle() -> Result<PrometheusHandle> {
    static HANDLE: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    // Held while installing: of two first calls the second waits, or it would find the first one's recorder and fail.
    let mut installed = HANDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = installed.as_ref() {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new().install_recorder()?;
    Ok(installed.insert(handle).clone())
}
