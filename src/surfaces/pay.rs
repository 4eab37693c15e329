//! pulse: `{error, code, detail}` with the document's codes.

use pulpo_gateway::fault::{ErrorContext, ErrorFormat, ErrorReply, Fault, Violation};
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
            "detail": {
                "type": ["string", "null"],
                "description": "The fields that are wrong; elsewhere the reason in upper case, for example `INSUFFICIENT_BALANCE`.",
            },
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
        let body = Body {
            error: &fault.message,
            code: word(fault.status).to_ascii_lowercase(),
            detail: detail(fault),
        };
        json_reply(fault.status, &body)
    }
}

/// `code` has the document's few words and the body no other members, so what programs can tell errors of one code apart by is
/// the context the document has `detail` for.
fn detail(fault: &Fault) -> Option<String> {
    if fault.violations.is_empty() {
        let says_more = !matches!(fault.reason.as_str(), "" | "INVALID_ARGUMENT" | "INTERNAL");
        return says_more.then(|| fault.reason.clone());
    }
    let of = |v: &Violation| format!("{}: {}", v.field, v.description);
    let fields: Vec<_> = fault.violations.iter().map(of).collect();
    Some(fields.join("; "))
}
