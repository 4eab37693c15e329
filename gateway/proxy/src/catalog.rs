//! What is served where: the surfaces of the configuration compiled from the upstreams' descriptors.
//!
//! A catalog never changes. A new one is made from new descriptors and takes the old one's place as a whole; requests
//! in flight keep the one they began with.

use std::{collections::HashMap, sync::Arc, time::Duration};

use foldhash::fast::RandomState;
use prost_reflect::{DescriptorPool, ServiceDescriptor};
use pulpo_gateway::surface::{Limits, Surface, SurfaceOptions};

use crate::{
    config::{self, Config},
    descriptors::{Files, map_unmapped},
    errors::Errors,
    upstream::Upstream,
};

/// Services of this package are infrastructure: they are passed on, and have no REST routes.
const INFRASTRUCTURE: &str = "grpc.";

/// An upstream and what it serves.
#[derive(Clone)]
pub struct Source {
    /// Where calls go.
    pub upstream: Upstream,
    /// The descriptors of its services.
    pub files: Files,
}

/// What is served where.
pub struct Catalog {
    /// In the order of the configuration.
    listeners: Vec<Hosts>,
}

/// The sites of one listener, by host.
#[derive(Default)]
pub struct Hosts {
    exact: HashMap<String, Arc<Site>>,
    /// By the part behind the `*`, the longest first.
    below: Vec<(String, Arc<Site>)>,
    any: Option<Arc<Site>>,
}

/// A compiled surface with its upstreams.
pub struct Site {
    /// The surface's name.
    pub name: String,
    /// What the gateway needs to know of it.
    pub surface: Arc<Surface>,
    /// By gRPC path.
    rpcs: HashMap<String, Rpc, RandomState>,
    /// For calls of methods that no descriptor tells of.
    default: Option<Upstream>,
}

/// A method and where it is called.
#[derive(Clone)]
pub struct Rpc {
    /// Where.
    pub upstream: Upstream,
}

impl Catalog {
    /// Compiles every surface. All faults are told.
    pub fn compile(config: &Config, sources: &[Source]) -> Result<Self, Vec<String>> {
        let mut sites = Vec::new();
        let mut faults = Vec::new();
        for surface in &config.surfaces {
            match Site::compile(surface, sources) {
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

impl Hosts {
    fn add(&mut self, hosts: &[String], site: &Arc<Site>) {
        if hosts.is_empty() {
            self.any = Some(site.clone());
        }
        for host in hosts {
            let host = host.to_ascii_lowercase();
            match host.strip_prefix('*') {
                Some(below) => self.below.push((below.to_owned(), site.clone())),
                None => {
                    self.exact.insert(host, site.clone());
                }
            }
        }
        self.below
            .sort_by_key(|(below, _)| std::cmp::Reverse(below.len()));
    }

    fn site(&self, host: &str) -> Option<&Arc<Site>> {
        if self.exact.is_empty() && self.below.is_empty() {
            return self.any.as_ref();
        }
        let host = without_port(host).to_ascii_lowercase();
        let below = || {
            let mut below = self.below.iter();
            let (_, site) = below.find(|(below, _)| host.ends_with(below.as_str()))?;
            Some(site)
        };
        self.exact.get(&host).or_else(below).or(self.any.as_ref())
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

impl Site {
    fn compile(config: &config::Surface, sources: &[Source]) -> Result<Self, Vec<String>> {
        let sources: Vec<&Source> = sources
            .iter()
            .filter(|s| config.is_of(s.upstream.name()))
            .collect();
        let mut files = Files::default();
        for source in &sources {
            files.merge(&source.files)?;
        }
        let mut pool = files.pool()?;
        if config.auto_mapping {
            pool = map_unmapped(&files, &pool)?.pool()?;
        }
        let mut faults = Vec::new();
        let mut services = Vec::new();
        let mut rpcs = HashMap::default();
        for service in pool.services().filter(|s| is_chosen(config, s)) {
            match owner(&service, &sources) {
                Ok(Some(source)) => {
                    let name = service.full_name();
                    for method in service.methods() {
                        let rpc = Rpc {
                            upstream: source.upstream.clone(),
                        };
                        rpcs.insert(format!("/{name}/{}", method.name()), rpc);
                    }
                    services.push(service);
                }
                Ok(None) => {}
                Err(fault) => faults.push(fault),
            }
        }
        faults.extend(absent(config, &pool));
        if services.is_empty() && faults.is_empty() {
            faults.push("its upstreams have no services".to_owned());
        }
        let surface = Surface::compile(&pool, &services, options(config)).map_err(|more| {
            faults.extend(more);
            faults.clone()
        })?;
        if !faults.is_empty() {
            return Err(faults);
        }
        let default = match sources.as_slice() {
            [only] if config.services.is_empty() => Some(only.upstream.clone()),
            _ => None,
        };
        Ok(Self {
            name: config.name.clone(),
            surface: Arc::new(surface),
            rpcs,
            default,
        })
    }

    /// Where the method with this gRPC path is called, if it is one of the site's.
    pub fn upstream(&self, path: &str) -> Option<&Upstream> {
        match self.rpcs.get(path) {
            Some(rpc) => Some(&rpc.upstream),
            None => self.default.as_ref(),
        }
    }
}

fn is_chosen(config: &config::Surface, service: &ServiceDescriptor) -> bool {
    let name = service.full_name();
    if config.services.is_empty() {
        !name.starts_with(INFRASTRUCTURE)
    } else {
        config.services.iter().any(|s| s == name)
    }
}

/// The one upstream that has the service; none for one that only came along with an import.
fn owner<'s>(
    service: &ServiceDescriptor,
    sources: &[&'s Source],
) -> Result<Option<&'s Source>, String> {
    let file = service.parent_file();
    let mut owners = sources.iter().filter(|s| s.files.has(file.name()));
    let first = owners.next();
    match (first, owners.next()) {
        (Some(one), Some(other)) => Err(format!(
            "the upstreams {} and {} both have {}; name the upstreams of the surface",
            one.upstream.name(),
            other.upstream.name(),
            service.full_name()
        )),
        (first, _) => Ok(first.copied()),
    }
}

fn absent(config: &config::Surface, pool: &DescriptorPool) -> Vec<String> {
    let names = config.services.iter();
    names
        .filter(|name| pool.get_service_by_name(name).is_none())
        .map(|name| format!("no upstream has the service {name}"))
        .collect()
}

fn options(config: &config::Surface) -> SurfaceOptions {
    SurfaceOptions {
        profile: config.json.into(),
        has_problem_json: true,
        limits: Limits {
            max_body_bytes: config.max_body_bytes,
            body_timeout: Duration::from_millis(config.body_timeout_ms),
            ..Limits::default()
        },
        ..SurfaceOptions::new(&*config.name, Arc::new(Errors::new(config.errors)))
    }
}
