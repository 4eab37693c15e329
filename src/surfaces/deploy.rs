//! pushpaka: `{error: "text"}` and nothing else.

use pulpo_gateway::fault::{ErrorContext, ErrorFormat, ErrorReply, Fault};
use serde_json::json;

use super::json_reply;

pub(super) struct Errors;

impl ErrorFormat for Errors {
    fn render(&self, fault: &Fault, _context: ErrorContext<'_>) -> ErrorReply {
        json_reply(fault.status, &json!({ "error": fault.message }))
    }
}
