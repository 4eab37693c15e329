//! The bodies of errors: `google.rpc.Status` as JSON, and RFC 9457 problem details.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use pulpo_gateway::fault::{ErrorContext, ErrorFormat, ErrorReply, Fault};
use serde::Serialize;
use serde_json::{Value, json};

use crate::config::ErrorBody;

const PROBLEM: &str = "application/problem+json";

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

/// RFC 9457, section 3.1, with the members of `google.rpc.Status` as extensions.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    code: i32,
    details: Vec<Value>,
}

impl ErrorFormat for Errors {
    fn render(&self, fault: &Fault, context: ErrorContext<'_>) -> ErrorReply {
        let is_problem = self.body == ErrorBody::Problem || asks_for_problem(context.headers);
        let (content_type, body) = if is_problem {
            (PROBLEM, to_json(&problem(fault, context)))
        } else {
            let status = Status {
                code: fault.code as i32,
                message: &fault.message,
                details: details(fault),
            };
            ("application/json", to_json(&status))
        };
        ErrorReply {
            status: fault.status,
            content_type: HeaderValue::from_static(content_type),
            headers: Vec::new(),
            body,
        }
    }
}

fn problem<'a>(fault: &'a Fault, context: ErrorContext<'a>) -> Problem<'a> {
    Problem {
        r#type: "about:blank",
        title: title(fault.status),
        status: fault.status.as_u16(),
        detail: &fault.message,
        instance: context.path,
        code: fault.code as i32,
        details: details(fault),
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

fn title(status: StatusCode) -> &'static str {
    match status.as_u16() {
        499 => "Client Closed Request",
        _ => status.canonical_reason().unwrap_or("Error"),
    }
}

fn asks_for_problem(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().any(|value| {
        value
            .as_bytes()
            .split(|b| *b == b',')
            .filter_map(|range| range.split(|b| *b == b';').next())
            .any(|essence| {
                essence
                    .trim_ascii()
                    .eq_ignore_ascii_case(PROBLEM.as_bytes())
            })
    })
}

fn to_json(body: &impl Serialize) -> Vec<u8> {
    // Texts and numbers always serialise.
    serde_json::to_vec(body).unwrap_or_default()
}
