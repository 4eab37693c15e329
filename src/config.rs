//! Configuration: `pulpo.toml`, then `PULPO_…` variables over it; both are checked before anything starts.
//!
//! `settings::SETTINGS` names every key once with its variable, so an unknown key or variable is an error that
//! names the nearest known one. Secrets never appear in what is printed or logged.

mod background;
mod cidr;
mod secret;
mod settings;

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use background::{Delivery, Housekeeping};
pub use secret::Secret;

/// The file that is read when no other one is named; it need not exist.
pub const DEFAULT_FILE: &str = "pulpo.toml";

/// The anonymous key that Puppyone's clients are given when none is configured. It is public by design: it names the
/// application and grants nothing, as the document's `supabase_anon_key` does.
pub const PUBLIC_ANON_KEY: &str = "pulpo-public-anon-key";

/// Everything that can be configured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Addresses of the five surfaces.
    pub listen: Listen,
    /// Where the data is.
    pub database: Database,
    /// Keys of the installation.
    pub secrets: Secrets,
    /// Limits, timeouts, proxies and CORS of every listener.
    pub http: Http,
    /// Rate limits.
    pub rates: Rates,
    /// Removing what has expired.
    pub housekeeping: Housekeeping,
    /// Sending webhooks.
    pub delivery: Delivery,
    /// The payments API (pulse).
    pub pay: Pay,
    /// The workspace API (puppyone).
    pub workspace: Workspace,
    /// The deployment API (pushpaka).
    pub deploy: Deploy,
    /// Logs and traces.
    pub log: Log,
}

/// Addresses of the five surfaces and of the operator's listener; port 0 takes a free one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// The hub; gRPC clients of all services come here too.
    pub pullpush: SocketAddr,
    /// Deployments.
    pub pushpaka: SocketAddr,
    /// Workspaces.
    pub puppyone: SocketAddr,
    /// Payments.
    pub pulse: SocketAddr,
    /// Integrations.
    pub integrations: SocketAddr,
    /// Health and metrics of this process, in every role; not to be reached by clients. None: no such listener.
    pub operations: Option<SocketAddr>,
}

impl Default for Listen {
    fn default() -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            pullpush: local(4264),
            pushpaka: local(8080),
            puppyone: local(9090),
            pulse: local(4170),
            integrations: local(4180),
            operations: None,
        }
    }
}

/// Where the data is.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `postgres://user:password@host:port/database`; without it only the built-in Postgres can be used.
    #[serde(serialize_with = "secret::serialize_url")]
    pub url: Option<String>,
    /// Connections of one process to the database, at least 1.
    pub pool_size: u32,
    /// The folder with `initdb` and `postgres` for the built-in Postgres; searched for when absent.
    pub postgres_bin: Option<PathBuf>,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: None,
            pool_size: 20,
            postgres_bin: None,
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("url", &self.url.as_deref().map(secret::without_password))
            .field("pool_size", &self.pool_size)
            .field("postgres_bin", &self.postgres_bin)
            .finish()
    }
}

/// Keys of the installation; whoever has them has everything.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Secrets {
    /// 64 hexadecimal digits that encrypt stored credentials.
    pub master_key: Option<Secret>,
    /// The master key before this one, while `pulpo admin rotate-secrets` has not replaced it everywhere.
    pub previous_master_key: Option<Secret>,
    /// At least 32 characters that sign access tokens.
    pub jwt_secret: Option<Secret>,
    /// The key of the MCP door.
    pub mcp_api_key: Option<Secret>,
}

/// Limits, timeouts, proxies and CORS of every listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Proxies whose `X-Forwarded-For` is believed.
    #[serde(with = "cidr")]
    pub trusted_proxies: Vec<IpNet>,
    /// Origins that browsers may call from; `*` for all. Empty means no CORS.
    pub cors_origins: Vec<String>,
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// How long a client may take to send its headers.
    pub header_timeout_ms: u64,
    /// How long a client may keep a connection open without a request, over HTTP/1.1.
    pub idle_timeout_ms: u64,
    /// How long a client may take to send its body.
    pub body_timeout_ms: u64,
    /// How long a request may take in all.
    pub request_timeout_ms: u64,
    /// Connections open at the same time, over all listeners.
    pub max_connections: usize,
    /// How long requests in flight are waited for when stopping.
    pub drain_timeout_ms: u64,
    /// Whether each listener describes its API at `/openapi.json` and `/docs`.
    pub docs: bool,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            max_body_bytes: 4 * 1024 * 1024,
            header_timeout_ms: 10_000,
            idle_timeout_ms: 75_000,
            body_timeout_ms: 30_000,
            request_timeout_ms: 60_000,
            max_connections: 10_000,
            drain_timeout_ms: 10_000,
            docs: true,
        }
    }
}

/// Rate limits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Multiplies every documented limit; 1 except for load tests.
    pub scale: u32,
}

impl Default for Rates {
    fn default() -> Self {
        Self { scale: 1 }
    }
}

/// The payments API (pulse).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pay {
    /// A file of compliance rules beside the shipped ones.
    pub compliance_rules: Option<PathBuf>,
}

/// What puppyone's `auth/config` tells its clients.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Workspace {
    /// The base address of the authentication service; puppyone's own address when absent.
    pub supabase_url: Option<String>,
    /// The public key that clients send along; [`PUBLIC_ANON_KEY`] when absent.
    pub supabase_anon_key: Option<String>,
}

/// The deployment API (pushpaka).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Deploy {
    /// How long an access token is valid, in hours.
    pub jwt_expiry_hours: u32,
}

impl Default for Deploy {
    fn default() -> Self {
        Self {
            jwt_expiry_hours: 24,
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Console,
    /// For machines: one JSON object a line.
    Json,
}

/// Logs and traces.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// What is logged, for example `info,pulpo::pay=debug`.
    pub filter: String,
    /// Console in `dev` and JSON in `serve` when absent.
    pub format: Option<LogFormat>,
    /// Where traces go by OTLP over gRPC, for example `http://127.0.0.1:4317`; nowhere when absent.
    pub otlp_endpoint: Option<String>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
            format: None,
            otlp_endpoint: None,
        }
    }
}

impl Config {
    /// Reads `file`, or [`DEFAULT_FILE`] if there is one, and the process's variables over it.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown key or variable, or a value that is not allowed; the message names it.
    pub fn load(file: Option<&Path>) -> Result<Self> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                String::new()
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        Self::parse(
            &text,
            std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))),
        )
        .with_context(|| format!("configuration ({} and environment)", path.display()))
    }

    /// The configuration that `text` (TOML) and `variables` over it describe.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self> {
        let mut table: toml::Table = text.parse()?;
        settings::check_keys(&table)?;
        settings::apply_variables(&mut table, variables)?;
        let config: Self = table.try_into()?;
        config.check()?;
        Ok(config)
    }

    /// The whole configuration as TOML without its secrets.
    pub fn redacted(&self) -> String {
        toml::to_string(self)
            .unwrap_or_else(|error| format!("# the configuration cannot be shown: {error}\n"))
    }

    /// What puppyone's clients are told as the address of the authentication service, when puppyone listens at `bound`.
    pub fn supabase_url(&self, bound: SocketAddr) -> String {
        self.workspace
            .supabase_url
            .clone()
            .unwrap_or_else(|| format!("http://{bound}"))
    }

    /// What puppyone's clients are told as the anonymous key.
    pub fn supabase_anon_key(&self) -> &str {
        self.workspace
            .supabase_anon_key
            .as_deref()
            .unwrap_or(PUBLIC_ANON_KEY)
    }

    fn check(&self) -> Result<()> {
        for (name, key) in [
            ("master_key", &self.secrets.master_key),
            ("previous_master_key", &self.secrets.previous_master_key),
        ] {
            ensure!(
                key.as_ref()
                    .map(Secret::expose)
                    .is_none_or(|key| key.len() == 64
                        && key.bytes().all(|b| b.is_ascii_hexdigit())),
                "secrets.{name} must be 64 hexadecimal digits; make one with: openssl rand -hex 32"
            );
        }
        if let Some(secret) = &self.secrets.jwt_secret {
            ensure!(
                secret.expose().chars().count() >= 32,
                "secrets.jwt_secret must have at least 32 characters; make one with: openssl rand -hex 32"
            );
        }
        if let Some(key) = &self.secrets.mcp_api_key {
            ensure!(
                key.expose().len() >= 16,
                "secrets.mcp_api_key must have at least 16 characters"
            );
        }
        for (name, value) in [
            ("database.pool_size", u64::from(self.database.pool_size)),
            ("rates.scale", u64::from(self.rates.scale)),
            (
                "deploy.jwt_expiry_hours",
                u64::from(self.deploy.jwt_expiry_hours),
            ),
            ("http.max_body_bytes", self.http.max_body_bytes as u64),
            ("http.header_timeout_ms", self.http.header_timeout_ms),
            ("http.idle_timeout_ms", self.http.idle_timeout_ms),
            ("http.body_timeout_ms", self.http.body_timeout_ms),
            ("http.request_timeout_ms", self.http.request_timeout_ms),
            ("http.max_connections", self.http.max_connections as u64),
            ("http.drain_timeout_ms", self.http.drain_timeout_ms),
            ("housekeeping.interval_ms", self.housekeeping.interval_ms),
            ("delivery.concurrency", self.delivery.concurrency as u64),
            (
                "delivery.endpoint_concurrency",
                self.delivery.endpoint_concurrency as u64,
            ),
            (
                "housekeeping.batch_rows",
                u64::from(self.housekeeping.batch_rows),
            ),
        ] {
            ensure!(value >= 1, "{name} must be at least 1");
        }
        ensure!(
            self.database.pool_size <= 1000,
            "database.pool_size must be at most 1000"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests;
