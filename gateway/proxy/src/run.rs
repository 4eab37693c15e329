//! The program put together: upstreams, descriptors, listeners; and taken apart again in order.

use std::{
    future::{Future, ready},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use arc_swap::ArcSwap;
use pulpo_gateway::listen;
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    catalog::{Catalog, Source},
    config::{self, Config},
    descriptors::{Files, reflect},
    front::Front,
    upstream::{Limits, Upstream},
};

/// Bytes of headers of a reply.
const REPLY_HEADER_BYTES: u32 = 64 * 1024;

/// A gateway whose listeners are bound.
pub struct Proxy {
    config: Config,
    listeners: Vec<TcpListener>,
    catalog: Arc<ArcSwap<Catalog>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Proxy {
    /// Connects to the upstreams, reads the descriptors, compiles the surfaces and binds the listeners; connections
    /// wait until [`Proxy::run`].
    pub async fn bind(config: Config) -> Result<Self> {
        if let Err(faults) = config.check() {
            bail!("the configuration is wrong:\n  {}", faults.join("\n  "));
        }
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let mut sources = Vec::new();
        for upstream in &config.upstreams {
            let started = start(upstream, config.server.workers, &tasks, &stop)?;
            started.attempted().await;
            let files = read(upstream, &started).await;
            let files =
                files.map_err(|f| anyhow::anyhow!("no descriptors:\n  {}", f.join("\n  ")))?;
            sources.push(Source {
                upstream: started,
                files,
            });
        }
        let catalog = Catalog::compile(&config, &sources)
            .map_err(|f| anyhow::anyhow!("the surfaces are wrong:\n  {}", f.join("\n  ")))?;
        let mut listeners = Vec::new();
        for listener in &config.listeners {
            let bound = TcpListener::bind(listener.address)
                .await
                .with_context(|| format!("cannot listen on {}", listener.address))?;
            tracing::info!(listener = listener.name, address = %bound.local_addr()?, "listening");
            listeners.push(bound);
        }
        Ok(Self {
            config,
            listeners,
            catalog: Arc::new(ArcSwap::from_pointee(catalog)),
            tasks,
            stop,
        })
    }

    /// Where the listeners really are, in the order of the configuration; tells the ports that were asked for as 0.
    pub fn addresses(&self) -> Result<Vec<SocketAddr>> {
        let addresses = self.listeners.iter().map(TcpListener::local_addr);
        Ok(addresses.collect::<std::io::Result<_>>()?)
    }

    /// Serves until `shutdown` completes, then drains: no new connections, the open ones finish within the
    /// configured time.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let server = &self.config.server;
        let limits = listen::Limits {
            header_timeout: Duration::from_millis(server.header_timeout_ms),
            idle_timeout: Duration::from_millis(server.idle_timeout_ms),
            ..listen::Limits::default()
        };
        let slots = Arc::new(Semaphore::new(server.max_connections));
        let draining = CancellationToken::new();
        let mut accepting = JoinSet::new();
        for (index, listener) in self.listeners.into_iter().enumerate() {
            let front = Front::new(index, self.catalog.clone());
            let prepare = move |stream, _: SocketAddr| ready(Ok((stream, front.clone())));
            accepting.spawn(listen::accept(
                listener,
                limits,
                slots.clone(),
                draining.clone(),
                prepare,
            ));
        }
        shutdown.await;
        tracing::info!("stopping: no new connections, the open ones finish");
        draining.cancel();
        let drained = async { while accepting.join_next().await.is_some() {} };
        let drain = Duration::from_millis(server.drain_timeout_ms);
        if tokio::time::timeout(drain, drained).await.is_err() {
            tracing::warn!("some connections did not finish in time and were closed");
            accepting.shutdown().await;
        }
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        Ok(())
    }
}

fn start(
    config: &config::Upstream,
    workers: usize,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<Upstream> {
    let origin = config
        .url
        .parse()
        .with_context(|| format!("upstream {}", config.name))?;
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

async fn read(config: &config::Upstream, upstream: &Upstream) -> Result<Files, Vec<String>> {
    match &config.descriptor_set {
        Some(path) => Files::read(&PathBuf::from(path)).await,
        None => reflect(upstream).await,
    }
}
