//! A compiled surface: its methods and where they are called.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use http::{Request, Response, StatusCode, header};
use prost_reflect::{DescriptorPool, ServiceDescriptor};
use pulpo_gateway::{
    connect::Methods,
    fault::{ErrorContext, ErrorFormat, Fault},
    listen::cors,
    openapi::pages::Pages,
    problem,
    surface::{Surface, SurfaceHandle},
};
use tonic::{Code, body::Body};
use tower_http::cors::CorsLayer;

use super::{Source, options, pages};
use crate::{
    config,
    descriptors::{Files, INFRASTRUCTURE, map_unmapped},
    errors::Errors,
    metrics::{Metrics, Route},
    reload::MISSING_RETRY,
    upstream::Upstream,
};

/// A compiled surface with its upstreams.
pub struct Site {
    /// What the gateway needs to know of it; none while descriptors are missing.
    pub surface: Option<SurfaceHandle>,
    /// The Connect protocol, where it is spoken.
    pub connect: Option<Arc<Methods>>,
    /// Its document and the page that shows it, where they are served.
    pub pages: Option<Pages>,
    /// By gRPC path.
    rpcs: HashMap<String, Rpc, RandomState>,
    /// For calls of methods that no descriptor tells of.
    pub default: Option<Upstream>,
    /// Which other origins may call it, if any.
    pub cors: Option<CorsLayer>,
    /// Header fields of a request.
    pub max_headers: usize,
    errors: Errors,
    has_auto_mapping: bool,
}

/// A method and where it is called.
pub struct Rpc {
    /// Where.
    pub upstream: Upstream,
    /// Whether it takes a stream of messages.
    pub has_stream: bool,
    /// Its metrics.
    pub route: Arc<Route>,
}

impl Site {
    pub(super) fn compile(
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
            pages: None,
            rpcs: HashMap::default(),
            default,
            cors: (!config.cors_origins.is_empty()).then(|| {
                let exposed = config.cors_exposed.iter();
                // The configuration has been checked.
                cors(
                    &config.cors_origins,
                    exposed.filter_map(|name| name.parse().ok()),
                )
            }),
            max_headers: config.max_headers,
            errors: Errors::new(config.errors),
            has_auto_mapping: config.auto_mapping,
        };
        if sources.iter().all(|s| s.files.is_some()) {
            let compiled = site.describe(config, &sources, metrics)?;
            site.surface = Some(SurfaceHandle::from(compiled));
        }
        Ok(site)
    }

    fn describe(
        &mut self,
        config: &config::Surface,
        sources: &[&Source],
        metrics: &Metrics,
    ) -> Result<Arc<Surface>, Vec<String>> {
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
            match Methods::compile(&pool, &services, options::connect(config)?) {
                Ok(methods) => self.connect = Some(Arc::new(methods)),
                Err(fault) => faults.push(fault),
            }
        }
        match Surface::compile(&pool, &services, options::surface(config)?) {
            Ok(surface) if faults.is_empty() => {
                let surface = Arc::new(surface);
                self.pages = pages::pages(config, &surface, &pool, services);
                Ok(surface)
            }
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
                has_stream: method.is_client_streaming(),
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
    #[cold]
    pub fn unavailable<B>(&self, request: &Request<B>) -> Response<Body> {
        let mut fault = Fault::gateway(
            Code::Unavailable,
            StatusCode::SERVICE_UNAVAILABLE,
            "NO_DESCRIPTORS",
            "the gateway does not know yet what it serves; try again",
        );
        fault.retry_after = Some(MISSING_RETRY);
        let context = ErrorContext::of(request);
        match problem::is_wanted(request.headers()) {
            true => problem::refusal(&fault, context),
            false => self.errors.render(&fault, context).into_response(&fault),
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
