//! Query strings: the binder against a reading parameter by parameter, in which the oracle reads each as JSON.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use prost_reflect::prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use pulpo_gateway::bind::{BindRule, Binder, MAX_QUERY_DEPTH, MAX_QUERY_PARAMETERS};
use pulpo_gateway::template::Template;
use serde_json::{Value, json};

use crate::{
    departures,
    messages::{CODEC, NAMES, choose, decode, descriptor, oracle_read, same},
};

/// A strict binder for each message, with nothing in path and body.
static BINDERS: LazyLock<HashMap<String, Binder>> = LazyLock::new(|| {
    let template = Template::parse("/").expect("a template");
    let rule = BindRule {
        template: &template,
        body: "",
        response_body: "",
        is_strict: true,
        is_streaming: false,
    };
    let messages = NAMES.iter().map(|name| descriptor(name));
    messages
        .map(|message| {
            let binder = Binder::compile(&CODEC, &message, &message, &rule).expect("a sound rule");
            (message.full_name().to_owned(), binder)
        })
        .collect()
});

/// Input: the letter of a message, then the query string.
pub fn check(data: &[u8]) {
    let Some((message, query)) = choose(data) else {
        return;
    };
    let Ok(query) = str::from_utf8(query) else {
        return;
    };
    let mut wire = Vec::new();
    let found = BINDERS[message.full_name()].write_query(&CODEC, query, &mut wire);
    match (found, reference(&message, query)) {
        (Err(_), Err(_)) => {}
        (Ok(()), Ok(expected)) => {
            let found = decode(&message, &wire).expect("the binder writes sound messages");
            // Once more, so that a default that overrides what came before is equal to nothing written.
            let found = decode(&message, &found.encode_to_vec());
            assert!(
                found.is_some_and(|found| same(&found, &expected)),
                "{query:?} for {} gives {}",
                message.full_name(),
                wire.escape_ascii()
            );
        }
        (Ok(()), Err(error)) => assert!(
            departures::oracle_is_stricter(&error, &texts(query)),
            "only the binder takes {query:?} for {}: {error}",
            message.full_name()
        ),
        (Err(fault), Ok(_)) => assert!(
            departures::oracle_takes_parameter(&fault, &given_for(query, fault.name())),
            "only the reference takes {query:?} for {}: {fault}",
            message.full_name()
        ),
    }
}

/// All decoded names, keys and values.
fn texts(query: &str) -> Vec<String> {
    query
        .split(['&', '='])
        .filter_map(form)
        .flat_map(|text| {
            text.split(['[', ']'])
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect()
}

/// All decoded values given for a name, and the map keys in that name.
fn given_for(query: &str, name: &str) -> Vec<String> {
    let mut given = Vec::new();
    for pair in query.split('&') {
        let (other, value) = pair.split_once('=').unwrap_or((pair, ""));
        // A fault shows the beginning of a long name.
        let Some(other) = form(other).filter(|other| other.starts_with(name)) else {
            continue;
        };
        given.extend(form(value));
        let key = other
            .split_once('[')
            .and_then(|(_, key)| key.strip_suffix(']'));
        given.extend(key.map(str::to_owned));
    }
    given
}

/// What has been given: single fields and map entries by name, and members by oneof.
#[derive(Default)]
struct Given {
    names: HashSet<(String, Option<String>)>,
    members: HashMap<(String, String), u32>,
}

fn reference(message: &MessageDescriptor, query: &str) -> Result<DynamicMessage, String> {
    let mut given = Given::default();
    let mut wire = Vec::new();
    let pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    if pairs.len() > MAX_QUERY_PARAMETERS {
        return Err("too many".to_owned());
    }
    for pair in pairs {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = form(name).ok_or("the name is not UTF-8")?;
        let (steps, key) = find(message, &name).ok_or("unknown parameter")?;
        let value = form(value).ok_or("the value is not UTF-8")?;
        given.add(&steps, key.clone())?;
        let last = steps.last().ok_or("no field")?;
        let mut json = leaf(last, key.as_deref(), &value).ok_or("has no text form")?;
        for step in steps.iter().rev() {
            json = json!({ step.name(): json });
        }
        let part = oracle_read(message, json.to_string().as_bytes())?;
        // The oracle leaves defaults out, which here override; what a parameter gives is given once, so nothing is lost.
        wire.extend(part.encode_to_vec());
    }
    decode(message, &wire).ok_or_else(|| "does not decode".to_owned())
}

impl Given {
    fn add(&mut self, steps: &[FieldDescriptor], key: Option<String>) -> Result<(), String> {
        let names: Vec<&str> = steps.iter().map(FieldDescriptor::name).collect();
        let last = &steps[steps.len() - 1];
        let is_new = last.is_list() || self.names.insert((names.join("."), key));
        if !is_new {
            return Err("given twice".to_owned());
        }
        for (depth, step) in steps.iter().enumerate() {
            let Some(oneof) = step.containing_oneof() else {
                continue;
            };
            let place = (names[..depth].join("."), oneof.name().to_owned());
            let member = *self.members.entry(place).or_insert(step.number());
            if member != step.number() {
                return Err("two members of a oneof".to_owned());
            }
        }
        Ok(())
    }
}

/// The fields a name leads through, and the key where it ends in one.
fn find(message: &MessageDescriptor, name: &str) -> Option<(Vec<FieldDescriptor>, Option<String>)> {
    if let Some(steps) = walk(message, name) {
        return Some((steps, None));
    }
    let (name, key) = name.strip_suffix(']')?.split_once('[')?;
    Some((walk(message, name)?, Some(key.to_owned())))
}

fn walk(message: &MessageDescriptor, name: &str) -> Option<Vec<FieldDescriptor>> {
    let mut message = message.clone();
    let mut steps = Vec::new();
    let names: Vec<&str> = name.split('.').collect();
    for (depth, name) in names.iter().enumerate() {
        if message.full_name().starts_with("google.protobuf.") {
            return None;
        }
        let by_proto_name = message.get_field_by_name(name);
        let field = by_proto_name.or_else(|| message.get_field_by_json_name(name))?;
        let is_last = depth + 1 == names.len();
        if let (Kind::Message(inner), false) = (field.kind(), is_last) {
            if field.is_list() || field.is_map() {
                return None;
            }
            message = inner;
        } else if !is_last {
            return None;
        }
        steps.push(field);
    }
    let is_text = steps.last().is_some_and(has_text_form);
    (is_text && steps.len() <= MAX_QUERY_DEPTH).then_some(steps)
}

fn has_text_form(field: &FieldDescriptor) -> bool {
    let kind = match field.kind() {
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
        kind => kind,
    };
    match kind {
        Kind::Message(message) => wrapped(&message).is_some() || is_string_form(&message),
        _ => true,
    }
}

fn is_string_form(message: &MessageDescriptor) -> bool {
    let names = ["Timestamp", "Duration", "FieldMask"];
    names
        .iter()
        .any(|name| message.full_name() == format!("google.protobuf.{name}"))
}

fn wrapped(message: &MessageDescriptor) -> Option<Kind> {
    let name = message.full_name().strip_prefix("google.protobuf.")?;
    (name.ends_with("Value") && !matches!(name, "Value" | "ListValue"))
        .then(|| message.get_field(1).map(|field| field.kind()))?
}

/// The JSON of one parameter; `None` where a key is missing or has no place.
fn leaf(field: &FieldDescriptor, key: Option<&str>, value: &str) -> Option<Value> {
    match (field.kind(), key) {
        (Kind::Message(entry), Some(key)) if field.is_map() => {
            let json = scalar(&entry.map_entry_value_field().kind(), value);
            Some(json!({ key: json }))
        }
        (kind, None) if !field.is_map() => {
            let json = scalar(&kind, value);
            Some(if field.is_list() { json!([json]) } else { json })
        }
        _ => None,
    }
}

fn scalar(kind: &Kind, value: &str) -> Value {
    let text = || Value::from(value);
    match kind {
        Kind::String | Kind::Bytes => text(),
        Kind::Bool => match value {
            "true" => Value::from(true),
            "false" => Value::from(false),
            _ => text(),
        },
        Kind::Enum(descriptor) if descriptor.full_name() == "google.protobuf.NullValue" => {
            match value {
                "null" | "NULL_VALUE" | "0" => Value::Null,
                _ => json!({}),
            }
        }
        Kind::Message(message) if message.full_name() == "google.protobuf.FieldMask" => {
            camel(value).into()
        }
        Kind::Message(message) => wrapped(message).map_or_else(text, |kind| scalar(&kind, value)),
        // With a fraction or an exponent it would become a double, which not every whole number of 64 bits survives.
        Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64
            if value.contains(['.', 'e', 'E']) =>
        {
            text()
        }
        _ => match serde_json::from_str(value) {
            Ok(Value::Number(number)) if value.trim() == value => Value::Number(number),
            _ => text(),
        },
    }
}

/// A mask in lowerCamelCase: in a query proto names pass too.
fn camel(mask: &str) -> String {
    let mut camel = String::new();
    let mut rest = mask.chars().peekable();
    while let Some(c) = rest.next() {
        match rest.peek() {
            Some(next) if c == '_' && next.is_ascii_lowercase() => {
                camel.extend(rest.next().map(|next| next.to_ascii_uppercase()));
            }
            _ => camel.push(c),
        }
    }
    camel
}

/// Decodes form text byte by byte.
fn form(text: &str) -> Option<String> {
    let mut decoded = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let escape = tail.get(..2).and_then(|digits| {
            let digits = str::from_utf8(digits).ok()?;
            let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            is_hex.then(|| u8::from_str_radix(digits, 16).ok())?
        });
        decoded.push(match (first, escape) {
            (b'+', _) => b' ',
            (b'%', Some(byte)) => {
                rest = &tail[2..];
                byte
            }
            (other, _) => *other,
        });
    }
    String::from_utf8(decoded).ok()
}
