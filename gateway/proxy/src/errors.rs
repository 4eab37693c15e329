//! The bodies of errors: `google.rpc.Status` as JSON, and RFC 9457 problem details.

use http::HeaderValue;
use pulpo_gateway::{
    fault::{ErrorContext, ErrorFormat, ErrorReply, Fault},
    problem,
};
use serde::Serialize;
use serde_json::{Value, json};

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
}

/// The JSON form of `google.rpc.Status`.
#[derive(Serialize)]
struct Status<'a> {
    code: i32,
    message: &'a str,
    details: Vec<Value>,
}

impl ErrorFormat for Errors {
    fn render(&self, fault: &Fault, context: ErrorContext<'_>) -> ErrorReply {
        if self.body == ErrorBody::Problem {
            return problem::render(fault, context);
        }
        let status = Status {
            code: fault.code as i32,
            message: &fault.message,
            details: details(fault),
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

/// What is known of `google.rpc.Status.details`, each as the JSON of an Any.
fn details(fault: &Fault) -> Vec<Value> {
    let mut details = Vec::new();
    if !fault.reason.is_empty() {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": fault.reason,
        }));
    }
    if !fault.violations.is_empty() {
        let violations: Vec<Value> = fault
            .violations
            .iter()
            .map(|v| json!({"field": v.field, "description": v.description}))
            .collect();
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": violations,
        }));
    }
    if let Some(wait) = fault.retry_after {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": format!("{}s", wait.as_secs_f64()),
        }));
    }
    details
}
