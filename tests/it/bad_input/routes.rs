//! Every route of the contract, with what its request may hold: the list cannot forget one.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use pulpo::{
    contract::{AccessRule, Contract, SurfaceName},
    proto::pulpo::options::v1::Scheme,
};
use serde_json::{Value, json};

/// One route.
pub(super) struct Route {
    pub(super) surface: SurfaceName,
    pub(super) method: String,
    pub(super) template: String,
    pub(super) schemes: Vec<Scheme>,
    pub(super) request: MessageDescriptor,
}

impl Route {
    /// All of them.
    pub(super) fn all() -> Vec<Self> {
        let contract = Contract::load().unwrap();
        let mut routes = Vec::new();
        for rule in contract.methods() {
            let service = contract.pool.get_service_by_name(&rule.service).unwrap();
            let name = rule.path.rsplit('/').next().unwrap();
            let method = service.methods().find(|m| m.name() == name).unwrap();
            let schemes = match &rule.access {
                AccessRule::Public(_) => Vec::new(),
                AccessRule::Credentials { schemes, .. } => schemes.clone(),
            };
            for (http_method, template) in &rule.routes {
                routes.push(Self {
                    surface: rule.surface,
                    method: http_method.clone(),
                    template: template.clone(),
                    schemes: schemes.clone(),
                    request: method.input(),
                });
            }
        }
        assert!(!routes.is_empty());
        routes
    }

    /// For messages.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.template)
    }

    /// Whether it takes a JSON body.
    pub(super) fn takes_json(&self) -> bool {
        matches!(self.method.as_str(), "POST" | "PUT" | "PATCH") && !self.is_raw()
    }

    /// Whether the body is taken as the bytes it is.
    pub(super) fn is_raw(&self) -> bool {
        self.request
            .fields()
            .any(|f| is_message(&f, "google.api.HttpBody"))
    }

    /// The names in the path template.
    pub(super) fn parameters(&self) -> Vec<&str> {
        self.template
            .split('{')
            .skip(1)
            .filter_map(|rest| rest.split('}').next())
            .collect()
    }

    /// The path with a value for each name.
    pub(super) fn path(&self, value: impl Fn(&str) -> String) -> String {
        let mut path = self.template.clone();
        for name in self.parameters() {
            path = path.replace(&format!("{{{name}}}"), &value(name));
        }
        path
    }

    /// The fields that come with the body (or, without one, with the query), under the names the surface prints.
    pub(super) fn fields(&self) -> Vec<(String, FieldDescriptor)> {
        let in_path = self.parameters();
        // A body that is one field of the request: the change of a policy, an endpoint or an agent.
        let inner = self
            .request
            .fields()
            .find(|f| matches!(f.name(), "policy" | "webhook" | "agent"))
            .filter(|_| self.name().starts_with("PATCH "))
            .and_then(|field| match field.kind() {
                Kind::Message(message) => Some(message),
                _ => None,
            });
        let holder = inner.unwrap_or_else(|| self.request.clone());
        let fields: Vec<FieldDescriptor> = holder.fields().collect();
        let fields = fields.into_iter().filter(|f| !in_path.contains(&f.name()));
        fields.map(|f| (self.printed(&f), f)).collect()
    }

    fn printed(&self, field: &FieldDescriptor) -> String {
        match self.surface {
            SurfaceName::Hub | SurfaceName::Integrations => field.json_name().to_owned(),
            _ => field.name().to_owned(),
        }
    }
}

/// Whether the field is a message of this type.
pub(super) fn is_message(field: &FieldDescriptor, full_name: &str) -> bool {
    matches!(field.kind(), Kind::Message(message) if message.full_name() == full_name)
}

/// A value no field of this type takes; none where every value is of the right type.
pub(super) fn wrong_value(field: &FieldDescriptor) -> Option<Value> {
    if is_message(field, "pulpo.type.v1.Json") {
        return None;
    }
    if field.is_list() || field.is_map() {
        return Some(json!("not a list"));
    }
    Some(match field.kind() {
        Kind::String | Kind::Bytes => json!(42),
        Kind::Bool => json!("yes"),
        Kind::Message(_) => json!([["no message"]]),
        _ => json!({"not": "a number"}),
    })
}
