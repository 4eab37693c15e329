//! pullpush: `{error, details, requestId}` with the document's lower-case codes.

use http::StatusCode;
use pulpo_gateway::fault::{ErrorContext, ErrorFormat, ErrorReply, Fault};
use serde_json::{Map, Value, json};

use super::json_reply;

/// The door that takes its key from `x-api-key` has a code of its own for a wrong one.
const CONNECT_EVENTS: &str = "/api/v1/events";

pub(super) const TITLE: &str = "PullPush integration hub";

/// The document's error body as a JSON Schema.
pub(super) fn error_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "error": { "type": "string", "description": "A code for programs, for example `invalid_body`." },
            "details": {
                "type": "object",
                "description": "What is wrong with each field; elsewhere a sentence under `message`.",
                "additionalProperties": { "type": "string" },
            },
            "requestId": { "type": "string", "description": "The request, as X-Request-Id and logs name it." },
        },
        "required": ["error", "details", "requestId"],
    })
}

pub(super) struct Errors;

impl ErrorFormat for Errors {
    fn render(&self, fault: &Fault, context: ErrorContext<'_>) -> ErrorReply {
        let request_id = context
            .headers
            .get("x-request-id")
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default();
        let body = json!({
            "error": code(fault, context.path),
            "details": details(fault),
            "requestId": request_id,
        });
        json_reply(fault.status, &body)
    }
}

fn code(fault: &Fault, path: &str) -> String {
    match fault.reason.as_str() {
        "MISSING_CREDENTIAL" => "missing_api_key".to_owned(),
        "INVALID_CREDENTIAL" if path.trim_end_matches('/') == CONNECT_EVENTS => {
            "invalid_key".to_owned()
        }
        "INVALID_CREDENTIAL" => "invalid_tenant_or_key".to_owned(),
        "INVALID_ARGUMENT" | "INVALID_BODY" | "INVALID_PARAMETER" => "invalid_body".to_owned(),
        "ROUTE_NOT_FOUND" => "not_found".to_owned(),
        "" if fault.status == StatusCode::INTERNAL_SERVER_ERROR => "internal".to_owned(),
        "" => super::word(fault.status).to_ascii_lowercase(),
        reason => reason.to_ascii_lowercase(),
    }
}

/// What is wrong with each field; elsewhere the sentence that says what to do.
fn details(fault: &Fault) -> Value {
    if fault.violations.is_empty() {
        return json!({ "message": fault.message });
    }
    let mut fields = Map::new();
    for violation in &fault.violations {
        fields.insert(
            violation.field.clone(),
            Value::String(violation.description.clone()),
        );
    }
    Value::Object(fields)
}
