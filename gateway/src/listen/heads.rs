//! The time an HTTP/1.1 client has between requests and, another, for the head of one.
//!
//! hyper has one timer for both: it runs from the moment a head may come. Here it is the same timer with the connection's
//! silence looked at: until the first byte of a head has come the idle limit counts, from there on the head's.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::{self, Duration},
};

use hyper::rt;
use tokio::time::{Instant, Sleep, sleep_until};

use super::Limits;

/// How many times something was read from a connection.
pub(super) type Reads = Arc<AtomicU64>;

/// The timer of one connection, given to hyper in place of a real one. It knows one thing to wait for, the next head,
/// so the instants hyper asks for are not looked at.
#[derive(Clone)]
pub(super) struct Heads {
    limits: Limits,
    reads: Reads,
    waits: Arc<AtomicU64>,
    alarm: Arc<Mutex<Pin<Box<Sleep>>>>,
}

impl Heads {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            reads: Reads::default(),
            waits: Arc::default(),
            alarm: Arc::new(Mutex::new(Box::pin(sleep_until(
                Instant::now() + limits.header_timeout,
            )))),
        }
    }

    /// To be counted up by whoever reads.
    pub(super) fn reads(&self) -> Reads {
        self.reads.clone()
    }

    fn wait(&self) -> Wait {
        // The first bytes of the first head have been read already: they told the version.
        let is_first = self.waits.fetch_add(1, Ordering::Relaxed) == 0;
        let limit = match is_first {
            true => self.limits.header_timeout,
            false => self.limits.idle_timeout,
        };
        Wait {
            deadline: Instant::now() + limit,
            idle_since: (!is_first).then(|| self.reads.load(Ordering::Relaxed)),
            header_timeout: self.limits.header_timeout,
            reads: self.reads.clone(),
            alarm: self.alarm.clone(),
        }
    }
}

impl rt::Timer for Heads {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(self.wait())
    }

    fn sleep_until(&self, _: time::Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(self.wait())
    }
}

/// The wait for one head.
struct Wait {
    deadline: Instant,
    /// The reads there had been when the connection became idle, until there are more.
    idle_since: Option<u64>,
    header_timeout: Duration,
    reads: Reads,
    alarm: Arc<Mutex<Pin<Box<Sleep>>>>,
}

impl rt::Sleep for Wait {}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this
            .idle_since
            .is_some_and(|reads| reads != this.reads.load(Ordering::Relaxed))
        {
            this.idle_since = None;
            this.deadline = Instant::now() + this.header_timeout;
        }
        let mut alarm = this.alarm.lock().unwrap_or_else(PoisonError::into_inner);
        // One alarm a connection, set again only when it has to ring earlier or has rung: a request that comes in time
        // costs no work in the runtime's timer.
        if alarm.deadline() > this.deadline {
            alarm.as_mut().reset(this.deadline);
        }
        loop {
            ready!(alarm.as_mut().poll(cx));
            if Instant::now() >= this.deadline {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(this.deadline);
        }
    }
}

#[cfg(test)]
mod tests;
