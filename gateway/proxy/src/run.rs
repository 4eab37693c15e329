//! The program put together: upstreams, descriptors, listeners; and taken apart again in order.

use std::{
    future::{Future, ready},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use pulpo_gateway::{listen, reply::Sockets};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing_appender::non_blocking::WorkerGuard;

use crate::{
    access::AccessLog,
    admin::Admin,
    config::{self, Config},
    front::{Front, Shared},
    health::Health,
    metrics::Metrics,
    record::Recorder,
    reload::{PATIENCE, Reloader},
    tls,
    upstream::{Limits, Origin, Upstream},
};

/// Bytes of headers of a reply.
const REPLY_HEADER_BYTES: u32 = 64 * 1024;
/// Connections of operators and of what scrapes metrics.
const ADMIN_CONNECTIONS: usize = 64;
/// How long upstreams have to take the end of their connections.
const UPSTREAM_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A gateway whose listeners are bound.
pub struct Proxy {
    config: Arc<Config>,
    listeners: Vec<Bound>,
    admin: Option<(TcpListener, Admin)>,
    shared: Arc<Shared>,
    reloader: Reloader,
    tasks: TaskTracker,
    stop: CancellationToken,
    reload: (mpsc::Sender<()>, mpsc::Receiver<()>),
    // Writes the rest of the access log when it is dropped.
    _log: Option<WorkerGuard>,
}

struct Bound {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    has_health: bool,
}

/// Checks the configuration and the certificates, reads the descriptors and compiles the surfaces, as a start would, and tells
/// all faults. A start goes on without a server that does not tell its descriptors; here nothing is right before it has been
/// seen.
pub async fn check(config: Config) -> Result<()> {
    // Every reading has an end of its own.
    let prepared = Proxy::prepare(Arc::new(config), Duration::MAX).await?;
    let missing = prepared.reloader.missing();
    if !missing.is_empty() {
        bail!(
            "some descriptors could not be read, and what is made of them is not checked:\n  {}",
            missing.join("\n  ")
        );
    }
    Ok(())
}

/// What has been made before anything listens.
struct Prepared {
    upstreams: Vec<Upstream>,
    metrics: Arc<Metrics>,
    health: Health,
    reloader: Reloader,
    /// Of the listeners, in the order of the configuration.
    acceptors: Vec<Option<TlsAcceptor>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Proxy {
    async fn prepare(config: Arc<Config>, patience: Duration) -> Result<Prepared> {
        if let Err(faults) = config.check() {
            bail!("the configuration is wrong:\n  {}", faults.join("\n  "));
        }
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let upstreams = config
            .upstreams
            .iter()
            .map(|u| start(u, config.server.workers, &tasks, &stop))
            .collect::<Result<Vec<_>>>()?;
        let metrics = Metrics::new().context("metrics")?;
        let health = Health::new(upstreams.clone());
        let acceptors = acceptors(&config);
        let reloader = Reloader::start(
            config.clone(),
            &upstreams,
            metrics.clone(),
            health.clone(),
            patience,
        );
        let (acceptors, reloader) = match (acceptors, reloader.await) {
            (Ok(acceptors), Ok(reloader)) => (acceptors, reloader),
            (acceptors, reloader) => {
                let faults = [acceptors.err(), reloader.err()].into_iter().flatten();
                let faults: Vec<String> = faults.flatten().collect();
                bail!("it cannot start:\n  {}", faults.join("\n  "));
            }
        };
        Ok(Prepared {
            upstreams,
            metrics,
            health,
            reloader,
            acceptors,
            tasks,
            stop,
        })
    }

    /// Connects to the upstreams, reads the descriptors, compiles the surfaces and binds the listeners; connections
    /// wait until [`Proxy::run`].
    pub async fn bind(config: Config) -> Result<Self> {
        let config = Arc::new(config);
        let prepared = Self::prepare(config.clone(), PATIENCE).await?;
        let mut listeners = Vec::new();
        for (told, tls) in config.listeners.iter().zip(prepared.acceptors) {
            let listener = listen(told.address).await?;
            let address = listener.local_addr()?;
            tracing::info!(listener = told.name, %address, is_tls = tls.is_some(), "listening");
            listeners.push(Bound {
                listener,
                tls,
                has_health: told.health,
            });
        }
        let admin = match config.admin.address {
            Some(address) => {
                let listener = listen(address).await?;
                let address = listener.local_addr()?;
                tracing::info!(%address, "listening for operators");
                let admin = Admin {
                    health: prepared.health.clone(),
                    metrics: prepared.metrics.clone(),
                    faults: prepared.reloader.faults(),
                    upstreams: prepared.upstreams.into(),
                };
                Some((listener, admin))
            }
            None => None,
        };
        let (access, log) = AccessLog::start(config.access_log.format).unzip();
        let shared = Shared {
            catalog: prepared.reloader.catalog(),
            recorder: Arc::new(Recorder {
                metrics: prepared.metrics,
                access,
            }),
            health: prepared.health,
            sockets: Sockets::default(),
            trusted_proxies: config.server.trusted_proxies.clone().into(),
        };
        Ok(Self {
            config,
            listeners,
            admin,
            shared: Arc::new(shared),
            reloader: prepared.reloader,
            tasks: prepared.tasks,
            stop: prepared.stop,
            reload: mpsc::channel(1),
            _log: log,
        })
    }

    /// Where the listeners really are, in the order of the configuration; tells the ports that were asked for as 0.
    pub fn addresses(&self) -> Result<Vec<SocketAddr>> {
        let addresses = self
            .listeners
            .iter()
            .map(|bound| bound.listener.local_addr());
        Ok(addresses.collect::<std::io::Result<_>>()?)
    }

    /// Where the admin listener really is, if there is one.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        let (listener, _) = self.admin.as_ref()?;
        listener.local_addr().ok()
    }

    /// Makes the running gateway read its descriptors again.
    pub fn reload_handle(&self) -> mpsc::Sender<()> {
        self.reload.0.clone()
    }

    /// Serves until `shutdown` completes, then drains: no new connections, the open ones finish within the
    /// configured time.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let limits = limits(&self.config);
        let slots = Arc::new(Semaphore::new(self.config.server.max_connections));
        let draining = CancellationToken::new();
        let mut accepting = JoinSet::new();
        for (index, bound) in self.listeners.into_iter().enumerate() {
            let front = Front::new(
                self.shared.clone(),
                index,
                bound.has_health,
                bound.tls.is_some(),
            );
            let (slots, draining) = (slots.clone(), draining.clone());
            accept(bound, front, limits, slots, draining, &mut accepting);
        }
        let mut background = JoinSet::new();
        if let Some((listener, admin)) = self.admin {
            let prepare = move |stream, _: SocketAddr| ready(Ok((stream, admin.clone())));
            let slots = Arc::new(Semaphore::new(ADMIN_CONNECTIONS));
            let stop = self.stop.clone();
            background.spawn(listen::accept(listener, limits, slots, stop, prepare));
        }
        let health = self.shared.health.clone();
        background.spawn(async move { health.report().await });
        let (reloader, asked) = (self.reloader, self.reload.1);
        background.spawn(reloader.run(asked));
        shutdown.await;
        tracing::info!("stopping: no new connections, the open ones finish");
        self.shared.health.drain();
        draining.cancel();
        let limit = Duration::from_millis(self.config.server.drain_timeout_ms);
        drain(accepting, &self.shared.sockets, limit).await;
        self.stop.cancel();
        background.shutdown().await;
        self.tasks.close();
        // Nobody has a call any more, so there is next to nothing to wait for.
        if timeout(UPSTREAM_CLOSE_TIMEOUT, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("some connections to upstreams were not closed in time");
        }
        Ok(())
    }
}

/// Waits until the connections of clients have finished, `limit` at most, and ends those that have not.
async fn drain(mut accepting: JoinSet<()>, sockets: &Sockets, limit: Duration) {
    let drained = async {
        sockets.close().await;
        while accepting.join_next().await.is_some() {}
        // Those that opened meanwhile.
        sockets.close().await;
    };
    if timeout(limit, drained).await.is_err() {
        tracing::warn!("some connections did not finish in time and were closed");
        accepting.shutdown().await;
        sockets.abandon();
        sockets.close().await;
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
}

/// What shakes hands for each listener, or all that is wrong with their certificates.
fn acceptors(config: &Config) -> Result<Vec<Option<TlsAcceptor>>, Vec<String>> {
    let mut faults = Vec::new();
    let mut acceptors = Vec::new();
    for listener in &config.listeners {
        match listener.tls.as_ref().map(tls::acceptor).transpose() {
            Ok(acceptor) => acceptors.push(acceptor),
            Err(error) => faults.push(format!("listener {}: {error:#}", listener.name)),
        }
    }
    match faults.is_empty() {
        true => Ok(acceptors),
        false => Err(faults),
    }
}

fn limits(config: &Config) -> listen::Limits {
    let server = &config.server;
    let usual = listen::Limits::default();
    let most = config.surfaces.iter().map(|s| s.max_headers).max();
    listen::Limits {
        max_headers: most.unwrap_or_default().max(usual.max_headers),
        header_timeout: Duration::from_millis(server.header_timeout_ms),
        idle_timeout: Duration::from_millis(server.idle_timeout_ms),
        ..usual
    }
}

fn accept(
    bound: Bound,
    front: Front,
    limits: listen::Limits,
    slots: Arc<Semaphore>,
    stop: CancellationToken,
    accepting: &mut JoinSet<()>,
) {
    let listener = bound.listener;
    match bound.tls {
        None => {
            let prepare =
                move |stream, peer: SocketAddr| ready(Ok((stream, front.for_peer(peer.ip()))));
            accepting.spawn(listen::accept(listener, limits, slots, stop, prepare));
        }
        Some(tls) => {
            let prepare = move |stream: TcpStream, peer: SocketAddr| {
                let (shaking, front) = (tls.accept(stream), front.for_peer(peer.ip()));
                async move { Ok((shaking.await?, front)) }
            };
            accepting.spawn(listen::accept(listener, limits, slots, stop, prepare));
        }
    }
}

fn start(
    config: &config::Upstream,
    workers: usize,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<Upstream> {
    let context = || format!("upstream {}", config.name);
    let mut origin: Origin = config.url.parse().with_context(context)?;
    if origin.is_tls() {
        origin.secure(tls::connector(config.ca.as_deref()).with_context(context)?);
    }
    let limits = Limits {
        connections: match config.connections {
            0 => threads(workers),
            own => own,
        },
        in_flight: config.max_in_flight,
        connect_timeout: Duration::from_millis(config.connect_timeout_ms),
        keep_alive_interval: Duration::from_millis(config.keep_alive_ms),
        keep_alive_timeout: Duration::from_millis(config.keep_alive_ms),
        backoff_max: Duration::from_millis(config.backoff_max_ms),
        header_bytes: REPLY_HEADER_BYTES,
    };
    Ok(Upstream::start(&config.name, origin, limits, tasks, stop))
}

/// How many threads `workers` stands for.
pub fn threads(workers: usize) -> usize {
    match workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        own => own,
    }
}
