//! The contract at run time: every method, its surface, its access rule and its routes, read from the descriptor set.

use std::{collections::HashMap, sync::Arc};

use anyhow::{Context, Result, bail};
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, ServiceDescriptor};

use crate::proto::{
    DESCRIPTOR_SET,
    google::api::{HttpRule, http_rule::Pattern},
    pulpo::options::v1::{Access, Scheme, access::Rule},
};

/// The surfaces, by the names the contract's options use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SurfaceName {
    /// Integration hub (pullpush).
    Hub,
    /// Deployment platform (pushpaka).
    Deploy,
    /// Content workspace (puppyone).
    Workspace,
    /// Payments (pulse).
    Pay,
    /// Integrations management.
    Integrations,
}

impl SurfaceName {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Hub,
        Self::Deploy,
        Self::Workspace,
        Self::Pay,
        Self::Integrations,
    ];

    /// The name as options and metrics have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::Deploy => "deploy",
            Self::Workspace => "workspace",
            Self::Pay => "pay",
            Self::Integrations => "integrations",
        }
    }

    /// The gRPC path under which requests without a route pass the checks.
    pub fn unmatched(self) -> &'static str {
        match self {
            Self::Hub => "/unmatched/hub",
            Self::Deploy => "/unmatched/deploy",
            Self::Workspace => "/unmatched/workspace",
            Self::Pay => "/unmatched/pay",
            Self::Integrations => "/unmatched/integrations",
        }
    }
}

/// What the layers need to know of a method.
#[derive(Clone, Debug)]
pub struct MethodRule {
    /// `/pulpo.pay.v1.PaymentService/RequestPayment`
    pub path: String,
    /// The surface it belongs to.
    pub surface: SurfaceName,
    /// `pulpo.pay.v1.PaymentService`
    pub service: String,
    /// Who may call it.
    pub access: AccessRule,
    /// Its REST routes: HTTP method and path template.
    pub routes: Vec<(String, String)>,
}

/// Who may call a method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessRule {
    /// Everyone, for this reason.
    Public(String),
    /// Holders of one of these credentials, with this permission unless it is empty.
    Credentials {
        /// Any one of these.
        schemes: Vec<Scheme>,
        /// Empty for none.
        permission: String,
        /// Whether the method confirms in its own transaction that the credential is still good.
        is_confirmed_later: bool,
    },
}

/// The contract.
pub struct Contract {
    /// The descriptors.
    pub pool: DescriptorPool,
    methods: HashMap<String, Arc<MethodRule>>,
}

impl Contract {
    /// Reads the embedded descriptor set.
    pub fn load() -> Result<Self> {
        let pool = DescriptorPool::decode(DESCRIPTOR_SET)
            .context("the embedded descriptor set is damaged")?;
        let mut methods = HashMap::new();
        for service in pool.services() {
            let surface = surface_of(&pool, &service)?;
            for method in service.methods() {
                let rule = rule_of(&pool, surface, &method)
                    .with_context(|| method.full_name().to_owned())?;
                methods.insert(rule.path.clone(), Arc::new(rule));
            }
        }
        for surface in SurfaceName::ALL {
            let rule = unmatched_rule(surface);
            methods.insert(rule.path.clone(), Arc::new(rule));
        }
        Ok(Self { pool, methods })
    }

    /// The rule of a gRPC path. A method without one is not served.
    pub fn method(&self, path: &str) -> Option<&Arc<MethodRule>> {
        self.methods.get(path)
    }

    /// All methods with routes of their own, by path.
    pub fn methods(&self) -> Vec<&MethodRule> {
        let mut rules: Vec<_> = self
            .methods
            .values()
            .map(AsRef::as_ref)
            .filter(|r| !r.path.starts_with("/unmatched/"))
            .collect();
        rules.sort_by(|a, b| a.path.cmp(&b.path));
        rules
    }

    /// The services of a surface.
    pub fn services(&self, surface: SurfaceName) -> Vec<ServiceDescriptor> {
        self.pool
            .services()
            .filter(|s| surface_of(&self.pool, s).is_ok_and(|name| name == surface))
            .collect()
    }
}

/// The payments document asks for a key on every path but /health, and a key is limited and told its limits wherever
/// it is used, so an unknown path asks for one too; the other surfaces answer 404 to everyone.
fn unmatched_rule(surface: SurfaceName) -> MethodRule {
    let access = match surface {
        SurfaceName::Pay => AccessRule::Credentials {
            schemes: vec![Scheme::PaymentKey],
            permission: String::new(),
            is_confirmed_later: false,
        },
        _ => AccessRule::Public("there is nothing here to protect".to_owned()),
    };
    MethodRule {
        path: surface.unmatched().to_owned(),
        surface,
        service: String::new(),
        access,
        routes: Vec::new(),
    }
}

fn surface_of(pool: &DescriptorPool, service: &ServiceDescriptor) -> Result<SurfaceName> {
    let extension = pool
        .get_extension_by_name("pulpo.options.v1.surface")
        .context("no surface option")?;
    let options = service.options();
    let value = options.get_extension(&extension);
    let name = value.as_str().unwrap_or_default();
    SurfaceName::ALL
        .into_iter()
        .find(|surface| surface.as_str() == name)
        .with_context(|| format!("{}: there is no surface {name:?}", service.full_name()))
}

fn rule_of(
    pool: &DescriptorPool,
    surface: SurfaceName,
    method: &MethodDescriptor,
) -> Result<MethodRule> {
    let service = method.parent_service().full_name().to_owned();
    let access: Access = option(pool, method, "pulpo.options.v1.access")?.transcode_to()?;
    let access = match access.rule {
        Some(Rule::Public(reason)) if !reason.is_empty() => AccessRule::Public(reason),
        Some(Rule::Credentials(needed)) if !needed.schemes.is_empty() => AccessRule::Credentials {
            schemes: needed.schemes().collect(),
            permission: needed.permission,
            is_confirmed_later: needed.confirmed_later,
        },
        _ => bail!("the access rule says neither why it is public nor which credential is needed"),
    };
    let mut routes = Vec::new();
    if let Ok(http) = option(pool, method, "google.api.http") {
        let rule: HttpRule = http.transcode_to()?;
        routes.extend(rule.additional_bindings.iter().filter_map(route));
        routes.extend(route(&rule));
    }
    Ok(MethodRule {
        path: format!("/{service}/{}", method.name()),
        surface,
        service,
        access,
        routes,
    })
}

fn option(pool: &DescriptorPool, method: &MethodDescriptor, name: &str) -> Result<DynamicMessage> {
    let extension = pool
        .get_extension_by_name(name)
        .with_context(|| format!("no option {name}"))?;
    let options = method.options();
    if !options.has_extension(&extension) {
        bail!("the option {name} is missing");
    }
    options
        .get_extension(&extension)
        .as_message()
        .cloned()
        .with_context(|| format!("{name} is not a message"))
}

fn route(rule: &HttpRule) -> Option<(String, String)> {
    let (method, path) = match rule.pattern.as_ref()? {
        Pattern::Get(path) => ("GET", path),
        Pattern::Put(path) => ("PUT", path),
        Pattern::Post(path) => ("POST", path),
        Pattern::Delete(path) => ("DELETE", path),
        Pattern::Patch(path) => ("PATCH", path),
        Pattern::Custom(custom) => return Some((custom.kind.clone(), custom.path.clone())),
    };
    Some((method.to_owned(), path.clone()))
}
