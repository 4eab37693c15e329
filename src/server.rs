//! The five listeners: HTTP/1.1 and HTTP/2, REST, gRPC, gRPC-Web and Connect on each, bounded in everything.

mod door;

use std::{
    future::{Future, ready},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use hyper_util::service::TowerToHyperService;
use pulpo_gateway::{listen, services::Services};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    config::{Config, Http, Listen},
    contract::{Contract, SurfaceName},
    deploy, hub, integrations, layers, pay,
    proto::DESCRIPTOR_SET,
    surfaces, workspace,
};

use door::Door;

/// Where each surface listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The hub.
    pub pullpush: SocketAddr,
    /// Deployments.
    pub pushpaka: SocketAddr,
    /// Workspaces.
    pub puppyone: SocketAddr,
    /// Payments.
    pub pulse: SocketAddr,
    /// Integrations.
    pub integrations: SocketAddr,
}

impl Addresses {
    fn of(bound: &[(SurfaceName, TcpListener)]) -> Result<Self> {
        let address = |name| {
            let listener = bound
                .iter()
                .find(|(of, _)| *of == name)
                .map(|(_, listener)| listener);
            anyhow::Ok(
                listener
                    .context("a surface has no listener")?
                    .local_addr()?,
            )
        };
        Ok(Self {
            pullpush: address(SurfaceName::Hub)?,
            pushpaka: address(SurfaceName::Deploy)?,
            puppyone: address(SurfaceName::Workspace)?,
            pulse: address(SurfaceName::Pay)?,
            integrations: address(SurfaceName::Integrations)?,
        })
    }
}

impl Addresses {
    /// As they would be configured.
    fn as_configured(self, operations: Option<SocketAddr>) -> Listen {
        let Self {
            pullpush,
            pushpaka,
            puppyone,
            pulse,
            integrations,
        } = self;
        Listen {
            pullpush,
            pushpaka,
            puppyone,
            pulse,
            integrations,
            operations,
        }
    }
}

/// The bound listeners and what answers behind them.
pub struct Server {
    app: App,
    listeners: Vec<(TcpListener, Door)>,
    addresses: Addresses,
}

impl Server {
    /// Binds every listener and compiles the surfaces; connections wait until [`Server::run`].
    pub async fn bind(mut app: App) -> Result<Self> {
        let contract = Arc::new(Contract::load()?);
        let mut bound = Vec::new();
        for name in SurfaceName::ALL {
            let address = configured(&app, name);
            let listener = TcpListener::bind(address).await.with_context(|| {
                format!(
                    "cannot listen on {address} for the {} surface",
                    name.as_str()
                )
            })?;
            bound.push((name, listener));
        }
        // Services that print their own address must know the ports that were asked for as 0.
        let addresses = Addresses::of(&bound)?;
        app.config = Arc::new(Config {
            listen: addresses.as_configured(app.config.listen.operations),
            ..(*app.config).clone()
        });
        let stack = layers::stack(&app, contract.clone(), services(&app));
        let infrastructure = infrastructure(&contract).await?;
        let methods = Arc::new(surfaces::methods(&contract, &app.config.http)?);
        let mut listeners = Vec::new();
        for (name, listener) in bound {
            let surface = Arc::new(surfaces::compile(&contract, name, &app.config.http)?);
            let http = &app.config.http;
            let pages = http
                .docs
                .then(|| surfaces::pages(&contract, name, &surface));
            let door = Door::new(
                http,
                surface,
                pages,
                methods.clone(),
                stack.clone(),
                infrastructure.clone(),
            );
            listeners.push((listener, door));
        }
        Ok(Self {
            app,
            listeners,
            addresses,
        })
    }

    /// Where the listeners really are; tells the ports that were asked for as 0.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Serves until `shutdown` completes, then drains: no new connections, the open ones finish within the
    /// configured time.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let (stop, written) = (CancellationToken::new(), CancellationToken::new());
        let limits = limits(&self.app.config.http);
        let slots = Arc::new(Semaphore::new(self.app.config.http.max_connections));
        let writer = self
            .app
            .rates
            .spawn_writer(self.app.clock.clone(), written.clone());
        let mut accepting = JoinSet::new();
        for (listener, door) in self.listeners {
            let prepare = move |stream, peer: SocketAddr| {
                let service = TowerToHyperService::new(door.for_peer(peer.ip()));
                ready(Ok((stream, service)))
            };
            accepting.spawn(listen::accept(
                listener,
                limits,
                slots.clone(),
                stop.clone(),
                prepare,
            ));
        }
        shutdown.await;
        tracing::info!("stopping: no new connections, the open ones finish");
        stop.cancel();
        let drain = Duration::from_millis(self.app.config.http.drain_timeout_ms);
        if tokio::time::timeout(drain, async {
            while accepting.join_next().await.is_some() {}
        })
        .await
        .is_err()
        {
            tracing::warn!("some connections did not finish in time and were closed");
            accepting.shutdown().await;
        }
        // Last, so that what the draining connections did is counted too.
        written.cancel();
        writer.await.context("the rate limit writer failed")?;
        Ok(())
    }
}

fn limits(http: &Http) -> listen::Limits {
    listen::Limits {
        header_timeout: Duration::from_millis(http.header_timeout_ms),
        idle_timeout: Duration::from_millis(http.idle_timeout_ms),
        // As long for taking an answer as for sending a body.
        stall_timeout: Duration::from_millis(http.body_timeout_ms),
        ..listen::Limits::default()
    }
}

fn configured(app: &App, name: SurfaceName) -> SocketAddr {
    let listen = &app.config.listen;
    match name {
        SurfaceName::Hub => listen.pullpush,
        SurfaceName::Deploy => listen.pushpaka,
        SurfaceName::Workspace => listen.puppyone,
        SurfaceName::Pay => listen.pulse,
        SurfaceName::Integrations => listen.integrations,
    }
}

/// The services of all domains.
fn services(app: &App) -> Services {
    let mut services = Services::new();
    hub::register(app, &mut services);
    deploy::register(app, &mut services);
    workspace::register(app, &mut services);
    pay::register(app, &mut services);
    integrations::register(app, &mut services);
    services
}

/// gRPC health and reflection: about the program, not about anybody's data, and so outside the checks.
async fn infrastructure(contract: &Contract) -> Result<Services> {
    let (reporter, health) = tonic_health::server::health_reporter();
    for service in contract.pool.services() {
        reporter
            .set_service_status(service.full_name(), tonic_health::ServingStatus::Serving)
            .await;
    }
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTOR_SET)
    };
    let mut services = Services::new();
    services
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    Ok(services)
}
