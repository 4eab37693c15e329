//! Schemas of scalars and of the messages with a JSON form of their own.

use prost_reflect::Kind;
use serde_json::{Value, json};

use super::Side;
use crate::profile::{Integers, JsonProfile, SAFE_INTEGER_MAX, TimestampDigits};

const INTEGER_TEXT: &str = "^-?[0-9]+$";
const NATURAL_TEXT: &str = "^[0-9]+$";

/// The schema of a scalar; nothing for messages and enums.
pub(super) fn scalar(kind: &Kind, profile: &JsonProfile) -> Option<Value> {
    Some(match kind {
        Kind::Double => floating("double"),
        Kind::Float => floating("float"),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            json!({ "type": "integer", "format": "int32" })
        }
        Kind::Uint32 | Kind::Fixed32 => {
            json!({ "type": "integer", "format": "uint32", "minimum": 0 })
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => match profile.integers {
            Integers::Strings => {
                json!({ "type": "string", "format": "int64", "pattern": INTEGER_TEXT, "examples": ["1"] })
            }
            Integers::Numbers => json!({ "type": "integer", "format": "int64" }),
            Integers::SafeNumbers => {
                let (least, most) = (-(SAFE_INTEGER_MAX as i64), SAFE_INTEGER_MAX);
                json!({ "type": "integer", "format": "int64", "minimum": least, "maximum": most })
            }
        },
        Kind::Uint64 | Kind::Fixed64 => match profile.integers {
            Integers::Strings => {
                json!({ "type": "string", "format": "uint64", "pattern": NATURAL_TEXT, "examples": ["1"] })
            }
            Integers::Numbers => json!({ "type": "integer", "format": "uint64", "minimum": 0 }),
            Integers::SafeNumbers => {
                json!({ "type": "integer", "format": "uint64", "minimum": 0, "maximum": SAFE_INTEGER_MAX })
            }
        },
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::String => json!({ "type": "string" }),
        Kind::Bytes => {
            json!({ "type": "string", "contentEncoding": "base64", "examples": ["cHVscG8="] })
        }
        Kind::Message(_) | Kind::Enum(_) => return None,
    })
}

/// ProtoJSON has no number for what is not finite, but texts.
fn floating(format: &str) -> Value {
    json!({
        "anyOf": [
            { "type": "number", "format": format },
            { "type": "string", "enum": ["NaN", "Infinity", "-Infinity"] },
        ],
    })
}

/// The schema of a message whose JSON form is not that of its fields.
pub(super) fn message(full_name: &str, side: Side, profile: &JsonProfile) -> Option<Value> {
    let wrapped = |kind| scalar(&kind, profile);
    Some(match full_name {
        "google.protobuf.Any" => json!({
            "type": "object",
            "description": "A message of any type, with the type's URL beside its members.",
            "properties": { "@type": { "type": "string", "examples": ["type.googleapis.com/google.protobuf.Empty"] } },
        }),
        "google.protobuf.Timestamp" => timestamp(side, profile),
        "google.protobuf.Duration" => json!({
            "type": "string",
            "format": "duration-seconds",
            "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$",
            "examples": ["1.5s"],
        }),
        "google.protobuf.FieldMask" => json!({
            "type": "string",
            "format": "field-mask",
            "description": "Field names in lowerCamelCase, separated by commas.",
            "examples": [""],
        }),
        "google.protobuf.Struct" => json!({ "type": "object", "additionalProperties": true }),
        "google.protobuf.ListValue" => json!({ "type": "array", "items": {} }),
        "google.protobuf.Value" | "pulpo.type.v1.Json" => json!({}),
        "google.protobuf.DoubleValue" => return wrapped(Kind::Double),
        "google.protobuf.FloatValue" => return wrapped(Kind::Float),
        "google.protobuf.Int64Value" => return wrapped(Kind::Int64),
        "google.protobuf.UInt64Value" => return wrapped(Kind::Uint64),
        "google.protobuf.Int32Value" => return wrapped(Kind::Int32),
        "google.protobuf.UInt32Value" => return wrapped(Kind::Uint32),
        "google.protobuf.BoolValue" => return wrapped(Kind::Bool),
        "google.protobuf.StringValue" => return wrapped(Kind::String),
        "google.protobuf.BytesValue" => return wrapped(Kind::Bytes),
        "pulpo.type.v1.Decimal" => {
            json!({ "type": "number", "format": "decimal", "examples": [12.34] })
        }
        _ => return None,
    })
}

fn timestamp(side: Side, profile: &JsonProfile) -> Value {
    let digits = match profile.timestamps {
        TimestampDigits::Seconds => 0,
        TimestampDigits::Millis => 3,
        TimestampDigits::Micros => 6,
        TimestampDigits::Nanos => 9,
        TimestampDigits::Auto => {
            return json!({ "type": "string", "format": "date-time", "examples": ["2026-01-31T10:00:00Z"] });
        }
    };
    let fraction = if digits > 0 {
        format!(".{:0<digits$}", "")
    } else {
        String::new()
    };
    let example = format!("2026-01-31T10:00:00{fraction}Z");
    let mut schema = json!({ "type": "string", "format": "date-time", "examples": [example] });
    // Any number of digits is read.
    if side == Side::Response {
        schema["pattern"] = match digits {
            0 => ":[0-9]{2}Z$".into(),
            _ => format!(r"\.[0-9]{{{digits}}}Z$").into(),
        };
    }
    schema
}

/// The schema of a map's keys, which are always strings in JSON; nothing where any string is one.
pub(super) fn keys(kind: &Kind) -> Option<Value> {
    match kind {
        Kind::String => None,
        Kind::Bool => Some(json!({ "enum": ["true", "false"] })),
        Kind::Uint32 | Kind::Uint64 | Kind::Fixed32 | Kind::Fixed64 => {
            Some(json!({ "pattern": NATURAL_TEXT }))
        }
        _ => Some(json!({ "pattern": INTEGER_TEXT })),
    }
}
