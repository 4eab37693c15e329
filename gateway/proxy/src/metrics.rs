//! What is counted and measured, in Prometheus' text form.

use std::sync::{Arc, OnceLock};

use http::Method;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

/// Upper ends of the latency buckets, in seconds: from what a proxy in front of a fast server takes to a minute.
const SECONDS: [f64; 15] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
];
/// The route of requests that no method answers.
const NO_ROUTE: &str = "none";
/// Methods with a label of their own; a client must not be able to make up labels.
const METHODS: [Method; 7] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::HEAD,
    Method::OPTIONS,
];

/// All metrics of the program.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    none: Route,
    /// Requests that have begun and not ended.
    pub in_flight: IntGauge,
    /// Open connections by upstream.
    pub upstream_connections: IntGaugeVec,
    /// Attempts to take new descriptors, by result: `taken`, `unchanged`, `refused`.
    pub reloads: IntCounterVec,
    /// What is wrong with the descriptors that were refused last; 0 when the last were taken.
    pub faults: IntGauge,
}

/// The metrics of one gRPC method.
pub struct Route {
    name: String,
    surface: String,
    seconds: Histogram,
    /// Successes by method, the usual outcome, without a look-up.
    successes: [OnceLock<IntCounter>; METHODS.len()],
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new(
                "pulpo_gateway_requests_total",
                "Requests, by the outcome the client saw.",
            ),
            &["surface", "route", "method", "status"],
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new(
                "pulpo_gateway_request_seconds",
                "From the head of a request to the end of its reply.",
            )
            .buckets(SECONDS.to_vec()),
            &["surface", "route"],
        )?;
        let in_flight = IntGauge::new(
            "pulpo_gateway_requests_in_flight",
            "Requests that have begun and not ended.",
        )?;
        let upstream_connections = IntGaugeVec::new(
            Opts::new(
                "pulpo_gateway_upstream_connections",
                "Open connections to an upstream.",
            ),
            &["upstream"],
        )?;
        let reloads = IntCounterVec::new(
            Opts::new(
                "pulpo_gateway_reloads_total",
                "Attempts to take new descriptors: taken, unchanged or refused.",
            ),
            &["result"],
        )?;
        let faults = IntGauge::new(
            "pulpo_gateway_descriptor_faults",
            "What is wrong with the descriptors refused last; 0 when the last were taken.",
        )?;
        for metric in [
            Box::new(requests.clone()) as Box<dyn prometheus::core::Collector>,
            Box::new(seconds.clone()),
            Box::new(in_flight.clone()),
            Box::new(upstream_connections.clone()),
            Box::new(reloads.clone()),
            Box::new(faults.clone()),
        ] {
            registry.register(metric)?;
        }
        let none = Route {
            name: NO_ROUTE.to_owned(),
            surface: NO_ROUTE.to_owned(),
            seconds: seconds.with_label_values(&[NO_ROUTE, NO_ROUTE]),
            successes: Default::default(),
        };
        Ok(Arc::new(Self {
            registry,
            requests,
            seconds,
            none,
            in_flight,
            upstream_connections,
            reloads,
            faults,
        }))
    }

    /// The metrics of a method; the same after a reload.
    pub fn route(&self, surface: &str, name: &str) -> Route {
        Route {
            name: name.to_owned(),
            surface: surface.to_owned(),
            seconds: self.seconds.with_label_values(&[surface, name]),
            successes: Default::default(),
        }
    }

    /// Counts a request that has ended.
    pub fn count(&self, route: Option<&Route>, method: &Method, status: u16, seconds: f64) {
        let route = route.unwrap_or(&self.none);
        route.seconds.observe(seconds);
        let place = METHODS.iter().position(|m| m == method);
        match place.and_then(|p| route.successes.get(p)) {
            Some(counter) if status == 200 => counter
                .get_or_init(|| self.counter(route, method.as_str(), status))
                .inc(),
            Some(_) => self.counter(route, method.as_str(), status).inc(),
            None => self.counter(route, "other", status).inc(),
        }
    }

    fn counter(&self, route: &Route, method: &str, status: u16) -> IntCounter {
        let status = status.to_string();
        self.requests
            .with_label_values(&[route.surface.as_str(), &route.name, method, &status])
    }

    /// Everything in Prometheus' text form.
    pub fn print(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

impl Route {
    /// The gRPC method, as in the metrics.
    pub fn name(&self) -> &str {
        &self.name
    }
}
