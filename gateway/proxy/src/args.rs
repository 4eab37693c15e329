//! The command line.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    path::PathBuf,
};

use anyhow::{Context, Result};
use clap::Parser;

use crate::config::{Config, Listener, Surface, Upstream};

const LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080));

/// REST in front of any gRPC server, by the `google.api.http` rules of its services.
#[derive(Debug, Parser)]
#[command(name = "pulpo-gateway", version)]
pub struct Args {
    /// The gRPC server: http://host:port or https://host:port.
    #[arg(long, value_name = "URL", required_unless_present = "config")]
    upstream: Option<String>,

    /// A file with its descriptors, as `protoc --include_imports -o` writes it.
    #[arg(long, value_name = "FILE", conflicts_with = "reflection")]
    descriptor_set: Option<PathBuf>,

    /// Ask the server for its descriptors.
    #[arg(long)]
    reflection: bool,

    /// The address to listen on [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,

    /// The address for health, readiness and metrics.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,

    /// Make methods without an http rule POST /package.Service/Method.
    #[arg(long)]
    auto_mapping: bool,

    /// A configuration file, for more than one upstream, listener or surface. The other options come on top of it.
    #[arg(long, value_name = "FILE", env = "PULPO_GATEWAY_CONFIG")]
    config: Option<PathBuf>,

    /// Check the configuration, the certificates and the descriptors, tell all faults, and exit.
    #[arg(long)]
    pub check: bool,

    /// Print the configuration with every default written out, and exit.
    #[arg(long)]
    pub print_config: bool,
}

impl Args {
    /// The configuration they amount to.
    pub fn config(&self) -> Result<Config> {
        let mut config = match &self.config {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                Config::parse(&text).with_context(|| path.display().to_string())?
            }
            None => Config::default(),
        };
        if let Some(url) = &self.upstream {
            config.upstreams.push(Upstream {
                descriptor_set: self.descriptor_set.clone(),
                reflection: self.reflection,
                ..Upstream::at("default", url)
            });
        }
        if self.listen.is_some() || config.listeners.is_empty() {
            config.listeners.push(Listener {
                name: "default".to_owned(),
                address: self.listen.unwrap_or(LISTEN),
                tls: None,
                health: true,
            });
        }
        if config.surfaces.is_empty() {
            config.surfaces.push(Surface {
                name: "default".to_owned(),
                auto_mapping: self.auto_mapping,
                ..Surface::default()
            });
        }
        if self.admin.is_some() {
            config.admin.address = self.admin;
        }
        Ok(config)
    }
}
