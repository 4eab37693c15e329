//! What a form holds: not what a JSON body does, but texts by the names of query parameters, and files.
//!
//! Messages are given by the names of their fields, so that lists of them, and what lies in a message within itself, are not
//! there. A field that takes files is its parts.

use std::collections::BTreeMap;

use prost_reflect::FieldDescriptor;
use serde_json::{Map, Value, json};

use super::{
    Side,
    behaviour::Behaviour,
    operation::Operations,
    reach::fields,
    route::{Route, descend, recurs},
    schema::at_most_one,
};
use crate::surface::FormTarget;

/// What fills the fields that take files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// Texts, as all others: of a file its name, its media type and its bytes in base64.
    ByTexts,
    /// A part with a file name.
    ByFiles,
}

/// The members of each oneof, and the names each is given by.
type Choices = BTreeMap<usize, BTreeMap<u32, Vec<String>>>;

/// A schema as it is written.
#[derive(Default)]
struct Form {
    properties: Map<String, Value>,
    /// How maps are written.
    encoding: Map<String, Value>,
    required: Vec<Value>,
    choices: Choices,
}

impl Operations<'_> {
    /// The Media Type Object of a form.
    pub(super) fn form(&mut self, route: &Route<'_>, target: &FormTarget, filled: Filled) -> Value {
        let binder = target.binder(&self.surface.codec);
        let bound = bound(route.path_fields(self.surface), target.within);
        let has_files = filled == Filled::ByFiles && binder.takes_files();
        let mut form = Form::default();
        for (path, choices) in binder.fields() {
            let numbers = self.surface.codec.field_numbers(path);
            let is_file = has_files && numbers.first().is_some_and(|n| binder.takes_file(*n));
            let message = &target.message;
            if is_file || bound.contains(&numbers) || recurs(message.clone(), &numbers) {
                continue;
            }
            let Some(field) = descend(message.clone(), &numbers) else {
                continue;
            };
            let schema = self.schemas.value(&field, Side::Request);
            let choices = choices.iter().map(|choice| (choice.oneof, choice.member));
            form.choose(path.name(), choices);
            if field.is_map() {
                let style = json!({ "style": "deepObject", "explode": true });
                form.encoding.insert(path.name().to_owned(), style);
            }
            self.add(&mut form, path.name(), &field, schema, numbers.len() == 1);
        }
        for field in fields(&target.message).filter(|_| has_files) {
            if !binder.takes_file(field.number()) || bound.contains(&vec![field.number()]) {
                continue;
            }
            let Some(facts) = self.schemas.facts(&field) else {
                continue;
            };
            form.choose(facts.name, choice(&field));
            self.add(&mut form, facts.name, &field, file(&field), true);
        }
        let mut schema = self.schemas.object(&target.message);
        schema.insert("properties".to_owned(), form.properties.into());
        if !form.required.is_empty() {
            schema.insert("required".to_owned(), form.required.into());
        }
        if binder.is_strict() {
            schema.insert("additionalProperties".to_owned(), false.into());
        }
        let choices: Vec<Value> = form.choices.into_values().filter_map(one_of).collect();
        if !choices.is_empty() {
            schema.insert("allOf".to_owned(), choices.into());
        }
        let name = self.schemas.component_of(&target.message, Side::Response);
        let name = match has_files {
            true => format!("{name}FormWithFiles"),
            false => format!("{name}Form"),
        };
        let mut media = json!({ "schema": self.named(name, schema.into()) });
        if !form.encoding.is_empty() {
            media["encoding"] = form.encoding.into();
        }
        media
    }

    fn add(
        &self,
        form: &mut Form,
        name: &str,
        field: &FieldDescriptor,
        mut schema: Value,
        is_top: bool,
    ) {
        self.schemas.annotate(field, &mut schema);
        // What is required of a message is so only where the message is there.
        let behaviour = Behaviour::of(field);
        if is_top && behaviour.is_required {
            form.required.push(name.into());
        }
        if let Some(schema) = schema.as_object_mut().filter(|_| behaviour.is_output_only) {
            schema.insert("readOnly".to_owned(), true.into());
        }
        form.properties.insert(name.to_owned(), schema);
    }
}

impl Form {
    fn choose(&mut self, name: &str, choices: impl IntoIterator<Item = (usize, u32)>) {
        for (oneof, member) in choices {
            let members = self.choices.entry(oneof).or_default();
            members.entry(member).or_default().push(name.to_owned());
        }
    }
}

/// The fields of the form that the path fills.
fn bound(of_request: Vec<Vec<u32>>, within: Option<u32>) -> Vec<Vec<u32>> {
    let Some(outer) = within else {
        return of_request;
    };
    let paths = of_request.iter();
    paths
        .filter_map(|path| Some(path.strip_prefix(&[outer])?.to_vec()))
        .collect()
}

/// The oneof of a field of the form's own message: these are counted first.
fn choice(field: &FieldDescriptor) -> Option<(usize, u32)> {
    let own = field.containing_oneof()?;
    let message = field.parent_message();
    let place = message.oneofs().position(|oneof| oneof == own)?;
    Some((place, field.number()))
}

/// One file, or any number of them.
fn file(field: &FieldDescriptor) -> Value {
    let file = json!({ "contentMediaType": "application/octet-stream" });
    match field.is_list() {
        true => json!({ "type": "array", "items": file }),
        false => file,
    }
}

/// At most one member of a oneof, by any of its names.
fn one_of(members: BTreeMap<u32, Vec<String>>) -> Option<Value> {
    let named = |name: &String| json!({ "required": [name] });
    let member = |names: Vec<String>| match names.as_slice() {
        [only] => named(only),
        several => json!({ "anyOf": several.iter().map(named).collect::<Vec<_>>() }),
    };
    at_most_one(members.into_values().map(member).collect())
}
