//! pulse: `{error, code, detail}` with the document's codes.

use pulpo_gateway::fault::{ErrorContext, ErrorFormat, ErrorReply, Fault};
use serde_json::{Value, json};

use super::{json_reply, word};

pub(super) struct Errors;

impl ErrorFormat for Errors {
    fn render(&self, fault: &Fault, _context: ErrorContext<'_>) -> ErrorReply {
        let detail = fault
            .violations
            .iter()
            .map(|v| format!("{}: {}", v.field, v.description))
            .collect::<Vec<_>>()
            .join("; ");
        let detail = if detail.is_empty() {
            Value::Null
        } else {
            Value::String(detail)
        };
        let body = json!({
            "error": fault.message,
            "code": word(fault.status).to_ascii_lowercase(),
            "detail": detail,
        });
        json_reply(fault.status, &body)
    }
}
