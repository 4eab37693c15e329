//! Which values of well-known types have no JSON form: a slow reading of their rules, for messages that the codec does not
//! print and the oracle does.

use prost_reflect::{DynamicMessage, Kind, ReflectMessage, Value};

/// Whether the message or one in it, be it in an `Any`, is of a type and has no JSON form.
pub fn has_unprintable(message: &DynamicMessage, name: &str) -> bool {
    let is_it = message.descriptor().full_name() == name && is_unprintable(message);
    is_it
        || content(message).is_some_and(|inner| has_unprintable(&inner, name))
        || message
            .fields()
            .any(|(_, value)| is_within(value, &|inner| has_unprintable(inner, name)))
}

/// Whether some message right in a value is one that is looked for.
fn is_within(value: &Value, is_wanted: &dyn Fn(&DynamicMessage) -> bool) -> bool {
    match value {
        Value::Message(message) => is_wanted(message),
        Value::List(list) => list.iter().any(|value| is_within(value, is_wanted)),
        Value::Map(map) => map.values().any(|value| is_within(value, is_wanted)),
        _ => false,
    }
}

/// What is packed in an `Any`.
fn content(message: &DynamicMessage) -> Option<DynamicMessage> {
    let descriptor = message.descriptor();
    if descriptor.full_name() != "google.protobuf.Any" {
        return None;
    }
    let (url, packed) = (field(message, "type_url"), field(message, "value"));
    let name = url.as_str()?.rsplit('/').next()?.to_owned();
    let packed_type = descriptor.parent_pool().get_message_by_name(&name)?;
    DynamicMessage::decode(packed_type, packed.as_bytes()?.clone()).ok()
}

fn field(message: &DynamicMessage, name: &str) -> Value {
    let value = message.get_field_by_name(name);
    value.map_or_else(
        || Value::default_value(&Kind::String),
        std::borrow::Cow::into_owned,
    )
}

fn is_unprintable(message: &DynamicMessage) -> bool {
    let number = |name| match field(message, name) {
        Value::I64(number) => number,
        Value::I32(number) => number.into(),
        _ => 0,
    };
    match message.descriptor().full_name() {
        // The years 1 to 9999; nanoseconds count forward.
        "google.protobuf.Timestamp" => {
            !(-62_135_596_800..=253_402_300_799).contains(&number("seconds"))
                || !(0..=999_999_999).contains(&number("nanos"))
        }
        // Ten thousand years; both parts have the same sign.
        "google.protobuf.Duration" => {
            let (seconds, nanos) = (number("seconds"), number("nanos"));
            seconds.unsigned_abs() > 315_576_000_000
                || nanos.unsigned_abs() > 999_999_999
                || seconds.signum() * nanos.signum() < 0
        }
        // Paths that would not come back the same.
        "google.protobuf.FieldMask" => {
            let paths = field(message, "paths");
            let paths = paths.as_list().unwrap_or_default();
            paths.iter().filter_map(Value::as_str).any(is_lossy_path)
        }
        _ => false,
    }
}

fn is_lossy_path(path: &str) -> bool {
    path.split('.').any(|name| {
        let mut letters = name.chars().peekable();
        let mut is_lossy = name.is_empty();
        while let Some(letter) = letters.next() {
            let next = letters.peek().copied().unwrap_or_default();
            is_lossy |= letter == ','
                || letter.is_ascii_uppercase()
                || letter == '_' && !next.is_ascii_lowercase();
        }
        is_lossy
    })
}
