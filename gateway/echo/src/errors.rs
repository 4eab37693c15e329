//! The error body of the REST face.

use http::HeaderValue;
use pulpo_gateway::fault::{ErrorContext, ErrorFormat, ErrorReply, Fault};

/// `{"code":3,"message":"…"}`
pub(crate) struct Errors;

impl ErrorFormat for Errors {
    fn render(&self, fault: &Fault, _: ErrorContext<'_>) -> ErrorReply {
        let body = serde_json::json!({"code": i32::from(fault.code), "message": fault.message});
        ErrorReply {
            status: fault.status,
            content_type: HeaderValue::from_static("application/json"),
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        }
    }
}
