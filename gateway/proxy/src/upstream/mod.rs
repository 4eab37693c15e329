//! A gRPC server behind the gateway: a few HTTP/2 connections, kept open, and calls over them.
//!
//! What it promises:
//! - Every failure is a gRPC status, never an error: `UNAVAILABLE` when no connection can be had or one breaks, what the
//!   server's reset says otherwise. A request is sent once; only one that could not be sent goes to another connection.
//! - Calls in flight are limited; beyond the limit they are refused at once instead of queueing. A call of a method that takes
//!   one message counts from its first bytes on, so that slow clients do not take the places of others.
//! - A reply's body is read at the pace it is asked for, and dropping it cancels the call.
//!
//! How it is arranged: `dial` opens a connection, `slot` keeps one open, `call` is one call, `pump` sends its body.

mod call;
mod dial;
mod pump;
mod slot;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response, uri};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Status, body::Body};
use tower::Service;

pub use call::Call;
pub use dial::{Origin, OriginFault};
use slot::{Sender, Slot};

/// The limits of one upstream.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections, each kept open.
    pub connections: usize,
    /// Calls at the same time, over all connections; at most [`Semaphore::MAX_PERMITS`].
    pub in_flight: usize,
    /// For the whole of a connection attempt, and how long a call waits for one.
    pub connect_timeout: Duration,
    /// How often a connection is asked whether it is still there.
    pub keep_alive_interval: Duration,
    /// How long its answer may take.
    pub keep_alive_timeout: Duration,
    /// The longest pause between two attempts to connect; the first is a fiftieth of it.
    pub backoff_max: Duration,
    /// Bytes of headers of a reply.
    pub header_bytes: u32,
}

/// A gRPC server; clones share its connections.
#[derive(Clone)]
pub struct Upstream {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    origin: Origin,
    slots: Box<[Slot]>,
    next: AtomicUsize,
    in_flight: Arc<Semaphore>,
    limits: Limits,
    tasks: TaskTracker,
}

impl Upstream {
    /// An upstream whose connections are opened now, in tasks of `tasks`, and closed when `stop` is.
    pub fn start(
        name: &str,
        origin: Origin,
        limits: Limits,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Self {
        let slots = (0..limits.connections.max(1))
            .map(|_| Slot::start(name, origin.clone(), limits.clone(), tasks, stop.clone()))
            .collect();
        Self {
            shared: Arc::new(Shared {
                name: name.to_owned(),
                origin,
                slots,
                next: AtomicUsize::new(0),
                in_flight: Arc::new(Semaphore::new(limits.in_flight)),
                limits,
                tasks: tasks.clone(),
            }),
        }
    }

    /// A call of a method that takes one message. Nothing is asked of the server before its first bytes are here.
    pub fn call_with_one(&self, request: Request<Body>) -> Call {
        Call::read_first(&self.shared, request)
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// How many of its connections are open.
    pub fn connections(&self) -> usize {
        self.shared.slots.iter().filter(|s| s.is_open()).count()
    }

    /// Why the last attempt to connect failed, while no connection is open.
    pub fn failure(&self) -> Option<Arc<str>> {
        let mut slots = self.shared.slots.iter();
        match self.connections() {
            0 => slots.find_map(Slot::failure),
            _ => None,
        }
    }

    /// Waits until a connection is open, or an attempt to open one has failed.
    pub async fn attempted(&self) {
        if let Some(slot) = self.shared.slots.first() {
            let _ = slot.ready(self.shared.limits.connect_timeout).await;
        }
    }
}

impl Shared {
    /// Slots from the next one in turn.
    fn in_turn(&self) -> impl Iterator<Item = &Slot> {
        let count = self.slots.len();
        let first = match count {
            1 => 0,
            _ => self.next.fetch_add(1, Ordering::Relaxed),
        };
        (0..count).filter_map(move |i| self.slots.get(first.wrapping_add(i) % count))
    }

    /// The next open connection in turn that has room for a call; where none has, the next one.
    fn sender(&self) -> Option<Sender> {
        let mut full = None;
        for sender in self.in_turn().filter_map(Slot::sender) {
            if sender.has_room() {
                return Some(sender);
            }
            full.get_or_insert(sender);
        }
        full
    }

    fn admit(&self) -> Result<OwnedSemaphorePermit, Status> {
        self.in_flight
            .clone()
            .try_acquire_owned()
            .map_err(|_| Status::unavailable("too many requests are in flight; try again"))
    }

    /// The request as this server is to see it.
    fn address(&self, parts: &mut http::request::Parts) {
        let mut uri = uri::Parts::default();
        uri.scheme = Some(self.origin.scheme());
        uri.authority = Some(self.origin.authority());
        uri.path_and_query = parts.uri.path_and_query().cloned();
        // Cannot fail: all three parts are there.
        if let Ok(uri) = http::Uri::from_parts(uri) {
            parts.uri = uri;
        }
        parts.version = http::Version::HTTP_2;
    }
}

impl Service<Request<Body>> for Upstream {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Call;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Call {
        Call::start(&self.shared, request)
    }
}
