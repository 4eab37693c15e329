//! What can be wrong with a request, as the client reads it.

use std::sync::{Arc, OnceLock};

use http::{HeaderMap, StatusCode};
use tonic::Code;

use crate::{
    bind::{ParameterProblem, RequestFault},
    codec::JsonFault,
    fault::Fault,
    framing::Framing,
};

/// Where a fault of the request body waits for the reply: a service in another process is only told that the call was
/// given up, and does not know why.
#[derive(Clone, Default)]
pub(crate) struct FaultSlot(Option<Arc<OnceLock<Box<Fault>>>>);

impl FaultSlot {
    /// Room for a fault; the default has none.
    pub(crate) fn new() -> Self {
        Self(Some(Arc::default()))
    }

    /// Keeps the first fault.
    pub(crate) fn keep(&self, fault: &Fault) {
        if let Some(slot) = &self.0 {
            let _ = slot.set(Box::new(fault.clone()));
        }
    }

    /// The fault, if there was one.
    pub(crate) fn get(&self) -> Option<&Fault> {
        self.0.as_ref()?.get().map(|fault| &**fault)
    }
}

/// A binding that does not fit.
#[cold]
pub(crate) fn bind_fault(fault: &RequestFault) -> Box<Fault> {
    match fault {
        RequestFault::Body(fault) => body_fault(fault),
        other => {
            let message = other.to_string();
            let description = match other {
                RequestFault::Parameter { problem, .. } => problem.to_string(),
                _ => message.clone(),
            };
            let reason = match other {
                RequestFault::Parameter {
                    problem: ParameterProblem::NoFile,
                    ..
                } => "UNEXPECTED_FILE",
                _ => "INVALID_PARAMETER",
            };
            Box::new(bad(reason, message).with_violation(other.name(), description))
        }
    }
}

#[cold]
pub(super) fn body_fault(fault: &JsonFault) -> Box<Fault> {
    let description = fault.to_string();
    if fault.path.is_empty() {
        let message = format!(
            "the body is not valid: {description} (at byte {})",
            fault.offset
        );
        return Box::new(bad("INVALID_BODY", message).with_violation("body", description));
    }
    let message = format!("{}: {description}", fault.path);
    Box::new(bad("INVALID_BODY", message).with_violation(&fault.path, description))
}

#[cold]
fn bad(reason: &str, message: impl Into<String>) -> Fault {
    Fault::gateway(
        Code::InvalidArgument,
        StatusCode::BAD_REQUEST,
        reason,
        message,
    )
}

#[cold]
pub(crate) fn bad_request(reason: &str, message: impl Into<String>) -> Box<Fault> {
    Box::new(bad(reason, message))
}

#[cold]
pub(super) fn too_large(limit: usize) -> Box<Fault> {
    let message = format!("the request body is longer than {limit} bytes");
    Box::new(Fault::gateway(
        Code::OutOfRange,
        StatusCode::PAYLOAD_TOO_LARGE,
        "BODY_TOO_LARGE",
        message,
    ))
}

/// What a listener adds to a request, or what a proxy in front of it did; each is not counted once.
const ADDED: [&str; 3] = ["x-request-id", "x-forwarded-for", "x-forwarded-proto"];

/// A request with more header fields than `limit`.
pub(crate) fn too_many_headers(headers: &HeaderMap, limit: usize) -> Option<Box<Fault>> {
    if headers.len() <= limit {
        return None;
    }
    let added = ADDED.iter().filter(|name| headers.contains_key(**name));
    (headers.len() - added.count() > limit).then(|| over_headers(limit))
}

#[cold]
fn over_headers(limit: usize) -> Box<Fault> {
    Box::new(Fault::gateway(
        Code::ResourceExhausted,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "TOO_MANY_HEADERS",
        format!("the request has more than {limit} headers"),
    ))
}

/// `takes` are the media types that would have been right.
#[cold]
pub(super) fn wrong_media_type(takes: &str, content_type: &[u8]) -> Box<Fault> {
    let shown = content_type
        .get(..content_type.len().min(100))
        .unwrap_or_default();
    let message = match shown {
        b"" => format!("Content-Type must be {takes}; a page of another origin has to say it"),
        _ => {
            let shown = String::from_utf8_lossy(shown);
            format!("Content-Type must be {takes}, not {shown}")
        }
    };
    Box::new(Fault::gateway(
        Code::InvalidArgument,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "UNSUPPORTED_MEDIA_TYPE",
        message,
    ))
}

#[cold]
pub(super) fn wrong_coding(coding: &[u8]) -> Box<Fault> {
    let shown = String::from_utf8_lossy(coding.get(..coding.len().min(100)).unwrap_or_default())
        .into_owned();
    Box::new(Fault::gateway(
        Code::InvalidArgument,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "UNSUPPORTED_CONTENT_ENCODING",
        format!("Content-Encoding must be gzip, br or zstd, not {shown}"),
    ))
}

#[cold]
pub(super) fn timed_out() -> Box<Fault> {
    Box::new(Fault::gateway(
        Code::DeadlineExceeded,
        StatusCode::REQUEST_TIMEOUT,
        "BODY_TIMEOUT",
        "the request body took too long to arrive",
    ))
}

#[cold]
pub(crate) fn not_found(path: &str) -> Fault {
    let shown: String = path.chars().take(200).collect();
    Fault::gateway(
        Code::NotFound,
        StatusCode::NOT_FOUND,
        "ROUTE_NOT_FOUND",
        format!("there is nothing at {shown}"),
    )
}

/// `framing` is the one a stream always has; none where the reply is, or can be, JSON.
#[cold]
pub(crate) fn not_acceptable(framing: Option<Framing>) -> Fault {
    let message = match framing {
        Some(Framing::WebSocket) => "this is a WebSocket; ask for an upgrade".to_owned(),
        Some(framing) => format!(
            "the reply is {}, which the Accept header does not take",
            framing.media_type().unwrap_or_default()
        ),
        None => "the reply is application/json, which the Accept header does not take".to_owned(),
    };
    Fault::gateway(
        Code::InvalidArgument,
        StatusCode::NOT_ACCEPTABLE,
        "NOT_ACCEPTABLE",
        message,
    )
}

#[cold]
pub(crate) fn deadline_exceeded() -> Box<Fault> {
    Box::new(Fault::gateway(
        Code::DeadlineExceeded,
        StatusCode::GATEWAY_TIMEOUT,
        "DEADLINE_EXCEEDED",
        "the call took too long; try again",
    ))
}
