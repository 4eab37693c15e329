//! Integrations management: `{error: {code, message, details}}`.

use pulpo_gateway::fault::{ErrorContext, ErrorFormat, ErrorReply, Fault};
use serde_json::{Value, json};

use super::{json_reply, word};

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
