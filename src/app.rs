//! Every dependency of the program as a field, built in one place.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::{
    clock::Clock,
    config::Config,
    connectors,
    db::Db,
    delivery::{self, Egress},
    identity::{authenticate::Authenticator, digest, keys::Finder, tokens::Tokens},
    pay::{compliance::RuleBook, webhooks},
    rates::Rates,
    secrets::Secrets,
    telemetry,
};

/// What services are made of; cheap to clone.
#[derive(Clone)]
pub struct App {
    /// The database.
    pub db: Db,
    /// Now.
    pub clock: Clock,
    /// The configuration in force.
    pub config: Arc<Config>,
    /// User tokens.
    pub tokens: Tokens,
    /// Credentials to callers.
    pub authenticator: Arc<Authenticator>,
    /// Secrets at rest.
    pub secrets: Secrets,
    /// Rate limits.
    pub rates: Rates,
    /// The compliance rules in force.
    pub compliance: Arc<RuleBook>,
    /// Sends what goes to addresses that others chose.
    pub sender: delivery::Sender,
    /// The metrics collected so far.
    pub metrics: PrometheusHandle,
}

impl App {
    /// Builds the dependencies. Nothing is connected yet; the database at `database_url` must be migrated before
    /// the first request.
    pub fn build(config: Config, database_url: &str) -> Result<Self> {
        Self::with_clock(config, database_url, Clock::system())
    }

    /// The same with a clock of the caller's.
    pub fn with_clock(config: Config, database_url: &str, clock: Clock) -> Result<Self> {
        let jwt_secret = config
            .secrets
            .jwt_secret
            .as_ref()
            .context("no JWT secret: set PULPO_JWT_SECRET")?;
        ensure!(
            jwt_secret.expose().len() >= 32,
            "PULPO_JWT_SECRET must have at least 32 characters"
        );
        connectors::check()?;
        let compliance = RuleBook::load(config.pay.compliance_rules.as_deref())?;
        let db = Db::new(database_url, config.database.pool_size);
        let tokens = Tokens::new(jwt_secret.expose(), clock.clone());
        let mcp_key = config
            .secrets
            .mcp_api_key
            .as_ref()
            .map(|k| digest::sha256(k.expose()));
        let authenticator = Authenticator {
            db: db.clone(),
            keys: Finder::start(db.clone()),
            remembered: Arc::default(),
            tokens: tokens.clone(),
            clock: clock.clone(),
            mcp_key,
        };
        let secrets = Secrets::configured(&config.secrets)?;
        let outgoing = &config.delivery;
        let egress = Egress::new(
            outgoing.allow_private_targets,
            outgoing.endpoint_concurrency,
        );
        let sender = delivery::Sender::new(
            db.clone(),
            clock.clone(),
            secrets.clone(),
            egress,
            &[&webhooks::PROFILE],
        );
        Ok(Self {
            compliance: Arc::new(compliance),
            sender,
            secrets,
            rates: Rates::new(db.clone()),
            metrics: telemetry::metrics_handle()?,
            authenticator: Arc::new(authenticator),
            config: Arc::new(config),
            tokens,
            clock,
            db,
        })
    }
}
