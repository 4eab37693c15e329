//! The bodies of errors: `google.rpc.Status` as JSON, and RFC 9457 problem details.

use http::HeaderValue;
use pulpo_gateway::{
    fault::{ErrorContext, ErrorFormat, ErrorReply, Fault},
    problem,
};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};

use crate::config::ErrorBody;

/// The errors of one surface.
pub struct Errors {
    body: ErrorBody,
}

impl Errors {
    /// Errors with this body.
    pub fn new(body: ErrorBody) -> Self {
        Self { body }
    }

    /// The JSON Schema of the body.
    pub fn schema(&self) -> Value {
        if self.body == ErrorBody::Problem {
            return problem::schema();
        }
        json!({
            "type": "object",
            "description": "google.rpc.Status",
            "properties": {
                "code": { "type": "integer", "description": "A code of google.rpc.Code." },
                "message": { "type": "string" },
                "details": { "type": "array", "items": problem::detail_schema() },
            },
            "required": ["code", "message", "details"],
        })
    }
}

/// The JSON form of `google.rpc.Status`.
#[derive(Serialize)]
struct Status<'a> {
    code: i32,
    message: &'a str,
    details: Vec<Box<RawValue>>,
}

impl ErrorFormat for Errors {
    fn render(&self, fault: &Fault, context: ErrorContext<'_>) -> ErrorReply {
        if self.body == ErrorBody::Problem {
            return problem::render(fault, context);
        }
        let status = Status {
            code: fault.code as i32,
            message: &fault.message,
            details: context.details(fault),
        };
        ErrorReply {
            status: fault.status,
            content_type: HeaderValue::from_static("application/json"),
            headers: Vec::new(),
            // Texts and numbers always serialise.
            body: serde_json::to_vec(&status).unwrap_or_default(),
        }
    }
}
