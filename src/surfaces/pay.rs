//! pulse: `{error, code, detail}` with the document's codes.

use pulpo_gateway::fault::{ErrorContext, ErrorFormat, ErrorReply, Fault};
use serde::Serialize;
use serde_json::{Value, json};

use super::{json_reply, word};

pub(super) const TITLE: &str = "Pulse payments";

/// The document's error body as a JSON Schema.
pub(super) fn error_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "error": { "type": "string", "description": "What went wrong, for people." },
            "code": { "type": "string", "description": "A code for programs, for example `bad_request`." },
            "detail": { "type": ["string", "null"], "description": "The fields that are wrong." },
        },
        "required": ["error", "code", "detail"],
    })
}

pub(super) struct Errors;

/// The document's error body.
#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    code: String,
    detail: Option<String>,
}

impl ErrorFormat for Errors {
    fn render(&self, fault: &Fault, _context: ErrorContext<'_>) -> ErrorReply {
        let detail = fault
            .violations
            .iter()
            .map(|v| format!("{}: {}", v.field, v.description))
            .collect::<Vec<_>>()
            .join("; ");
        let body = Body {
            error: &fault.message,
            code: word(fault.status).to_ascii_lowercase(),
            detail: (!detail.is_empty()).then_some(detail),
        };
        json_reply(fault.status, &body)
    }
}
