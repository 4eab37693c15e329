//! The configuration: a TOML file, or what the command line says in its place.
//!
//! Every key has a default but addresses and names; keys that are not known are refused. `check` tells everything that
//! is wrong with what could be read.

mod check;
mod json;
mod security;
mod surface;

use std::{net::SocketAddr, path::PathBuf};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use json::Json;
pub use security::{Requirement, Schemes};
pub use surface::{Docs, ErrorBody, Headers, StreamTimes, Surface};

/// All of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What holds for the program as a whole.
    pub server: Server,
    /// Health, readiness and metrics, on an address of their own.
    pub admin: Admin,
    /// A line a request.
    pub access_log: AccessLog,
    /// Where clients connect.
    #[serde(rename = "listener")]
    pub listeners: Vec<Listener>,
    /// The gRPC servers.
    #[serde(rename = "upstream")]
    pub upstreams: Vec<Upstream>,
    /// What clients see.
    #[serde(rename = "surface")]
    pub surfaces: Vec<Surface>,
}

/// What holds for the program as a whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Threads; 0 is one for each core the program may use.
    pub workers: usize,
    /// Connections of clients, over all listeners.
    pub max_connections: usize,
    /// How long a client may take for the head of a request.
    pub header_timeout_ms: u64,
    /// How long a client may keep an HTTP/1.1 connection open without a request.
    pub idle_timeout_ms: u64,
    /// How long requests in flight are waited for when stopping.
    pub drain_timeout_ms: u64,
    /// Networks of the proxies whose `X-Forwarded-*`, `Forwarded` and `X-Real-IP` are believed; those of others are removed.
    pub trusted_proxies: Vec<IpNet>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            workers: 0,
            max_connections: 10_000,
            header_timeout_ms: 10_000,
            idle_timeout_ms: 75_000,
            drain_timeout_ms: 30_000,
            trusted_proxies: Vec::new(),
        }
    }
}

/// Health, readiness and metrics.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Where they are served over HTTP; nowhere without it.
    pub address: Option<SocketAddr>,
}

/// A line a request, on standard output.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessLog {
    /// How it is written.
    pub format: AccessFormat,
}

/// How a line of the access log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessFormat {
    /// Not at all.
    #[default]
    Off,
    /// A JSON object.
    Json,
    /// For humans.
    Text,
}

/// Where clients connect.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// How surfaces refer to it.
    pub name: String,
    /// The address it is bound to.
    pub address: SocketAddr,
    /// TLS, if it speaks that.
    pub tls: Option<ServerTls>,
    /// Whether `/healthz` and `/readyz` are answered here, in front of all routes.
    #[serde(default = "yes")]
    pub health: bool,
}

/// The certificate of a listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    /// PEM file of the certificate, its chain after it.
    pub certificate: PathBuf,
    /// PEM file of its private key.
    pub key: PathBuf,
}

/// A gRPC server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// How surfaces refer to it.
    pub name: String,
    /// `http://host:port`, or `https://` for TLS.
    pub url: String,
    /// A file with a `FileDescriptorSet`. Either this or `reflection`.
    pub descriptor_set: Option<PathBuf>,
    /// Whether the server is asked for its descriptors.
    #[serde(default)]
    pub reflection: bool,
    /// How often the descriptors are read again; 0 is never. A file is also read when it changes.
    #[serde(default)]
    pub refresh_s: u64,
    /// PEM file of the authorities that are trusted in place of the system's.
    pub ca: Option<PathBuf>,
    /// Connections; 0 is one for each thread.
    #[serde(default)]
    pub connections: usize,
    /// Calls at the same time.
    #[serde(default = "default_in_flight")]
    pub max_in_flight: usize,
    /// For one attempt to connect.
    #[serde(default = "default_connect_timeout")]
    pub connect_timeout_ms: u64,
    /// The longest pause between two attempts to connect.
    #[serde(default = "default_backoff")]
    pub backoff_max_ms: u64,
    /// How often an open connection is asked whether it is still there, and how long it may take to answer.
    #[serde(default = "default_keep_alive")]
    pub keep_alive_ms: u64,
}

impl Upstream {
    /// One at `url` with all defaults.
    pub fn at(name: &str, url: &str) -> Self {
        Self {
            name: name.to_owned(),
            url: url.to_owned(),
            descriptor_set: None,
            reflection: false,
            refresh_s: 0,
            ca: None,
            connections: 0,
            max_in_flight: default_in_flight(),
            connect_timeout_ms: default_connect_timeout(),
            backoff_max_ms: default_backoff(),
            keep_alive_ms: default_keep_alive(),
        }
    }
}

fn yes() -> bool {
    true
}

fn default_in_flight() -> usize {
    4096
}

fn default_connect_timeout() -> u64 {
    5_000
}

fn default_backoff() -> u64 {
    5_000
}

fn default_keep_alive() -> u64 {
    20_000
}

impl Config {
    /// Reads the text of a configuration file.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// The configuration as a file that says the same, every default written out.
    pub fn print(&self) -> Result<String, toml::ser::Error> {
        toml::to_string_pretty(self)
    }
}
