//! One operation: what it takes.

use std::collections::BTreeMap;

use prost_reflect::{DescriptorPool, FieldDescriptor};
use serde_json::{Map, Value, json};

use super::{
    Description, Side,
    behaviour::Behaviour,
    comments::Comments,
    errors::{Errors, SCHEMA, Traits},
    examples,
    form::Filled,
    path::{Path, PathParameter},
    reply::{LINES, text_of},
    route::Route,
    schema::{Schemas, pointer},
    security,
};
use crate::{bind::Body, framing::Framing, surface::Surface};

pub(super) struct Operations<'a> {
    pub(super) surface: &'a Surface,
    pub(super) pool: &'a DescriptorPool,
    pub(super) comments: &'a Comments,
    pub(super) schemas: &'a Schemas<'a>,
    pub(super) errors: &'a Errors,
    pub(super) description: &'a Description,
    /// All schemas; those of request bodies without their bound fields come in as routes are described.
    pub(super) components: BTreeMap<String, Value>,
    /// The security schemes in use.
    pub(super) schemes: Vec<String>,
}

impl Operations<'_> {
    /// The operation of a route; `variant` tells several operations of one route apart.
    pub(super) fn operation(
        &mut self,
        route: &Route<'_>,
        path: &Path,
        variant: Option<&str>,
    ) -> Value {
        let file = route.method.parent_file();
        let comment = self
            .comments
            .at(file.file_descriptor_proto(), route.method.path());
        let mut operation = Map::new();
        let mut put = |name: &str, value: Value| drop(operation.insert(name.to_owned(), value));
        put("tags", json!([route.tag]));
        if !comment.text.is_empty() {
            put("summary", comment.summary().into());
        }
        let access = security::access(self.pool, &route.method, &self.description.credentials);
        let mut text = comment.text.clone();
        if let Some(access) = access
            .as_ref()
            .filter(|access| !access.permission.is_empty())
        {
            let sentence = format!("Needs the permission `{}`.", access.permission);
            text = [text, sentence].join("\n\n").trim().to_owned();
        }
        if !text.is_empty() {
            put("description", text.into());
        }
        let id = &route.operation_id;
        put(
            "operationId",
            variant
                .map_or_else(|| id.clone(), |v| format!("{id}_{v}"))
                .into(),
        );
        let options = route.method.method_descriptor_proto().options.as_ref();
        if options.is_some_and(|options| options.deprecated()) {
            put("deprecated", true.into());
        }
        let parameters = self.parameters(route, path);
        let body = self.request_body(route);
        let traits = self.traits(route, path, &parameters, access.as_ref());
        if !parameters.is_empty() {
            put("parameters", parameters.into());
        }
        if let Some(body) = body {
            put("requestBody", body);
        }
        put("responses", self.responses(route, traits));
        let told = access.filter(|a| !a.needs_credential || !a.requirements.is_empty());
        if let Some(access) = told {
            for requirement in access.requirements.iter().filter_map(Value::as_object) {
                self.schemes.extend(requirement.keys().cloned());
            }
            put("security", access.requirements.into());
        }
        operation.into()
    }

    fn traits(
        &self,
        route: &Route<'_>,
        path: &Path,
        parameters: &[Value],
        access: Option<&security::Access>,
    ) -> Traits {
        let has_body = !matches!(route.endpoint.binder.body(), Body::None);
        let is_raw = route.endpoint.input.raw.is_some();
        Traits {
            has_input: has_body || !parameters.is_empty(),
            has_body,
            has_json_body: has_body && !is_raw,
            has_path_parameters: path.parameters().next().is_some(),
            is_change: !matches!(route.http.to_string().as_str(), "GET" | "HEAD"),
            needs_credential: self.needs_credential(access),
            replies_json: route.endpoint.output.raw.is_none(),
        }
    }

    /// Where no access rule says it, the document as a whole does: `{}` among its requirements is nothing.
    fn needs_credential(&self, access: Option<&security::Access>) -> bool {
        let general = &self.description.security.requirements;
        let is_nothing = |requirement: &Value| requirement.as_object().is_none_or(Map::is_empty);
        match access {
            Some(access) => access.needs_credential,
            None => !general.is_empty() && !general.iter().any(is_nothing),
        }
    }

    fn responses(&self, route: &Route<'_>, traits: Traits) -> Value {
        let mut all: BTreeMap<u16, Value> = self.successes(route).into_iter().collect();
        for status in &route.other_statuses {
            // What the services say of themselves under this status, or that they could not be asked.
            let mut content = self.content(route);
            if let Some(schema) = content.pointer_mut("/application~1json/schema") {
                *schema = json!({ "anyOf": [schema.clone(), { "$ref": pointer(SCHEMA) }] });
            }
            let text = "The same report as on success, or an error.";
            all.insert(*status, json!({ "description": text, "content": content }));
        }
        for (status, error) in self.errors.of(traits) {
            all.entry(status).or_insert(error);
        }
        let all = all
            .into_iter()
            .map(|(status, reply)| (status.to_string(), reply));
        let mut all: Map<String, Value> = all.collect();
        all.insert("default".to_owned(), self.errors.other());
        all.into()
    }

    fn parameters(&self, route: &Route<'_>, path: &Path) -> Vec<Value> {
        let mut parameters: Vec<Value> = path
            .parameters()
            .map(|parameter| self.path_parameter(route, parameter))
            .collect();
        for field in route.endpoint.binder.query_fields() {
            // What lies in a message within itself is taken, but would be listed over and over.
            let found = route.bound_field(self.surface, field);
            if let Some(found) = found.filter(|_| !route.recurs(self.surface, field)) {
                parameters.push(self.parameter("query", field.name(), &found));
            }
        }
        for header in route.endpoint.binder.headers() {
            if let Some(found) = route.bound_field(self.surface, &header.field) {
                parameters.push(self.parameter("header", header.name.as_str(), &found));
            }
        }
        parameters
    }

    fn path_parameter(&self, route: &Route<'_>, parameter: &PathParameter) -> Value {
        let field = parameter
            .field
            .as_ref()
            .and_then(|field| route.input_field(field));
        let mut described = match &field {
            Some(field) if parameter.is_whole && !parameter.is_rest => {
                self.parameter("path", &parameter.name, field)
            }
            _ => json!({ "name": parameter.name, "in": "path", "schema": { "type": "string" } }),
        };
        described["required"] = true.into();
        if !parameter.is_whole || parameter.is_rest {
            let mut text = match &parameter.field {
                Some(field) => format!(
                    "Part of `{field}`, which the path gives as `{}`.",
                    route.template.text()
                ),
                None => "Any segment.".to_owned(),
            };
            if parameter.is_rest {
                text = "The rest of the path: it may have slashes, which are sent as they are, and may be empty.".to_owned();
                described["x-multi-segment"] = true.into();
            }
            described["description"] = text.into();
        }
        described
    }

    fn parameter(&self, place: &str, name: &str, field: &FieldDescriptor) -> Value {
        let mut schema = self.schemas.value(field, Side::Request);
        self.schemas.annotate(field, &mut schema);
        let mut parameter = json!({ "name": name, "in": place });
        // What is said of the field is said of the parameter; the schema keeps what is said of its type.
        if let Some(members) = schema.as_object_mut() {
            for keyword in ["description", "deprecated"] {
                if let Some(value) = members.shift_remove(keyword) {
                    parameter[keyword] = value;
                }
            }
        }
        if Behaviour::of(field).is_required {
            parameter["required"] = true.into();
        }
        if field.is_map() {
            parameter["style"] = "deepObject".into();
            parameter["explode"] = true.into();
        }
        parameter["schema"] = schema;
        parameter
    }

    fn request_body(&mut self, route: &Route<'_>) -> Option<Value> {
        let input = route.method.input();
        if route.endpoint.input.raw.is_some() {
            let mut body = json!({ "content": { "*/*": { "schema": binary() } } });
            if let Some(field) = Route::field_of(&input, &route.body) {
                let mut described = json!({});
                self.schemas.annotate(&field, &mut described);
                if let Some(text) = described.get("description") {
                    body["description"] = text.clone();
                }
            }
            return Some(body);
        }
        let (schema, is_required) = match route.endpoint.binder.body() {
            Body::None => return None,
            Body::Message(_) => self.message_body(route),
            Body::Field(path) => {
                let field = route.bound_field(self.surface, path)?;
                (self.schemas.value(&field, Side::Request), true)
            }
        };
        Some(json!({ "required": is_required, "content": self.taken(route, schema) }))
    }

    /// The media types a body is taken in.
    fn taken(&mut self, route: &Route<'_>, schema: Value) -> Value {
        let input = &route.endpoint.input;
        let example = examples(&self.components).of(&schema, Side::Request);
        let media = |schema: Value, example: Option<Value>| {
            let mut media = json!({ "schema": schema });
            if let Some(example) = example {
                media["example"] = example;
            }
            media
        };
        let mut content = Map::new();
        let mut put = |name: &str, media: Value| drop(content.insert(name.to_owned(), media));
        if input.is_streaming {
            let list = json!({ "type": "array", "items": schema });
            let examples = example.map(|example| json!([example]));
            put("application/json", media(list, examples));
            put("application/x-ndjson", text_of(&schema, LINES));
        } else {
            put("application/json", media(schema, example));
        }
        // What a WebSocket says is no body.
        let is_socket = route.endpoint.output.framing == Some(Framing::WebSocket);
        if let Some(form) = input.form.as_ref().filter(|_| !is_socket) {
            if !input.is_streaming {
                let texts = self.form(route, form, Filled::ByTexts);
                put("application/x-www-form-urlencoded", texts);
            }
            let files = self.form(route, form, Filled::ByFiles);
            put("multipart/form-data", files);
        }
        content.into()
    }

    /// The whole message but for what the path fills. A request without a body is an empty object, so a body that has
    /// nothing to say need not be there.
    fn message_body(&mut self, route: &Route<'_>) -> (Value, bool) {
        let input = route.method.input();
        let bound: Vec<u32> = route
            .template
            .variables()
            .iter()
            .filter_map(|variable| input.get_field_by_name(&variable.field))
            .map(|field| field.number())
            .collect();
        let is_empty = input.fields().all(|field| bound.contains(&field.number()));
        if bound.is_empty() {
            return (self.schemas.reference(&input, Side::Request), !is_empty);
        }
        let schema = self.schemas.message_without(&input, Side::Request, &bound);
        let name = self.schemas.component_of(&input, Side::Request);
        (self.named(format!("{name}Body"), schema), !is_empty)
    }

    /// The reference to a schema, which becomes a component; with a number behind its name where another has that one.
    pub(super) fn named(&mut self, first: String, schema: Value) -> Value {
        let mut name = first.clone();
        let mut number = 1;
        while self
            .components
            .get(&name)
            .is_some_and(|other| *other != schema)
        {
            number += 1;
            name = format!("{first}{number}");
        }
        let reference = json!({ "$ref": pointer(&name) });
        self.components.insert(name, schema);
        reference
    }
}

/// Bytes as they are.
pub(super) fn binary() -> Value {
    json!({ "type": "string", "format": "binary" })
}
