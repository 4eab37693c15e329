//! The program under test: started in this process on free ports and a database of its own, reached through its
//! public doors.
//!
//! ```ignore
//! let app = TestApp::start().await;
//! let org = app.organization("Acme").await;
//! let key = app.payment_key(&org).await;
//! let reply = app.pulse().bearer(&key).get("/wallets").await;
//! reply.expect(200, "{wallets[]}");
//! app.stop().await;
//! ```

mod client;
mod described;
mod postgres;
mod raw;
mod seed;
mod shape;

use std::net::SocketAddr;

use pulpo::{
    app::App,
    clock::Clock,
    config::{Config, Secret},
    contract::SurfaceName,
    server::{Addresses, Server},
};
use tokio::{sync::oneshot, task::JoinHandle};

pub(crate) use client::{Client, Reply};
pub(crate) use raw::Raw;
pub(crate) use seed::{ALL_PAY_PERMISSIONS, PASSWORD, User, new_key};
pub(crate) use shape::shape;

/// The operator's key of every test program.
pub(crate) const MCP_KEY: &str = "test-mcp-key-0123456789abcdef";

/// A number from the environment, for tests that run longer when they are asked to.
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| text.parse().expect("a number"))
}

/// A running program.
pub(crate) struct TestApp {
    /// Its dependencies, for seeding.
    pub(crate) app: App,
    /// Where it listens.
    pub(crate) addresses: Addresses,
    database: String,
    /// A client without settings.
    pub(crate) http: reqwest::Client,
    stop: oneshot::Sender<()>,
    running: JoinHandle<anyhow::Result<()>>,
}

/// A program to be started.
pub(crate) struct Builder {
    config: Config,
    clock: Clock,
}

impl Builder {
    /// Changes the configuration.
    pub(crate) fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Sets the clock; keep a clone to move it.
    pub(crate) fn clock(mut self, clock: &Clock) -> Self {
        self.clock = clock.clone();
        self
    }

    /// Starts it on an empty, migrated database.
    pub(crate) async fn start(self) -> TestApp {
        TestApp::launch(self.config, self.clock, postgres::create_database().await).await
    }
}

impl TestApp {
    /// Starts a program with random secrets and the system's clock.
    pub(crate) async fn start() -> Self {
        Self::builder().start().await
    }

    /// A program to be changed before it starts.
    pub(crate) fn builder() -> Builder {
        let mut config = Config::default();
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        config.listen.pullpush = free;
        config.listen.pushpaka = free;
        config.listen.puppyone = free;
        config.listen.pulse = free;
        config.listen.integrations = free;
        config.database.pool_size = 16;
        config.secrets.master_key = Some(Secret::new(pulpo::ids::secret("", 64)));
        config.secrets.jwt_secret = Some(Secret::new(pulpo::ids::secret("", 64)));
        config.secrets.mcp_api_key = Some(Secret::new(MCP_KEY));
        // Clients of tests keep their connections; stopping must not wait long for them.
        config.http.drain_timeout_ms = 2_000;
        Builder {
            config,
            clock: Clock::system(),
        }
    }

    async fn launch(config: Config, clock: Clock, database: String) -> Self {
        let url = postgres::url(&database);
        let app = App::with_clock(config, &url, clock).expect("the program can be built");
        let server = Server::bind(app.clone())
            .await
            .expect("the listeners can be bound");
        let addresses = server.addresses();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(server.run(async move {
            let _ = stopped.await;
        }));
        let http = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("an HTTP client");
        Self {
            app,
            addresses,
            database,
            http,
            stop,
            running,
        }
    }

    /// Stops the program as SIGTERM does, and fails if it did not end well.
    pub(crate) async fn stop(self) {
        drop(self.http);
        let _ = self.stop.send(());
        self.running
            .await
            .expect("the server task ended")
            .expect("the server stopped well");
    }

    /// Stops the program and starts another one on the same database; ports change.
    pub(crate) async fn restart(self) -> Self {
        let (config, clock, database) = (
            (*self.app.config).clone(),
            self.app.clock.clone(),
            self.database.clone(),
        );
        self.stop().await;
        Self::launch(config, clock, database).await
    }

    /// Another program with the same configuration on the same database: a replica. Stop each.
    pub(crate) async fn replica(&self) -> Self {
        self.replica_at(&self.app.clock).await
    }

    /// The same with a clock of its own.
    pub(crate) async fn replica_at(&self, clock: &Clock) -> Self {
        let config = (*self.app.config).clone();
        Self::launch(config, clock.clone(), self.database.clone()).await
    }

    /// The hub's API; paths as in its document.
    pub(crate) fn pullpush(&self) -> Client {
        self.client(
            SurfaceName::Hub,
            format!("http://{}", self.addresses.pullpush),
        )
    }

    /// The deployment API.
    pub(crate) fn pushpaka(&self) -> Client {
        self.client(
            SurfaceName::Deploy,
            format!("http://{}/api/v1", self.addresses.pushpaka),
        )
    }

    /// The workspace API.
    pub(crate) fn puppyone(&self) -> Client {
        self.client(
            SurfaceName::Workspace,
            format!("http://{}/api/v1", self.addresses.puppyone),
        )
    }

    /// The payments API.
    pub(crate) fn pulse(&self) -> Client {
        self.pulse_at(self.addresses.pulse)
    }

    /// The same of another program on its database.
    pub(crate) fn pulse_at(&self, address: SocketAddr) -> Client {
        self.client(SurfaceName::Pay, format!("http://{address}/pulse-api"))
    }

    /// The management of integrations.
    pub(crate) fn integrations(&self) -> Client {
        self.client(
            SurfaceName::Integrations,
            format!("http://{}/v1/integrations", self.addresses.integrations),
        )
    }

    fn client(&self, surface: SurfaceName, base: String) -> Client {
        Client::new(self.http.clone(), surface, base)
    }

    /// A gRPC channel to the listener that gRPC clients of all services use.
    pub(crate) async fn channel(&self) -> tonic::transport::Channel {
        let endpoint =
            tonic::transport::Endpoint::from_shared(format!("http://{}", self.addresses.pullpush));
        endpoint
            .expect("an endpoint")
            .connect()
            .await
            .expect("a gRPC connection")
    }

    /// How its database is reached.
    pub(crate) fn database_url(&self) -> String {
        postgres::url(&self.database)
    }

    /// The rows of a statement, for what no door shows.
    pub(crate) async fn sql(&self, statement: &str) -> Vec<tokio_postgres::Row> {
        postgres::query(&self.database, statement).await
    }

    /// Runs statements that give nothing.
    pub(crate) async fn batch(&self, statements: &str) {
        postgres::batch(&self.database, statements).await;
    }

    /// The one number a statement gives.
    pub(crate) async fn sql_number(&self, statement: &str) -> i64 {
        self.sql(statement).await.first().expect("one row").get(0)
    }
}
