//! What is served where: the surfaces of the configuration compiled from the upstreams' descriptors.
//!
//! A catalog never changes. A new one is made from new descriptors and takes the old one's place as a whole; requests
//! in flight keep the one they began with.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use prost_reflect::{DescriptorPool, ServiceDescriptor};
use pulpo_gateway::{
    connect::{ConnectOptions, Methods},
    fault::{ErrorContext, ErrorFormat, Fault},
    listen::cors,
    metadata::{MetadataRules, PassFault},
    surface::{Surface, SurfaceHandle, SurfaceOptions},
};
use tonic::{Code, body::Body};
use tower_http::cors::CorsLayer;

use crate::{
    config::{self, Config},
    descriptors::{Files, map_unmapped},
    errors::Errors,
    metrics::{Metrics, Route},
    upstream::Upstream,
};

/// Services of this package are infrastructure: they are passed on, and have no REST routes.
const INFRASTRUCTURE: &str = "grpc.";

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
    /// What the gateway needs to know of it; none while descriptors are missing.
    pub surface: Option<SurfaceHandle>,
    /// The Connect protocol, where it is spoken.
    pub connect: Option<Arc<Methods>>,
    /// By gRPC path.
    rpcs: HashMap<String, Rpc, RandomState>,
    /// For calls of methods that no descriptor tells of.
    pub default: Option<Upstream>,
    /// Which other origins may call it, if any.
    pub cors: Option<CorsLayer>,
    errors: Errors,
    has_auto_mapping: bool,
}

/// A method and where it is called.
pub struct Rpc {
    /// Where.
    pub upstream: Upstream,
    /// Its metrics.
    pub route: Arc<Route>,
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
    fn compile(
        config: &config::Surface,
        sources: &[Source],
        metrics: &Metrics,
    ) -> Result<Self, Vec<String>> {
        let sources: Vec<&Source> = sources
            .iter()
            .filter(|s| config.is_of(s.upstream.name()))
            .collect();
        let default = match sources.as_slice() {
            [only] if config.services.is_empty() => Some(only.upstream.clone()),
            _ => None,
        };
        let mut site = Self {
            surface: None,
            connect: None,
            rpcs: HashMap::default(),
            default,
            cors: (!config.cors_origins.is_empty()).then(|| cors(&config.cors_origins, [])),
            errors: Errors::new(config.errors),
            has_auto_mapping: config.auto_mapping,
        };
        if sources.iter().all(|s| s.files.is_some()) {
            let compiled = site.describe(config, &sources, metrics)?;
            site.surface = Some(SurfaceHandle::new(compiled));
        }
        Ok(site)
    }

    fn describe(
        &mut self,
        config: &config::Surface,
        sources: &[&Source],
        metrics: &Metrics,
    ) -> Result<Surface, Vec<String>> {
        let mut files = Files::default();
        for source in sources.iter().filter_map(|s| s.files.as_ref()) {
            files.merge(source)?;
        }
        let mut pool = files.pool()?;
        if config.auto_mapping {
            pool = map_unmapped(&files, &pool)?.pool()?;
        }
        let mut faults = absent(config, &pool);
        let mut services = Vec::new();
        for service in pool.services().filter(|s| is_chosen(config, s)) {
            match owner(&service, sources) {
                Ok(Some(source)) => {
                    self.add(&service, &source.upstream, &config.name, metrics);
                    services.push(service);
                }
                Ok(None) => {}
                Err(fault) => faults.push(fault),
            }
        }
        if services.is_empty() && faults.is_empty() {
            faults.push("its upstreams have no services".to_owned());
        }
        if config.connect {
            match Methods::compile(&pool, &services, connect_options(config)?) {
                Ok(methods) => self.connect = Some(Arc::new(methods)),
                Err(fault) => faults.push(fault),
            }
        }
        match Surface::compile(&pool, &services, options(config)?) {
            Ok(surface) if faults.is_empty() => Ok(surface),
            Ok(_) => Err(faults),
            Err(more) => {
                faults.extend(more);
                Err(faults)
            }
        }
    }

    fn add(
        &mut self,
        service: &ServiceDescriptor,
        upstream: &Upstream,
        surface: &str,
        metrics: &Metrics,
    ) {
        for method in service.methods() {
            let path = format!("/{}/{}", service.full_name(), method.name());
            let route = metrics.route(surface, path.trim_start_matches('/'));
            let rpc = Rpc {
                upstream: upstream.clone(),
                route: Arc::new(route),
            };
            self.rpcs.insert(path, rpc);
        }
    }

    /// Whether a request is for the Connect protocol: by its path, and where methods have that path in REST too by what
    /// only Connect's clients send.
    pub fn is_connect<B>(&self, request: &Request<B>) -> bool {
        if !self.rpcs.contains_key(request.uri().path()) {
            return false;
        }
        let headers = request.headers();
        let content_type = headers.get(header::CONTENT_TYPE);
        !self.has_auto_mapping
            || headers.contains_key("connect-protocol-version")
            || request
                .uri()
                .query()
                .is_some_and(|q| q.contains("connect=v1"))
            || content_type.is_some_and(|value| {
                let value = value.as_bytes();
                value.starts_with(b"application/connect+") || value == b"application/proto"
            })
    }

    /// The method with this gRPC path, if it is one of the site's.
    pub fn rpc(&self, path: &str) -> Option<&Rpc> {
        self.rpcs.get(path)
    }

    /// The answer while descriptors are missing.
    pub fn unavailable<B>(&self, request: &Request<B>) -> Response<Body> {
        let fault = Fault::gateway(
            Code::Unavailable,
            StatusCode::SERVICE_UNAVAILABLE,
            "NO_DESCRIPTORS",
            "the gateway does not know yet what it serves; try again",
        );
        self.refuse(
            &fault,
            request.method(),
            request.uri().path(),
            request.headers(),
        )
    }

    fn refuse(
        &self,
        fault: &Fault,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Response<Body> {
        let context = ErrorContext::new(method, path, headers);
        let rendered = self.errors.render(fault, context);
        let body = Body::new(http_body_util::Full::from(rendered.body));
        let mut response = Response::new(body);
        *response.status_mut() = rendered.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, rendered.content_type);
        headers.insert(header::RETRY_AFTER, header::HeaderValue::from(1));
        response
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
    let mut owners = sources
        .iter()
        .filter(|s| s.files.as_ref().is_some_and(|f| f.has(file.name())));
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

fn connect_options(config: &config::Surface) -> Result<ConnectOptions, Vec<String>> {
    Ok(ConnectOptions {
        limits: config.limits(),
        deadlines: config.deadlines(),
        metadata: rules(config)?,
        ..ConnectOptions::default()
    })
}

fn rules(config: &config::Surface) -> Result<MetadataRules, Vec<String>> {
    let rules = config.headers.rules();
    rules.map_err(|faults| faults.iter().map(PassFault::to_string).collect())
}

fn options(config: &config::Surface) -> Result<SurfaceOptions, Vec<String>> {
    Ok(SurfaceOptions {
        profile: config.json.into(),
        has_forms: config.forms,
        has_problem_json: true,
        has_debug_details: config.debug_details,
        has_entity_tags: config.entity_tags,
        compress_from_bytes: config.compress_from_bytes,
        has_grpc_gzip: config.grpc_gzip,
        limits: config.limits(),
        deadlines: config.deadlines(),
        streams: config.streams.into(),
        metadata: rules(config)?,
        ..SurfaceOptions::new(&*config.name, Arc::new(Errors::new(config.errors)))
    })
}
