//! pulse: `{error, code, detail}` with the document's codes.

use pulpo_gateway::fault::{ErrorContext, ErrorFormat, ErrorReply, Fault};
use serde::Serialize;

use super::{json_reply, word};

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
