//! The routes of a surface, as its services' `google.api.http` options give them.

use std::collections::BTreeMap;

use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
    ServiceDescriptor, Value,
};

use crate::{
    codec::FieldPath,
    router::RouteMethod,
    surface::{Endpoint, Surface, list, pattern, string},
    template::Template,
};

/// One binding of one method.
pub(super) struct Route<'s> {
    pub(super) method: MethodDescriptor,
    pub(super) http: RouteMethod,
    pub(super) template: Template,
    /// What serves it.
    pub(super) endpoint: &'s Endpoint,
    /// `body` of the rule.
    pub(super) body: String,
    /// `response_body` of the rule.
    pub(super) response_body: String,
    /// Unique among the routes.
    pub(super) operation_id: String,
    /// Statuses besides that of success under which the same body may come.
    pub(super) other_statuses: Vec<u16>,
    /// The service's name, unique among the services.
    pub(super) tag: String,
}

/// All routes in the order of the services, which is that of the surface's endpoints.
pub(super) fn routes<'s>(
    surface: &'s Surface,
    pool: &DescriptorPool,
    services: &[ServiceDescriptor],
) -> Vec<Route<'s>> {
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    for service in services {
        *uses.entry(service.name().to_owned()).or_default() += 1;
    }
    let mut endpoints = surface.endpoints.iter();
    let mut routes = Vec::new();
    for service in services {
        let tag = match uses.get(service.name()) {
            Some(1) => service.name(),
            _ => service.full_name(),
        };
        for method in service.methods() {
            let Some(main) = option(pool, &method, "google.api.http") else {
                continue;
            };
            let reply = option(pool, &method, "pulpo.options.v1.reply");
            let more = list(&main, "additional_bindings");
            let more = more.iter().filter_map(Value::as_message);
            for (index, rule) in std::iter::once(&main).chain(more).enumerate() {
                let mut operation_id = format!("{}_{}", tag.replace('.', "_"), method.name());
                if index > 0 {
                    operation_id.push_str(&format!("_{}", index + 1));
                }
                // A surface that compiled has an endpoint for every rule.
                if let (Some(endpoint), Some((http, template))) = (endpoints.next(), parsed(rule)) {
                    routes.push(Route {
                        method: method.clone(),
                        http,
                        template,
                        endpoint,
                        body: string(rule, "body"),
                        response_body: string(rule, "response_body"),
                        operation_id,
                        other_statuses: reply.as_ref().map(other_statuses).unwrap_or_default(),
                        tag: tag.to_owned(),
                    });
                }
            }
        }
    }
    routes
}

fn parsed(rule: &DynamicMessage) -> Option<(RouteMethod, Template)> {
    let (http, text) = pattern(rule)?;
    Some((http, Template::parse(&text).ok()?))
}

fn other_statuses(reply: &DynamicMessage) -> Vec<u16> {
    let given = list(reply, "other_statuses");
    let given = given.iter().filter_map(Value::as_u32);
    given
        .filter_map(|status| u16::try_from(status).ok())
        .collect()
}

fn option(pool: &DescriptorPool, method: &MethodDescriptor, name: &str) -> Option<DynamicMessage> {
    let extension = pool.get_extension_by_name(name)?;
    let options = method.options();
    if !options.has_extension(&extension) {
        return None;
    }
    options.get_extension(&extension).as_message().cloned()
}

impl Route<'_> {
    /// The surface's name of a field of the request.
    pub(super) fn printed(&self, surface: &Surface, path: &str) -> String {
        let codec = &surface.codec;
        let input = codec.message(self.method.input().full_name());
        let found = input.and_then(|id| codec.field_path(id, path).ok());
        found.map_or_else(|| path.to_owned(), |found| found.name().to_owned())
    }

    /// The field of the request that a path in proto names leads to.
    pub(super) fn input_field(&self, path: &str) -> Option<FieldDescriptor> {
        let mut message = self.method.input();
        let mut found = None;
        for name in path.split('.') {
            let field = message.get_field_by_name(name)?;
            if let Kind::Message(next) = field.kind() {
                message = next;
            }
            found = Some(field);
        }
        found
    }

    /// The field of the request that a compiled path leads to.
    pub(super) fn bound_field(
        &self,
        surface: &Surface,
        path: &FieldPath,
    ) -> Option<FieldDescriptor> {
        descend(self.method.input(), &surface.codec.field_numbers(path))
    }

    /// Whether a compiled path leads through one message twice.
    pub(super) fn recurs(&self, surface: &Surface, path: &FieldPath) -> bool {
        recurs(self.method.input(), &surface.codec.field_numbers(path))
    }

    /// The fields that the path fills, each by the numbers that lead to it.
    pub(super) fn path_fields(&self, surface: &Surface) -> Vec<Vec<u32>> {
        let codec = &surface.codec;
        let Some(input) = codec.message(self.method.input().full_name()) else {
            return Vec::new();
        };
        let variables = self.template.variables().iter();
        let found = variables.filter_map(|v| codec.field_path(input, &v.field).ok());
        found.map(|path| codec.field_numbers(&path)).collect()
    }

    /// The field that is the body of the request or of the reply.
    pub(super) fn field_of(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
        message
            .get_field_by_name(name)
            .or_else(|| message.get_field_by_json_name(name))
    }
}

/// Whether these steps lead through one message twice.
pub(super) fn recurs(mut message: MessageDescriptor, numbers: &[u32]) -> bool {
    let mut passed = vec![message.full_name().to_owned()];
    for number in numbers {
        let Some(Kind::Message(next)) = message.get_field(*number).map(|field| field.kind()) else {
            return false;
        };
        if passed.iter().any(|name| name == next.full_name()) {
            return true;
        }
        passed.push(next.full_name().to_owned());
        message = next;
    }
    false
}

/// The field that these steps lead to.
pub(super) fn descend(mut message: MessageDescriptor, numbers: &[u32]) -> Option<FieldDescriptor> {
    let (last, outer) = numbers.split_last()?;
    for number in outer {
        let Kind::Message(next) = message.get_field(*number)?.kind() else {
            return None;
        };
        message = next;
    }
    message.get_field(*last)
}
