//! What the annotations of a method say: values out of option messages.

use http::Method;
use prost_reflect::{DynamicMessage, ReflectMessage, Value};

use crate::router::RouteMethod;

pub(crate) fn pattern(rule: &DynamicMessage) -> Option<(RouteMethod, String)> {
    let methods = [
        ("get", Method::GET),
        ("put", Method::PUT),
        ("post", Method::POST),
        ("delete", Method::DELETE),
        ("patch", Method::PATCH),
    ];
    for (field, method) in methods {
        if rule.has_field_by_name(field) {
            return Some((RouteMethod::Only(method), string(rule, field)));
        }
    }
    let custom = rule.get_field_by_name("custom")?.as_message()?.clone();
    let kind = string(&custom, "kind");
    let method = if kind == "*" {
        RouteMethod::Any
    } else {
        RouteMethod::Only(kind.parse().ok()?)
    };
    Some((method, string(&custom, "path")))
}

pub(crate) fn string(message: &DynamicMessage, field: &str) -> String {
    message
        .get_field_by_name(field)
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// A number or an enum's number; 0 where there is none.
pub(super) fn number(message: &DynamicMessage, field: &str) -> u32 {
    let value = message.get_field_by_name(field);
    let number = value.and_then(|v| {
        v.as_u32()
            .or_else(|| u32::try_from(v.as_enum_number()?).ok())
    });
    number.unwrap_or_default()
}

pub(super) fn flag(message: &DynamicMessage, field: &str) -> bool {
    message
        .get_field_by_name(field)
        .and_then(|v| v.as_bool())
        .unwrap_or_default()
}

pub(crate) fn list(message: &DynamicMessage, field: &str) -> Vec<Value> {
    if message.descriptor().get_field_by_name(field).is_none() {
        return Vec::new();
    }
    message
        .get_field_by_name(field)
        .and_then(|v| v.as_list().map(<[Value]>::to_vec))
        .unwrap_or_default()
}
