//! Postgres, the runtime and the server, started in this order and stopped in the other.

use std::{
    convert::Infallible, future::Future, num::NonZero, path::Path, thread::available_parallelism,
    time::Duration,
};

use anyhow::{Context, Result};
use metrics_exporter_prometheus::PrometheusHandle;
use pulpo_gateway::listen::use_small_pages;
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{Role, console, demo};
use crate::{
    app::App,
    config::{Config, LogFormat},
    db::{
        builtin::{BuiltIn, Options},
        migrate,
    },
    operations::Operations,
    server::{Addresses, Server},
    telemetry::{self, Telemetry},
    workers::Workers,
};

/// What is left of the runtime's tasks after the server has drained gets this long.
const RUNTIME_STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// How long background work may take to come to a good place to stop.
const BACKGROUND_STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the data is.
pub(super) enum Database {
    /// A server of ours, and its address.
    BuiltIn(BuiltIn, String),
    /// The address of somebody else's.
    External(String),
}

impl Database {
    /// Starts the built-in server of `data_dir`.
    pub(super) fn built_in(data_dir: &Path, config: &Config) -> Result<Self> {
        let options = Options {
            postgres_bin: config.database.postgres_bin.clone(),
            pool_size: config.database.pool_size,
        };
        let server = BuiltIn::start(data_dir, &options)?;
        let url = server.url();
        Ok(Self::BuiltIn(server, url))
    }

    /// Its address.
    pub(super) fn url(&self) -> &str {
        match self {
            Self::BuiltIn(_, url) | Self::External(url) => url,
        }
    }

    /// How many threads serve. A Postgres on the same machine gets half of the processors: it does most of the work, and a
    /// thread that another one wakes for a request that is alone costs more than it helps.
    fn threads(&self) -> usize {
        let processors = available_parallelism().map_or(1, NonZero::get);
        match self {
            Self::BuiltIn(..) => processors.div_ceil(2),
            Self::External(_) => processors,
        }
    }

    fn stop(self) -> Result<()> {
        match self {
            Self::BuiltIn(mut server, _) => server.stop(),
            Self::External(_) => Ok(()),
        }
    }
}

/// Does what `role` says until SIGTERM or Ctrl-C. With a `demo_dir`, its demo organisation is made and shown.
pub(super) fn serve(
    config: Config,
    database: Database,
    format: LogFormat,
    role: Role,
    demo_dir: Option<&Path>,
) -> Result<()> {
    use_small_pages();
    let runtime = runtime(database.threads())?;
    let telemetry = {
        let _entered = runtime.enter();
        telemetry::init(&config.log, format)?
    };
    let served = runtime.block_on(serve_until_stopped(config, database.url(), role, demo_dir));
    finish(runtime, telemetry);
    let stopped = database.stop();
    served.and(stopped)
}

/// Brings the database up to date.
pub(super) fn migrate(database: &Database) -> Result<()> {
    let applied = block_on(migrate::run(database.url()))?;
    console::line(&format!(
        "{applied} migrations applied; the database is up to date"
    ))
}

/// Runs `work` to its end on a runtime of its own.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    runtime(1)?.block_on(work)
}

fn runtime(threads: usize) -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .thread_name("pulpo")
        .build()
        .context("cannot start the runtime")
}

fn finish(runtime: Runtime, telemetry: Telemetry) {
    telemetry.shut_down();
    runtime.shutdown_timeout(RUNTIME_STOP_TIMEOUT);
}

async fn serve_until_stopped(
    config: Config,
    database_url: &str,
    role: Role,
    demo_dir: Option<&Path>,
) -> Result<()> {
    tracing::info!(?role, configuration = %config.redacted(), "starting");
    if config.rates.scale != 1 {
        tracing::warn!(
            scale = config.rates.scale,
            "every documented rate limit is multiplied; for load tests only"
        );
    }
    let applied = migrate::run(database_url).await?;
    tracing::info!(applied, "the database is up to date");
    let app = App::build(config, database_url)?;
    let stop = CancellationToken::new();
    let mut background = JoinSet::new();
    let mut ready = String::from("ready:");
    let server = match role.answers() {
        true => {
            let server = Server::bind(app.clone()).await?;
            ready.push_str(&shown(server.addresses()));
            Some(server)
        }
        false => {
            ready.push_str(" worker");
            None
        }
    };
    if let Some(address) = app.config.listen.operations {
        let operations = Operations::bind(address, app.db.clone(), app.metrics.clone()).await?;
        ready.push_str(&format!(" operations {}", operations.address()));
        background.spawn(operations.run(stop.clone()));
    }
    if let (Some(data_dir), Some(server)) = (demo_dir, &server) {
        let welcome = demo::prepare(&app, data_dir, server.addresses()).await?;
        ready.insert_str(0, &welcome);
    }
    background.spawn(app.db.relay_wakes(stop.clone()));
    if role.works() {
        Workers::of_domains(&app)?.spawn(&app, &mut background, &stop);
    }
    let signals = Signals::listen()?;
    // The server asks for this only after every listener accepts.
    let shutdown = async move {
        if let Err(error) = console::line(&ready) {
            tracing::warn!(%error, "standard output is closed");
        }
        signals.stop().await;
    };
    let serving = async {
        match server {
            Some(server) => server.run(shutdown).await,
            None => {
                shutdown.await;
                Ok(())
            }
        }
    };
    let served = tokio::select! {
        served = serving => served,
        never = upkeep(&app.metrics) => match never {},
    };
    // After the last request: a probe may ask until then whether this process still serves.
    stop.cancel();
    if tokio::time::timeout(BACKGROUND_STOP_TIMEOUT, background.join_all())
        .await
        .is_err()
    {
        tracing::warn!("background work did not end in time and was dropped");
    }
    served
}

fn shown(addresses: Addresses) -> String {
    format!(
        " pullpush {} pushpaka {} puppyone {} pulse {} integrations {}",
        addresses.pullpush,
        addresses.pushpaka,
        addresses.puppyone,
        addresses.pulse,
        addresses.integrations
    )
}

/// What tells the program to stop; caught from the moment it is made.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of them.
    async fn stop(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => tracing::info!("SIGTERM"),
            _ = self.interrupt.recv() => tracing::info!("interrupted"),
        }
    }
}

/// Folds metrics together as long as it is polled.
async fn upkeep(metrics: &PrometheusHandle) -> Infallible {
    let mut interval = tokio::time::interval(telemetry::UPKEEP_INTERVAL);
    loop {
        interval.tick().await;
        metrics.run_upkeep();
    }
}
