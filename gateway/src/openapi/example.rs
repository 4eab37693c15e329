//! Examples made from schemas: valid by construction, since every choice is one the schema allows.
//!
//! A member whose schema gives an example shows that one. Of a oneof the first member is shown, a list has one element,
//! and a message within itself is left out.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Side;

/// Deeper messages are left out.
const MAX_DEPTH: usize = 8;

pub(super) struct Examples<'a> {
    pub(super) components: &'a BTreeMap<String, Value>,
}

impl Examples<'_> {
    /// A value of the schema; nothing where none can be made.
    pub(super) fn of(&self, schema: &Value, side: Side) -> Option<Value> {
        self.value(schema, side, &mut Vec::new())
    }

    fn value<'s>(
        &'s self,
        schema: &'s Value,
        side: Side,
        within: &mut Vec<&'s str>,
    ) -> Option<Value> {
        if let Some(given) = schema
            .pointer("/examples/0")
            .or_else(|| schema.get("const"))
        {
            return Some(given.clone());
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            // The first value of most enums says that none is chosen.
            return values.get(1).or_else(|| values.first()).cloned();
        }
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let name = reference.rsplit('/').next()?;
            if within.contains(&name) || within.len() >= MAX_DEPTH {
                return None;
            }
            within.push(name);
            let value = self.value(self.components.get(name)?, side, within);
            within.pop();
            return value;
        }
        if let Some(ways) = schema.get("anyOf").and_then(Value::as_array) {
            return ways.iter().find_map(|way| self.value(way, side, within));
        }
        let kind = match schema.get("type") {
            Some(Value::Array(kinds)) => kinds.first(),
            kind => kind,
        };
        Some(match kind.and_then(Value::as_str) {
            Some("object") => return self.object(schema, side, within),
            Some("array") => {
                let item = schema
                    .get("items")
                    .and_then(|items| self.value(items, side, within));
                Value::Array(item.into_iter().collect())
            }
            Some("string") => "string".into(),
            Some("integer") => 1.into(),
            Some("number") => json!(1.5),
            Some("boolean") => true.into(),
            Some("null") => Value::Null,
            _ => json!({}),
        })
    }

    fn object<'s>(
        &'s self,
        schema: &'s Value,
        side: Side,
        within: &mut Vec<&'s str>,
    ) -> Option<Value> {
        let mut members = Map::new();
        let required = strings(schema.get("required"));
        let unchosen = unchosen(schema);
        for (name, member) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let is_hidden = match side {
                Side::Request => member["readOnly"] == true,
                Side::Response => member["writeOnly"] == true,
            };
            if unchosen.contains(&name.as_str())
                || (is_hidden && !required.contains(&name.as_str()))
            {
                continue;
            }
            let value = self.value(member, side, within);
            // What may be left out is not shown as null.
            let value = value.filter(|value| !value.is_null() || required.contains(&name.as_str()));
            match value {
                Some(value) => drop(members.insert(name.clone(), value)),
                None if required.contains(&name.as_str()) => return None,
                None => {}
            }
        }
        if let Some(values) = schema.get("additionalProperties").filter(|v| v.is_object())
            && let Some(value) = self.value(values, side, within)
        {
            members.insert(key(schema).to_owned(), value);
        }
        Some(members.into())
    }
}

/// A key that a map of this schema takes.
fn key(schema: &Value) -> &'static str {
    match schema.get("propertyNames") {
        None => "key",
        Some(names) if names.get("enum").is_some() => "true",
        Some(_) => "1",
    }
}

/// All members of each oneof but its first.
fn unchosen(schema: &Value) -> Vec<&str> {
    let choices = schema
        .get("allOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    choices
        .filter_map(|choice| choice.get("oneOf")?.as_array())
        .flat_map(|ways| ways.iter().skip(1))
        .flat_map(|way| strings(way.get("required")))
        .collect()
}

fn strings(list: Option<&Value>) -> Vec<&str> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).collect()
}
