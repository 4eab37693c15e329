//! What is served where: the surfaces of the configuration compiled from the upstreams' descriptors.
//!
//! A catalog never changes. A new one is made from new descriptors and takes the old one's place as a whole; requests
//! in flight keep the one they began with. `hosts` finds the surface of a request, `site` is a compiled one, `options` and
//! `pages` are made of its configuration.

mod hosts;
mod options;
mod pages;
mod site;

use std::sync::Arc;

use crate::{config::Config, descriptors::Files, metrics::Metrics, upstream::Upstream};

use self::hosts::Hosts;
pub use self::site::{Rpc, Site};

/// An upstream and what it serves.
#[derive(Clone)]
pub struct Source {
    /// Where calls go.
    pub upstream: Upstream,
    /// The descriptors of its services; none while it could not be asked for them yet.
    pub files: Option<Files>,
}

/// What is served where.
pub struct Catalog {
    /// In the order of the configuration.
    listeners: Vec<Hosts>,
}

impl Catalog {
    /// Compiles every surface. All faults are told.
    pub fn compile(
        config: &Config,
        sources: &[Source],
        metrics: &Metrics,
    ) -> Result<Self, Vec<String>> {
        let mut sites = Vec::new();
        let mut faults = Vec::new();
        for surface in &config.surfaces {
            match Site::compile(surface, sources, metrics) {
                Ok(site) => sites.push((surface, Arc::new(site))),
                Err(more) => {
                    let named = more
                        .into_iter()
                        .map(|f| format!("surface {}: {f}", surface.name));
                    faults.extend(named);
                }
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let listeners = config.listeners.iter().map(|listener| {
            let mut hosts = Hosts::default();
            for (surface, site) in sites.iter().filter(|(s, _)| s.is_on(&listener.name)) {
                hosts.add(&surface.hosts, site);
            }
            hosts
        });
        Ok(Self {
            listeners: listeners.collect(),
        })
    }

    /// The site for a host, which may have a port, on a listener, by its place in the configuration.
    pub fn site(&self, listener: usize, host: &str) -> Option<&Arc<Site>> {
        self.listeners.get(listener)?.site(host)
    }
}
