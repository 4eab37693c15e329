//! puppyone: success in `{code: 0, message: "success", data}`; errors in the same members, with the document's words.

use http::{HeaderValue, StatusCode, header};
use pulpo_gateway::{
    fault::{ErrorContext, ErrorFormat, ErrorReply, Fault},
    surface::Envelope,
};
use serde::Serialize;
use serde_json::{Value, json};
use tonic::Code;

use super::{json_reply, word};

pub(super) const ENVELOPE: Envelope = Envelope {
    prefix: r#"{"code":0,"message":"success","data":"#,
    absent: "null",
    suffix: "}",
};

pub(super) const TITLE: &str = "PuppyOne workspace";

/// The document's error body as a JSON Schema.
pub(super) fn error_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "code": { "type": "string", "description": "A code for programs, for example `VALIDATION_ERROR`." },
            "message": { "type": "string", "description": "What went wrong, for people." },
            "data": {
                "type": ["array", "null"],
                "description": "The fields that are wrong.",
                "items": { "type": "string" },
            },
        },
        "required": ["code", "message", "data"],
    })
}

pub(super) struct Errors;

/// The document's error body.
#[derive(Serialize)]
struct Body<'a> {
    code: &'a str,
    message: &'a str,
    data: Option<Vec<String>>,
}

impl ErrorFormat for Errors {
    fn render(&self, fault: &Fault, _context: ErrorContext<'_>) -> ErrorReply {
        // Requests that do not validate are 422 here; rules of the product stay 400.
        let is_validation =
            fault.code == Code::InvalidArgument && fault.status == StatusCode::BAD_REQUEST;
        let status = if is_validation {
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            fault.status
        };
        let code = match fault.reason.as_str() {
            reason @ ("NAME_CONFLICT" | "VERSION_CONFLICT") => reason,
            _ if status == StatusCode::CONFLICT => "NAME_CONFLICT",
            _ => word(status),
        };
        let reasons: Vec<String> = fault
            .violations
            .iter()
            .map(|v| format!("{}: {}", v.field, v.description))
            .collect();
        let body = Body {
            code,
            message: &fault.message,
            data: (!reasons.is_empty()).then_some(reasons),
        };
        let mut reply = json_reply(status, &body);
        if status == StatusCode::UNAUTHORIZED {
            reply
                .headers
                .push((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        }
        reply
    }
}
