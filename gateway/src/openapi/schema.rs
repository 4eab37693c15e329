//! Schemas of messages, as the surface's profile reads and prints them.
//!
//! A message has one schema for requests and one for responses: only a response says which members are always there,
//! and what is null differs. Where the two are the same, also in everything they refer to, there is one component;
//! otherwise the one for requests has `Input` behind its name, and a number where another has that name.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor};
use serde_json::{Map, Value, json};

use super::{
    Side,
    behaviour::Behaviour,
    comments::Comments,
    known, names,
    reach::{fields, messages_of, reachable, value_kind},
};
use crate::{
    codec::{Codec, describe::FieldFacts},
    profile::{JsonProfile, Unknown},
};

const NULL_VALUE: &str = "google.protobuf.NullValue";

pub(super) struct Schemas<'a> {
    codec: &'a Codec,
    profile: &'a JsonProfile,
    comments: &'a Comments,
    /// Component names by full name.
    names: BTreeMap<String, String>,
    /// Component names by full name of messages whose schema for requests is not the one for responses.
    inputs: BTreeMap<String, String>,
    requests: BTreeMap<String, MessageDescriptor>,
    responses: BTreeMap<String, MessageDescriptor>,
    /// With the field that shows how its values are printed.
    enums: BTreeMap<String, FieldDescriptor>,
}

impl<'a> Schemas<'a> {
    /// The schemas of everything that can be reached from the inputs and outputs.
    pub(super) fn new(
        codec: &'a Codec,
        profile: &'a JsonProfile,
        comments: &'a Comments,
        inputs: &[MessageDescriptor],
        outputs: &[MessageDescriptor],
    ) -> Self {
        let mut schemas = Self {
            codec,
            profile,
            comments,
            names: BTreeMap::new(),
            inputs: BTreeMap::new(),
            requests: reachable(inputs),
            responses: reachable(outputs),
            enums: BTreeMap::new(),
        };
        for message in schemas.requests.values().chain(schemas.responses.values()) {
            for field in message.fields() {
                if let Kind::Enum(found) = value_kind(&field) {
                    schemas.enums.insert(found.full_name().to_owned(), field);
                }
            }
        }
        let messages = schemas.requests.keys().chain(schemas.responses.keys());
        let all = messages.chain(schemas.enums.keys()).map(String::as_str);
        schemas.names = names::short(all);
        schemas.inputs = names::inputs(&schemas.names, &schemas.differing());
        schemas
    }

    /// Messages that differ in themselves, and then all that refer to them.
    fn differing(&self) -> BTreeSet<String> {
        let both = || {
            self.requests
                .iter()
                .filter(|(name, _)| self.responses.contains_key(*name))
        };
        let mut split: BTreeSet<String> = both()
            .filter(|(_, m)| self.message(m, Side::Request) != self.message(m, Side::Response))
            .map(|(name, _)| name.clone())
            .collect();
        loop {
            let more: Vec<String> = both()
                .filter(|(name, _)| !split.contains(*name))
                .filter(|(_, m)| messages_of(m).any(|used| split.contains(used.full_name())))
                .map(|(name, _)| name.clone())
                .collect();
            if more.is_empty() {
                return split;
            }
            split.extend(more);
        }
    }

    /// Every component, by name.
    pub(super) fn components(&self) -> BTreeMap<String, Value> {
        let mut components = BTreeMap::new();
        for (side, messages) in [
            (Side::Response, &self.responses),
            (Side::Request, &self.requests),
        ] {
            for message in messages.values() {
                let name = self.component(message.full_name(), side);
                components
                    .entry(name)
                    .or_insert_with(|| self.message(message, side));
            }
        }
        for (name, field) in &self.enums {
            if let Kind::Enum(descriptor) = value_kind(field) {
                let schema = self.enumeration(&descriptor, field);
                components.insert(self.component(name, Side::Response), schema);
            }
        }
        components
    }

    fn component(&self, full_name: &str, side: Side) -> String {
        let input = self.inputs.get(full_name);
        let name = input.filter(|_| side == Side::Request);
        let name = name.or_else(|| self.names.get(full_name));
        name.map_or(full_name, String::as_str).to_owned()
    }

    /// The name of a message's component.
    pub(super) fn component_of(&self, message: &MessageDescriptor, side: Side) -> String {
        self.component(message.full_name(), side)
    }

    /// A reference to a message's schema, or the schema itself where it has a form of its own.
    pub(super) fn reference(&self, message: &MessageDescriptor, side: Side) -> Value {
        known::message(message.full_name(), side, self.profile).unwrap_or_else(
            || json!({ "$ref": pointer(&self.component(message.full_name(), side)) }),
        )
    }

    /// The schema of an ordinary message.
    fn message(&self, message: &MessageDescriptor, side: Side) -> Value {
        self.message_without(message, side, &[])
    }

    /// The schema of an ordinary message without some of its fields, by number.
    pub(super) fn message_without(
        &self,
        message: &MessageDescriptor,
        side: Side,
        left_out: &[u32],
    ) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in fields(message).filter(|field| !left_out.contains(&field.number())) {
            let Some(facts) = self.facts(&field) else {
                continue;
            };
            let is_required = match side {
                Side::Response => facts.absent.is_some(),
                Side::Request => Behaviour::of(&field).is_required,
            };
            if is_required {
                required.push(Value::from(facts.name));
            }
            properties.insert(facts.name.to_owned(), self.member(&field, &facts, side));
        }
        let mut schema = self.object(message);
        schema.insert("properties".to_owned(), properties.into());
        if !required.is_empty() {
            schema.insert("required".to_owned(), required.into());
        }
        if side == Side::Request && self.profile.unknown_fields == Unknown::Refuse {
            schema.insert("additionalProperties".to_owned(), false.into());
        }
        let choices: Vec<Value> = message
            .oneofs()
            .filter_map(|oneof| self.choice(&oneof, left_out))
            .collect();
        if !choices.is_empty() {
            schema.insert("allOf".to_owned(), choices.into());
        }
        schema.into()
    }

    /// An object, and what is said of the message.
    pub(super) fn object(&self, message: &MessageDescriptor) -> Map<String, Value> {
        let mut schema = Map::new();
        schema.insert("type".to_owned(), "object".into());
        let comment = self
            .comments
            .at(message.parent_file_descriptor_proto(), message.path());
        put_text(&mut schema, &comment.text);
        let options = message.descriptor_proto().options.as_ref();
        if options.is_some_and(|options| options.deprecated()) {
            schema.insert("deprecated".to_owned(), true.into());
        }
        schema
    }

    /// At most one member of a oneof; nothing for the one that stands for `optional`.
    fn choice(&self, oneof: &OneofDescriptor, left_out: &[u32]) -> Option<Value> {
        let members: Vec<Value> = oneof
            .fields()
            .filter(|field| !left_out.contains(&field.number()))
            .filter_map(|field| Some(json!({ "required": [self.facts(&field)?.name] })))
            .collect();
        at_most_one(members)
    }

    fn member(&self, field: &FieldDescriptor, facts: &FieldFacts<'_>, side: Side) -> Value {
        let is_single = !field.is_list() && !field.is_map();
        let is_choice = field
            .containing_oneof()
            .is_some_and(|oneof| !oneof.is_synthetic());
        let behaviour = Behaviour::of(field);
        let takes_null = match side {
            Side::Response => facts.absent == Some("null"),
            Side::Request => {
                field.supports_presence() && is_single && !is_choice && !behaviour.is_required
            }
        };
        let mut schema = self.value(field, side);
        if takes_null {
            schema = nullable(schema);
        }
        self.annotate(field, &mut schema);
        if let Some(schema) = schema.as_object_mut() {
            for (keyword, is_set) in [
                ("readOnly", behaviour.is_output_only),
                ("writeOnly", behaviour.is_input_only),
            ] {
                if is_set {
                    schema.insert(keyword.to_owned(), true.into());
                }
            }
        }
        schema
    }

    /// The schema of a field's value, without what its comment and options add.
    pub(super) fn value(&self, field: &FieldDescriptor, side: Side) -> Value {
        let element = self.element(&value_kind(field), side);
        if field.is_list() {
            return json!({ "type": "array", "items": element });
        }
        if !field.is_map() {
            return element;
        }
        let mut schema = json!({ "type": "object", "additionalProperties": element });
        let keys = match field.kind() {
            Kind::Message(entry) => known::keys(&entry.map_entry_key_field().kind()),
            _ => None,
        };
        if let (Some(keys), Some(schema)) = (keys, schema.as_object_mut()) {
            schema.insert("propertyNames".to_owned(), keys);
        }
        schema
    }

    fn element(&self, kind: &Kind, side: Side) -> Value {
        match kind {
            Kind::Message(message) => self.reference(message, side),
            Kind::Enum(found) if found.full_name() == NULL_VALUE => json!({ "type": "null" }),
            Kind::Enum(found) => {
                json!({ "$ref": pointer(&self.component(found.full_name(), side)) })
            }
            scalar => known::scalar(scalar, self.profile).unwrap_or_default(),
        }
    }

    /// Adds a field's description, example and deprecation.
    pub(super) fn annotate(&self, field: &FieldDescriptor, schema: &mut Value) {
        let Some(schema) = schema.as_object_mut() else {
            return;
        };
        let comment = self.comments.at(
            field.parent_message().parent_file_descriptor_proto(),
            field.path(),
        );
        put_text(schema, &comment.text);
        if let Some(example) = comment.example.and_then(|text| typed(field, &text)) {
            schema.insert("examples".to_owned(), json!([example]));
        }
        let options = field.field_descriptor_proto().options.as_ref();
        if options.is_some_and(|options| options.deprecated()) {
            schema.insert("deprecated".to_owned(), true.into());
        }
    }

    fn enumeration(&self, descriptor: &EnumDescriptor, field: &FieldDescriptor) -> Value {
        let facts = self.facts(field);
        let text = |number| Some(facts.as_ref()?.enum_text(number)?.to_owned());
        let file = descriptor.parent_file_descriptor_proto();
        let comment = self.comments.at(file, descriptor.path());
        let mut description = vec![comment.text];
        let mut values: Vec<Value> = Vec::new();
        for declared in descriptor.values() {
            let value =
                text(declared.number()).map_or_else(|| declared.number().into(), Value::from);
            if values.contains(&value) {
                continue;
            }
            let meaning = self.comments.at(file, declared.path()).text;
            let name = match &value {
                Value::String(text) => text.clone(),
                number => format!("{number} ({})", declared.name()),
            };
            if !meaning.is_empty() || value.is_number() {
                description.push(format!("- `{name}`: {meaning}"));
            }
            values.push(value);
        }
        let is_text = values.iter().all(Value::is_string);
        let mut schema = Map::new();
        schema.insert(
            "type".to_owned(),
            if is_text { "string" } else { "integer" }.into(),
        );
        put_text(&mut schema, description.join("\n").trim());
        schema.insert("enum".to_owned(), values.into());
        schema.into()
    }

    /// What the codec knows of a field.
    pub(super) fn facts(&self, field: &FieldDescriptor) -> Option<FieldFacts<'a>> {
        let id = self.codec.message(field.parent_message().full_name())?;
        self.codec.field_facts(id, field.number())
    }
}

/// At most one of these; nothing where there are not two.
pub(super) fn at_most_one(members: Vec<Value>) -> Option<Value> {
    if members.len() < 2 {
        return None;
    }
    let mut ways = members.clone();
    ways.push(json!({ "not": { "anyOf": members } }));
    Some(json!({ "oneOf": ways }))
}

/// The reference to a schema among the components.
pub(super) fn pointer(component: &str) -> String {
    format!("#/components/schemas/{component}")
}

/// The schema, or null.
pub(super) fn nullable(mut schema: Value) -> Value {
    let is_open = schema.as_object().is_some_and(Map::is_empty);
    if is_open || schema["type"] == "null" {
        return schema;
    }
    if schema.get("enum").is_none()
        && let Some(Value::String(name)) = schema.get("type")
    {
        schema["type"] = json!([name, "null"]);
        return schema;
    }
    if let Some(ways) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        ways.push(json!({ "type": "null" }));
        return schema;
    }
    json!({ "anyOf": [schema, { "type": "null" }] })
}

pub(super) fn put_text(schema: &mut Map<String, Value>, text: &str) {
    if !text.is_empty() {
        schema.insert("description".to_owned(), text.into());
    }
}

/// A comment's example as a value of the field, if it is one.
fn typed(field: &FieldDescriptor, text: &str) -> Option<Value> {
    if field.is_list() || field.is_map() {
        return None;
    }
    match field.kind() {
        Kind::String => Some(text.into()),
        Kind::Message(message) if message.full_name() == "pulpo.type.v1.Decimal" => {
            serde_json::from_str::<serde_json::Number>(text)
                .ok()
                .map(Value::Number)
        }
        Kind::Message(message) if message.full_name() == "pulpo.type.v1.Json" => {
            serde_json::from_str(text).ok()
        }
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => text.parse::<i32>().ok().map(Value::from),
        Kind::Uint32 | Kind::Fixed32 => text.parse::<u32>().ok().map(Value::from),
        _ => None,
    }
}
