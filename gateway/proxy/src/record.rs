//! What is known of one request, counted and logged when the last part of it is done: its future, its call, its body.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use chrono::{SecondsFormat, Utc};
use http::{HeaderValue, Method};
use http_body::{Body as HttpBody, Frame, SizeHint};
use pulpo_gateway::trace::trace_id;
use tonic::{Status, body::Body};

use crate::{
    access::{AccessLog, Line},
    metrics::{Metrics, Route},
};

/// The status of a request whose client went away before there was one.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// What all requests are recorded with.
pub struct Recorder {
    /// Where they are counted.
    pub metrics: Arc<Metrics>,
    /// Where they are logged, if they are.
    pub access: Option<AccessLog>,
}

/// One request.
pub struct Record {
    recorder: Arc<Recorder>,
    begin: Instant,
    method: Method,
    route: OnceLock<Arc<Route>>,
    status: AtomicU16,
    bytes: AtomicU64,
    entry: Option<Box<Entry>>,
}

/// What only the access log needs.
struct Entry {
    time: String,
    client: IpAddr,
    path: String,
    id: HeaderValue,
    trace: Option<String>,
}

impl Record {
    /// A request that begins now.
    pub fn begin<B>(
        recorder: &Arc<Recorder>,
        request: &http::Request<B>,
        client: IpAddr,
        id: &HeaderValue,
    ) -> Arc<Self> {
        recorder.metrics.in_flight.inc();
        let entry = recorder.access.as_ref().map(|_| {
            Box::new(Entry {
                time: Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
                client,
                path: request.uri().path().to_owned(),
                id: id.clone(),
                trace: trace_id(request.headers()).map(str::to_owned),
            })
        });
        Arc::new(Self {
            recorder: recorder.clone(),
            begin: Instant::now(),
            method: request.method().clone(),
            route: OnceLock::new(),
            status: AtomicU16::new(CLIENT_CLOSED_REQUEST),
            bytes: AtomicU64::new(0),
            entry,
        })
    }

    /// The method that answers it.
    pub fn route(&self, route: &Arc<Route>) {
        // A request is routed once.
        let _ = self.route.set(route.clone());
    }

    /// The status the client sees.
    pub fn status(&self, status: http::StatusCode) {
        self.status.store(status.as_u16(), Ordering::Relaxed);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let seconds = self.begin.elapsed().as_secs_f64();
        let route = self.route.get().map(|route| &**route);
        let status = self.status.load(Ordering::Relaxed);
        let metrics = &self.recorder.metrics;
        metrics.in_flight.dec();
        metrics.count(route, &self.method, status, seconds);
        if let (Some(access), Some(entry)) = (&self.recorder.access, &self.entry) {
            access.write(&Line {
                time: entry.time.clone(),
                client: entry.client,
                method: self.method.as_str(),
                path: &entry.path,
                route: route.map(Route::name),
                status,
                bytes: self.bytes.load(Ordering::Relaxed),
                duration_ms: seconds * 1000.0,
                request_id: entry.id.to_str().unwrap_or_default(),
                trace_id: entry.trace.as_deref(),
            });
        }
    }
}

/// A reply's body that keeps its record until it has been sent.
pub struct Recorded {
    body: Body,
    record: Arc<Record>,
}

impl Recorded {
    /// The body of a recorded request's reply.
    pub fn new(body: Body, record: Arc<Record>) -> Self {
        Self { body, record }
    }
}

impl HttpBody for Recorded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.record
                .bytes
                .fetch_add(data.len() as u64, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
