//! Problem details (RFC 9457), for clients that ask for them.

use http::HeaderValue;
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};

use crate::fault::{ErrorContext, ErrorReply, Fault};

/// What a client names in its Accept header.
pub const MEDIA_TYPE: &str = "application/problem+json";

#[derive(Serialize)]
struct Problem<'a> {
    /// There is no page about each problem; the status code says what it is (RFC 9457, section 4.2.1).
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Violation<'a>>,
    /// What the service's `google.rpc.Status` says besides; the members above tell all of the gateway's own refusals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Box<RawValue>>,
}

#[derive(Serialize)]
struct Violation<'a> {
    field: &'a str,
    detail: &'a str,
}

/// The fault as problem details: besides the members of the RFC the machine-readable `reason`, the fields at fault
/// and the details of the service's status.
pub fn render(fault: &Fault, context: ErrorContext<'_>) -> ErrorReply {
    let problem = Problem {
        kind: "about:blank",
        title: fault.status.canonical_reason().unwrap_or("Error"),
        status: fault.status.as_u16(),
        detail: &fault.message,
        instance: context.path,
        reason: &fault.reason,
        errors: fault
            .violations
            .iter()
            .map(|violation| Violation {
                field: &violation.field,
                detail: &violation.description,
            })
            .collect(),
        details: context.types.print(&fault.details),
    };
    ErrorReply {
        status: fault.status,
        content_type: HeaderValue::from_static(MEDIA_TYPE),
        headers: Vec::new(),
        // Texts and numbers always serialise.
        body: serde_json::to_vec(&problem).unwrap_or_default(),
    }
}

/// Problem details as a JSON Schema.
pub fn schema() -> Value {
    let violation = json!({
        "type": "object",
        "properties": { "field": { "type": "string" }, "detail": { "type": "string" } },
        "required": ["field", "detail"],
    });
    json!({
        "type": "object",
        "description": "Problem details (RFC 9457).",
        "properties": {
            "type": { "type": "string", "format": "uri-reference" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "instance": { "type": "string" },
            "reason": { "type": "string", "description": "A code for programs." },
            "errors": { "type": "array", "description": "The fields that are wrong.", "items": violation },
            "details": { "type": "array", "description": "The details of the status, as google.rpc.Status has them.", "items": detail_schema() },
        },
        "required": ["type", "title", "status", "detail", "instance"],
    })
}

/// A detail of `google.rpc.Status` as a JSON Schema: an `Any` of whatever type.
pub fn detail_schema() -> Value {
    json!({
        "type": "object",
        "properties": { "@type": { "type": "string" } },
        "required": ["@type"],
    })
}
