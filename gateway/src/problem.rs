//! Problem details (RFC 9457), for clients that ask for them.

use http::{HeaderMap, HeaderValue, Response};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use tonic::body::Body;

use crate::{
    fault::{DetailTypes, ErrorContext, ErrorReply, Fault},
    framing::preference,
};

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
    #[serde(skip_serializing_if = "str::is_empty")]
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
    ErrorReply {
        status: fault.status,
        content_type: HeaderValue::from_static(MEDIA_TYPE),
        headers: Vec::new(),
        body: print(fault, context.path, context.types),
    }
}

/// The fault as a reply of its own, for what is refused before it is known in whose words.
#[cold]
pub fn refusal(fault: &Fault, context: ErrorContext<'_>) -> Response<Body> {
    render(fault, context).into_response(fault)
}

/// The body for a request that could not be read: it has no path to tell.
#[cfg(feature = "listen")]
pub(crate) fn print_unread(fault: &Fault) -> Vec<u8> {
    print(fault, "", DetailTypes::standard())
}

/// Whether a client names problem details in its Accept header.
pub fn is_wanted(headers: &HeaderMap) -> bool {
    preference(headers, MEDIA_TYPE).is_named()
}

fn print(fault: &Fault, path: &str, types: &DetailTypes) -> Vec<u8> {
    let problem = Problem {
        kind: "about:blank",
        title: fault.status.canonical_reason().unwrap_or("Error"),
        status: fault.status.as_u16(),
        detail: &fault.message,
        instance: path,
        reason: &fault.reason,
        errors: fault
            .violations
            .iter()
            .map(|violation| Violation {
                field: &violation.field,
                detail: &violation.description,
            })
            .collect(),
        details: types.print(&fault.details),
    };
    // Texts and numbers always serialise.
    serde_json::to_vec(&problem).unwrap_or_default()
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
