//! One connection, kept open: opened at the start, watched by pings, opened again when it ends.

use std::{
    future::Future,
    io,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use h2::{Ping, PingPong, client::SendRequest};
use pulpo_gateway::listen::Gathered;
use rand::RngExt;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Limits,
    dial::{Origin, dial},
};

/// The first pause after a failed attempt is this part of the longest.
const FIRST_PAUSE_PART: u32 = 50;
/// A connection that has lasted so long was one.
const STEADY: Duration = Duration::from_secs(1);

/// What a connection is doing.
#[derive(Clone)]
enum State {
    Connecting,
    Open(Sender),
    /// The last attempt failed so; the next one comes after a pause.
    Failed(Arc<str>),
}

/// Where the requests of an open connection go. One that is kept with a call counts as that call.
#[derive(Clone)]
pub(super) struct Sender {
    requests: SendRequest<Bytes>,
    /// Held by the connection's own sender, by this one, and by those of its calls.
    calls: Arc<()>,
}

impl Sender {
    fn new(requests: SendRequest<Bytes>) -> Self {
        let calls = Arc::default();
        Self { requests, calls }
    }

    /// Whether the server takes one more call at once; beyond what it allows they wait for others to end.
    pub(super) fn has_room(&self) -> bool {
        let others = Arc::strong_count(&self.calls).saturating_sub(2);
        others < self.requests.current_max_send_streams()
    }

    /// Where the request goes, and what is kept for as long as the call runs.
    pub(super) fn into_parts(self) -> (SendRequest<Bytes>, Place) {
        (self.requests, Place(self.calls))
    }
}

/// The place of a call on its connection.
pub(super) struct Place(#[expect(dead_code, reason = "it is counted")] Arc<()>);

/// A place for one connection.
pub(super) struct Slot {
    state: watch::Receiver<State>,
    /// The connection takes no more requests: the server has said so, or it has just ended.
    spent: Arc<Notify>,
}

impl Slot {
    pub(super) fn start(
        name: &str,
        origin: Origin,
        limits: Limits,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (sender, state) = watch::channel(State::Connecting);
        let spent = Arc::new(Notify::new());
        let keeper = Keeper {
            spent: spent.clone(),
            name: name.to_owned(),
            origin,
            limits,
            state: sender,
            tasks: tasks.clone(),
        };
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                never = keeper.keep() => match never {},
            }
            // The connection closes when its calls are done and nobody can make another.
            keeper.state.send_replace(State::Failed("stopped".into()));
        });
        Self { state, spent }
    }

    /// Where requests go, if the connection is open and takes them.
    pub(super) fn sender(&self) -> Option<Sender> {
        let mut sender = match &*self.state.borrow() {
            State::Open(sender) => sender.clone(),
            _ => return None,
        };
        // Never pending: a fresh clone has no request that waits for a stream.
        let nobody = &mut Context::from_waker(Waker::noop());
        match sender.requests.poll_ready(nobody) {
            Poll::Ready(Ok(())) => Some(sender),
            _ => {
                self.spent.notify_one();
                None
            }
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(&*self.state.borrow(), State::Open(_))
    }

    pub(super) fn failure(&self) -> Option<Arc<str>> {
        match &*self.state.borrow() {
            State::Failed(reason) => Some(reason.clone()),
            _ => None,
        }
    }

    /// Waits for the attempt that is being made, `limit` at most; none when it failed.
    pub(super) fn ready(
        &self,
        limit: Duration,
    ) -> impl Future<Output = Option<Sender>> + Send + use<> {
        let (mut state, spent) = (self.state.clone(), self.spent.clone());
        async move {
            let opened = async {
                loop {
                    let now = state.borrow_and_update().clone();
                    match now {
                        State::Open(Sender { requests, calls }) => match requests.ready().await {
                            Ok(requests) => return Some(Sender { requests, calls }),
                            Err(_) => {
                                spent.notify_one();
                                state.changed().await.ok()?;
                            }
                        },
                        State::Connecting => state.changed().await.ok()?,
                        State::Failed(_) => return None,
                    }
                }
            };
            timeout(limit, opened).await.ok().flatten()
        }
    }
}

/// What keeps a connection open.
struct Keeper {
    name: String,
    origin: Origin,
    limits: Limits,
    state: watch::Sender<State>,
    spent: Arc<Notify>,
    tasks: TaskTracker,
}

enum Never {}

impl Keeper {
    async fn keep(&self) -> Never {
        let first = self.limits.backoff_max / FIRST_PAUSE_PART;
        let mut pause = first;
        loop {
            let began = Instant::now();
            match self.once().await {
                Ok(()) if began.elapsed() >= STEADY => pause = first,
                // What takes connections and ends them at once is not dialled in a tight loop, nor waited for.
                Ok(()) => {
                    if pause > first {
                        let reason = "it ends connections at once";
                        self.state.send_replace(State::Failed(reason.into()));
                    }
                    self.rest(&mut pause).await;
                }
                Err(error) => {
                    let was_failed = matches!(&*self.state.borrow(), State::Failed(_));
                    if !was_failed {
                        tracing::warn!(upstream = self.name, %error, "the upstream cannot be reached");
                    }
                    self.state
                        .send_replace(State::Failed(error.to_string().into()));
                    self.rest(&mut pause).await;
                }
            }
        }
    }

    /// Waits before the next attempt, longer each time. Spread, so that gateways do not come back to a restarted server all at
    /// once.
    async fn rest(&self, pause: &mut Duration) {
        let spread = rand::rng().random_range(0.8..1.2);
        sleep(pause.mul_f64(spread)).await;
        *pause = (*pause * 2).min(self.limits.backoff_max);
    }

    /// Opens the connection and runs it to its end.
    async fn once(&self) -> io::Result<()> {
        let (sender, mut connection) = dial(&self.origin, &self.limits).await?;
        let ping_pong = connection.ping_pong();
        // The connection is a task of its own, woken for every request; the pings are not in its way.
        let mut running = self.tasks.spawn(Gathered::new(connection));
        // What was said of the connection before is not meant.
        let _ = self.spent.notified().now_or_never();
        self.state.send_replace(State::Open(Sender::new(sender)));
        tracing::info!(upstream = self.name, "connected to the upstream");
        let ended = tokio::select! {
            ended = &mut running => ended.map_err(io::Error::other)?.map_err(io::Error::other),
            () = self.silence(ping_pong) => {
                running.abort();
                Err(io::ErrorKind::TimedOut.into())
            }
            // Its calls go on to their end, and then it closes.
            () = self.spent.notified() => Ok(()),
        };
        self.state.send_replace(State::Connecting);
        if let Err(error) = ended {
            tracing::info!(upstream = self.name, %error, "the connection to the upstream ended");
        }
        Ok(())
    }

    /// Until the server does not answer a ping in time.
    async fn silence(&self, ping_pong: Option<PingPong>) {
        let Some(mut ping_pong) = ping_pong else {
            return std::future::pending().await;
        };
        loop {
            sleep(self.limits.keep_alive_interval).await;
            let pong = timeout(
                self.limits.keep_alive_timeout,
                ping_pong.ping(Ping::opaque()),
            );
            match pong.await {
                Ok(Ok(_)) => {}
                // The connection has ended, which its own task tells.
                Ok(Err(_)) => return std::future::pending().await,
                Err(_) => return,
            }
        }
    }
}
