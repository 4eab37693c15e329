//! A surface: the REST face of some services, compiled from their descriptors.

use std::{sync::Arc, time::Duration};

use http::{Method, Uri, uri::PathAndQuery};
use prost_reflect::{
    DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor, ReflectMessage,
    ServiceDescriptor, Value,
};

use crate::{
    bind::{BindRule, Binder, Body},
    codec::{Codec, FieldPath, MessageId},
    fault::ErrorFormat,
    profile::{JsonProfile, Unknown},
    router::{Route, RouteMethod, Router},
    template::Template,
};

const HTTP_BODY: &str = "google.api.HttpBody";
const FIELD_MASK: &str = "google.protobuf.FieldMask";

/// What a surface is, besides its routes.
pub struct SurfaceOptions {
    /// For logs and metrics.
    pub name: &'static str,
    /// How its JSON looks.
    pub profile: JsonProfile,
    /// What stands around the data of a successful reply.
    pub envelope: Option<Envelope>,
    /// How its errors look.
    pub errors: Arc<dyn ErrorFormat>,
    /// Longest request body.
    pub max_body_bytes: usize,
    /// How long a request body may take to arrive.
    pub body_timeout: Duration,
    /// The gRPC path that requests without a route are sent to, with their [`crate::fault::Fault`] as an extension,
    /// so that checks apply to them too. Without it they are answered at once.
    pub unmatched: Option<&'static str>,
}

/// Text around the data of a successful reply.
#[derive(Clone, Copy, Debug)]
pub struct Envelope {
    /// Before the data.
    pub prefix: &'static str,
    /// What stands for data that is absent.
    pub absent: &'static str,
    /// After the data.
    pub suffix: &'static str,
}

/// The compiled surface.
pub struct Surface {
    pub(crate) options: SurfaceOptions,
    pub(crate) codec: Codec,
    pub(crate) router: Router<usize>,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) unmatched: Option<Uri>,
}

/// One route of one method.
pub(crate) struct Endpoint {
    pub(crate) uri: Uri,
    pub(crate) binder: Binder,
    pub(crate) response: MessageId,
    /// The response is this field when it is there, and null when it is not.
    pub(crate) response_number: Option<u32>,
    /// 2xx of a successful reply.
    pub(crate) status: u16,
    pub(crate) is_bare: bool,
    /// The number of the request field that takes the body as it is.
    pub(crate) raw_request: Option<u32>,
    /// The number of the response field that is the body as it is.
    pub(crate) raw_response: Option<u32>,
    pub(crate) mask: Option<MaskBinding>,
}

/// A mask filled from the keys of a PATCH body.
pub(crate) struct MaskBinding {
    pub(crate) body: Option<FieldPath>,
    pub(crate) message: MessageId,
    /// The number of the mask field in the request.
    pub(crate) number: u32,
}

impl Surface {
    /// Compiles the routes of `services`. All faults are listed.
    pub fn compile(
        pool: &DescriptorPool,
        services: &[ServiceDescriptor],
        options: SurfaceOptions,
    ) -> Result<Self, Vec<String>> {
        let methods: Vec<MethodDescriptor> = services
            .iter()
            .flat_map(|s| s.methods().collect::<Vec<_>>())
            .collect();
        let roots = methods.iter().flat_map(|m| [m.input(), m.output()]);
        let codec = Codec::new(pool, options.profile.clone(), roots);
        let mut compiler = Compiler {
            pool,
            codec: &codec,
            options: &options,
            endpoints: Vec::new(),
            routes: Vec::new(),
        };
        let mut faults = Vec::new();
        for method in &methods {
            if let Err(more) = compiler.method(method) {
                faults.extend(
                    more.into_iter()
                        .map(|fault| format!("{}: {fault}", method.full_name())),
                );
            }
        }
        let (endpoints, routes) = (compiler.endpoints, compiler.routes);
        let router = Router::new(routes).map_err(|more| {
            faults.extend(more.iter().map(ToString::to_string));
            faults.clone()
        })?;
        let unmatched = options
            .unmatched
            .map(str::parse)
            .transpose()
            .map_err(|e| vec![format!("unmatched: {e}")])?;
        if faults.is_empty() {
            Ok(Self {
                options,
                codec,
                router,
                endpoints,
                unmatched,
            })
        } else {
            Err(faults)
        }
    }

    /// The name it was given.
    pub fn name(&self) -> &'static str {
        self.options.name
    }
}

struct Compiler<'a> {
    pool: &'a DescriptorPool,
    codec: &'a Codec,
    options: &'a SurfaceOptions,
    endpoints: Vec<Endpoint>,
    routes: Vec<Route<usize>>,
}

impl Compiler<'_> {
    fn method(&mut self, method: &MethodDescriptor) -> Result<(), Vec<String>> {
        let Some(rule) = self.extension(method, "google.api.http") else {
            return Ok(());
        };
        if method.is_client_streaming() || method.is_server_streaming() {
            return Err(vec!["streaming methods have no REST route".to_owned()]);
        }
        self.rule(method, &rule)?;
        for value in list(&rule, "additional_bindings") {
            if let Value::Message(more) = value {
                self.rule(method, &more)?;
            }
        }
        Ok(())
    }

    fn rule(
        &mut self,
        method: &MethodDescriptor,
        rule: &DynamicMessage,
    ) -> Result<(), Vec<String>> {
        let (route_method, text) =
            pattern(rule).ok_or_else(|| vec!["the http rule has no pattern".to_owned()])?;
        let template = Template::parse(&text).map_err(|fault| vec![format!("{text}: {fault}")])?;
        let bind = BindRule {
            template: &template,
            body: &string(rule, "body"),
            response_body: &string(rule, "response_body"),
            is_strict: self.options.profile.unknown_fields == Unknown::Refuse,
        };
        let binder = Binder::compile(self.codec, &method.input(), &method.output(), &bind)
            .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let endpoint = self.endpoint(method, &route_method, binder, &bind)?;
        self.routes.push(Route {
            method: route_method,
            template: text,
            target: self.endpoints.len(),
        });
        self.endpoints.push(endpoint);
        Ok(())
    }

    fn endpoint(
        &self,
        method: &MethodDescriptor,
        route_method: &RouteMethod,
        binder: Binder,
        bind: &BindRule<'_>,
    ) -> Result<Endpoint, Vec<String>> {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let uri = PathAndQuery::try_from(path)
            .map(Uri::from)
            .map_err(|e| vec![e.to_string()])?;
        let output = method.output();
        let response = self
            .codec
            .message(output.full_name())
            .ok_or_else(|| vec![format!("the codec does not know {}", output.full_name())])?;
        let reply = self.extension(method, "pulpo.options.v1.reply");
        let status = reply.as_ref().map_or(0, |r| number(r, "status"));
        let mask = self.mask(&method.input(), route_method, &binder, bind.body);
        let response_field = output.get_field_by_name(bind.response_body);
        Ok(Endpoint {
            uri,
            response,
            response_number: response_field
                .as_ref()
                .filter(|f| f.supports_presence() && !f.is_list())
                .map(prost_reflect::FieldDescriptor::number),
            status: u16::try_from(status)
                .ok()
                .filter(|s| *s != 0)
                .unwrap_or(200),
            is_bare: reply.as_ref().is_some_and(|r| flag(r, "bare")),
            raw_request: raw_field(&method.input(), bind.body),
            raw_response: raw_field(&output, bind.response_body),
            mask,
            binder,
        })
    }

    fn mask(
        &self,
        input: &MessageDescriptor,
        method: &RouteMethod,
        binder: &Binder,
        body: &str,
    ) -> Option<MaskBinding> {
        let field = input.get_field_by_name("update_mask")?;
        let is_mask = field
            .kind()
            .as_message()
            .is_some_and(|m| m.full_name() == FIELD_MASK);
        if !is_mask || !matches!(method, RouteMethod::Only(m) if *m == Method::PATCH) {
            return None;
        }
        let (path, message) = match binder.body() {
            Body::None => return None,
            Body::Message(id) => (None, *id),
            Body::Field(path) => {
                let kind = input.get_field_by_name(body)?.kind();
                let id = self.codec.message(kind.as_message()?.full_name())?;
                (Some(path.clone()), id)
            }
        };
        Some(MaskBinding {
            body: path,
            message,
            number: field.number(),
        })
    }

    fn extension(&self, method: &MethodDescriptor, name: &str) -> Option<DynamicMessage> {
        let extension = self.pool.get_extension_by_name(name)?;
        let options = method.options();
        if !options.has_extension(&extension) {
            return None;
        }
        options.get_extension(&extension).as_message().cloned()
    }
}

/// The field's number when it is an `HttpBody`.
fn raw_field(message: &MessageDescriptor, name: &str) -> Option<u32> {
    let field = message.get_field_by_name(name)?;
    let is_raw = field
        .kind()
        .as_message()
        .is_some_and(|m| m.full_name() == HTTP_BODY)
        && !field.is_list();
    is_raw.then(|| field.number())
}

fn pattern(rule: &DynamicMessage) -> Option<(RouteMethod, String)> {
    let methods = [
        ("get", Method::GET),
        ("put", Method::PUT),
        ("post", Method::POST),
        ("delete", Method::DELETE),
        ("patch", Method::PATCH),
    ];
    for (field, method) in methods {
        if rule.has_field_by_name(field) {
            return Some((RouteMethod::Only(method), string(rule, field)));
        }
    }
    let custom = rule.get_field_by_name("custom")?.as_message()?.clone();
    let kind = string(&custom, "kind");
    let method = if kind == "*" {
        RouteMethod::Any
    } else {
        RouteMethod::Only(kind.parse().ok()?)
    };
    Some((method, string(&custom, "path")))
}

fn string(message: &DynamicMessage, field: &str) -> String {
    message
        .get_field_by_name(field)
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn number(message: &DynamicMessage, field: &str) -> u32 {
    message
        .get_field_by_name(field)
        .and_then(|v| v.as_u32())
        .unwrap_or_default()
}

fn flag(message: &DynamicMessage, field: &str) -> bool {
    message
        .get_field_by_name(field)
        .and_then(|v| v.as_bool())
        .unwrap_or_default()
}

fn list(message: &DynamicMessage, field: &str) -> Vec<Value> {
    if message.descriptor().get_field_by_name(field).is_none() {
        return Vec::new();
    }
    message
        .get_field_by_name(field)
        .and_then(|v| v.as_list().map(<[Value]>::to_vec))
        .unwrap_or_default()
}
