//! Integrations management: `{error: {code, message, details}}`.

use pulpo_gateway::fault::{ErrorContext, ErrorFormat, ErrorReply, Fault};
use serde_json::{Value, json};

use super::{json_reply, word};

pub(super) const TITLE: &str = "Integrations";

/// The document's error body as a JSON Schema.
pub(super) fn error_schema() -> Value {
    let violation = json!({
        "type": "object",
        "properties": {
            "field": { "type": "string" },
            "message": { "type": "string" },
        },
        "required": ["field", "message"],
    });
    let error = json!({
        "type": "object",
        "properties": {
            "code": { "type": "string", "description": "A code for programs, for example `BAD_REQUEST`." },
            "message": { "type": "string", "description": "What went wrong, for people." },
            "details": { "type": "array", "description": "The fields that are wrong.", "items": violation },
        },
        "required": ["code", "message", "details"],
    });
    json!({ "type": "object", "properties": { "error": error }, "required": ["error"] })
}

pub(super) struct Errors;

impl ErrorFormat for Errors {
    fn render(&self, fault: &Fault, _context: ErrorContext<'_>) -> ErrorReply {
        let details: Vec<Value> = fault
            .violations
            .iter()
            .map(|v| json!({ "field": v.field, "message": v.description }))
            .collect();
        let body = json!({
            "error": { "code": word(fault.status), "message": fault.message, "details": details },
        });
        json_reply(fault.status, &body)
    }
}
