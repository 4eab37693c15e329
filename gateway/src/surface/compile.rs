//! From descriptors to routes and their tables.

use http::{Method, Uri, uri::PathAndQuery};
use prost_reflect::{
    DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor, ServiceDescriptor, Value,
};

use super::annotation::{flag, list, number, pattern, string};
use super::{
    Endpoint, Events, FormTarget, Input, MaskBinding, Output, RawPlace, Redirect, Surface,
    SurfaceOptions, UPDATE_MASK,
};
use crate::{
    bind::{BindRule, Binder, Body},
    codec::{Codec, FieldPath, MessageId},
    fault::DetailTypes,
    framing::Framing,
    profile::Unknown,
    router::{Route, RouteFault, RouteMethod, Router},
    template::Template,
};

const HTTP_BODY: &str = "google.api.HttpBody";
const FIELD_MASK: &str = "google.protobuf.FieldMask";

/// A fault of the routes, and whose they are: two that want the same paths may be written alike.
fn told(fault: &RouteFault, endpoints: &[Endpoint]) -> String {
    let RouteFault::Ambiguous { places, .. } = fault else {
        return fault.to_string();
    };
    let [first, second] = places.map(|place| {
        let endpoint = endpoints.get(place);
        endpoint.map_or("", |endpoint| endpoint.uri.path().trim_start_matches('/'))
    });
    format!("{fault}: {first} and {second}")
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
            faults.extend(more.iter().map(|fault| told(fault, &endpoints)));
            faults.clone()
        })?;
        let unmatched = options
            .unmatched
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|e| vec![format!("unmatched: {e}")])?;
        if faults.is_empty() {
            Ok(Self {
                details: DetailTypes::new(pool, options.has_debug_details),
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
            is_streaming: method.is_client_streaming(),
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
        let input = Input {
            is_streaming: method.is_client_streaming(),
            raw: raw_place(
                &method.input(),
                bind.body,
                matches!(binder.body(), Body::None),
            ),
            form: self
                .form(&method.input(), &binder, bind)
                .filter(|form| self.takes_forms(method, form)),
        };
        let output = self.output(method, bind, &binder)?;
        let mask = self.mask(&method.input(), route_method, &binder, bind.body);
        Ok(Endpoint {
            uri,
            input,
            output,
            mask,
            binder,
        })
    }

    fn output(
        &self,
        method: &MethodDescriptor,
        bind: &BindRule<'_>,
        binder: &Binder,
    ) -> Result<Output, Vec<String>> {
        let descriptor = method.output();
        let message = self.known(&descriptor)?;
        let reply = self.extension(method, "pulpo.options.v1.reply");
        let option = |read: &dyn Fn(&DynamicMessage) -> u32| reply.as_ref().map_or(0, read);
        let status = u16::try_from(option(&|r| number(r, "status"))).ok();
        let status = status.filter(|status| *status != 0);
        let is_redirection = |status: &u16| (300..400).contains(status);
        let address = reply
            .as_ref()
            .map(|r| string(r, "redirect"))
            .unwrap_or_default();
        let redirect = redirect_field(&descriptor, &address)?.map(|field| Redirect {
            field,
            status: status.filter(is_redirection).unwrap_or(302),
        });
        let nullable = descriptor
            .get_field_by_name(bind.response_body)
            .filter(|f| f.supports_presence() && !f.is_list())
            .map(|f| f.number());
        // The status of a redirection is none of a reply without an address.
        let ordinary = status.filter(|status| redirect.is_none() || !is_redirection(status));
        Ok(Output {
            is_streaming: method.is_server_streaming(),
            message,
            nullable,
            raw: raw_place(&descriptor, bind.response_body, false),
            status: ordinary.unwrap_or(200),
            is_bare: reply.as_ref().is_some_and(|r| flag(r, "bare")),
            framing: framing(option(&|r| number(r, "framing")))?,
            events: self.events(reply.as_ref(), message)?,
            redirect,
            is_tagged: self.options.has_entity_tags
                && !method.is_server_streaming()
                && binder.body().is_none(),
        })
    }

    fn events(
        &self,
        reply: Option<&DynamicMessage>,
        message: MessageId,
    ) -> Result<Events, Vec<String>> {
        let set = reply.filter(|r| r.has_field_by_name("events"));
        let Some(events) = set.and_then(|r| r.get_field_by_name("events")?.as_message().cloned())
        else {
            return Ok(Events::default());
        };
        let path =
            |option: &str| -> Result<Option<FieldPath>, Vec<String>> {
                let name = string(&events, option);
                if name.is_empty() {
                    return Ok(None);
                }
                match self.codec.field_path(message, &name) {
                    Ok(path) if path.is_repeated() || path.is_map() || path.is_message() => Err(
                        vec![format!("the event {option} '{name}' is not a single value")],
                    ),
                    Ok(path) => Ok(Some(path)),
                    Err(fault) => Err(vec![format!("the event {option}: {fault}")]),
                }
            };
        Ok(Events {
            id: path("id")?,
            name: path("name")?,
            is_plain: flag(&events, "plain"),
        })
    }

    fn known(&self, message: &MessageDescriptor) -> Result<MessageId, Vec<String>> {
        self.codec
            .message(message.full_name())
            .ok_or_else(|| vec![format!("the codec does not know {}", message.full_name())])
    }

    /// Forms are taken where the surface or the method says so, and where a file can be sent.
    fn takes_forms(&self, method: &MethodDescriptor, form: &FormTarget) -> bool {
        let option = self.extension(method, "pulpo.options.v1.body");
        self.options.has_forms || option.is_some_and(|body| flag(&body, "form")) || form.has_files()
    }

    /// The message that a form fills, where the body is an ordinary one.
    fn form(
        &self,
        input: &MessageDescriptor,
        binder: &Binder,
        bind: &BindRule<'_>,
    ) -> Option<FormTarget> {
        let (id, message, within) = match binder.body() {
            Body::None => return None,
            Body::Message(id) => (*id, input.clone(), None),
            Body::Field(path) if path.is_repeated() || path.is_map() => return None,
            Body::Field(_) => {
                let field = input.get_field_by_name(bind.body)?;
                let message = field.kind().as_message()?.clone();
                (
                    self.codec.message(message.full_name())?,
                    message,
                    Some(field.number()),
                )
            }
        };
        if message.full_name().starts_with("google.protobuf.") {
            return None;
        }
        Some(FormTarget {
            id,
            message,
            within,
            is_strict: bind.is_strict,
            compiled: std::sync::OnceLock::new(),
        })
    }

    fn mask(
        &self,
        input: &MessageDescriptor,
        method: &RouteMethod,
        binder: &Binder,
        body: &str,
    ) -> Option<MaskBinding> {
        let field = input.get_field_by_name(UPDATE_MASK)?;
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

/// Where an `HttpBody` stands, in a message or in the body field of it.
fn raw_place(message: &MessageDescriptor, field: &str, is_bodiless: bool) -> Option<RawPlace> {
    if matches!(field, "" | "*") {
        let is_raw = message.full_name() == HTTP_BODY && !is_bodiless;
        return is_raw.then_some(RawPlace::Message);
    }
    let field = message.get_field_by_name(field)?;
    let is_raw = field
        .kind()
        .as_message()
        .is_some_and(|m| m.full_name() == HTTP_BODY)
        && !field.is_list();
    is_raw.then(|| RawPlace::Field(field.number()))
}

fn framing(number: u32) -> Result<Option<Framing>, Vec<String>> {
    Ok(Some(match number {
        0 => return Ok(None),
        1 => Framing::Array,
        2 => Framing::Ndjson,
        3 => Framing::Events,
        4 => Framing::WebSocket,
        other => return Err(vec![format!("there is no framing {other}")]),
    }))
}

fn redirect_field(message: &MessageDescriptor, name: &str) -> Result<Option<u32>, Vec<String>> {
    if name.is_empty() {
        return Ok(None);
    }
    match message.get_field_by_name(name) {
        Some(field) if field.kind() == prost_reflect::Kind::String && !field.is_list() => {
            Ok(Some(field.number()))
        }
        _ => Err(vec![format!("the redirect '{name}' is not a string field")]),
    }
}
