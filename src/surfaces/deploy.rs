//! pushpaka: `{error: "text"}` and nothing else.

use pulpo_gateway::fault::{ErrorContext, ErrorFormat, ErrorReply, Fault};
use serde_json::{Value, json};

use super::json_reply;

pub(super) const TITLE: &str = "Pushpaka deployment platform";

/// The document's error body as a JSON Schema.
pub(super) fn error_schema() -> Value {
    json!({
        "type": "object",
        "properties": { "error": { "type": "string", "description": "What went wrong, for people." } },
        "required": ["error"],
    })
}

pub(super) struct Errors;

impl ErrorFormat for Errors {
    fn render(&self, fault: &Fault, _context: ErrorContext<'_>) -> ErrorReply {
        json_reply(fault.status, &json!({ "error": fault.message }))
    }
}
