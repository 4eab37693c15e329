//! The request body on its way in: read, transcoded and framed only when the service asks for it.
//!
//! Checks that need no body therefore run before a byte of it is read, and a body that does not fit reaches the
//! service as a status, after those checks.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body::{Body as HttpBody, Frame};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tonic::{Code, Status};

use crate::{
    bind::{Body, RequestFault},
    codec::JsonFault,
    fault::Fault,
    surface::{Endpoint, Surface},
    wire,
};

pin_project! {
    /// A gRPC request body of one message, made from an HTTP body.
    pub(crate) struct RequestBody<B> {
        #[pin]
        incoming: B,
        #[pin]
        timeout: Option<Sleep>,
        pieces: wire::Pieces,
        plan: Option<Plan>,
    }
}

/// What there is to do with the body.
pub(crate) struct Plan {
    pub(crate) surface: Arc<Surface>,
    pub(crate) endpoint: usize,
    pub(crate) content_type: Option<Bytes>,
    pub(crate) content_length: Option<u64>,
    /// Query, headers and path, already written; they come behind the body because the later wins.
    pub(crate) bindings: Result<Vec<u8>, Box<Fault>>,
}

impl<B> RequestBody<B> {
    pub(crate) fn new(incoming: B, plan: Plan) -> Self {
        Self {
            incoming,
            timeout: None,
            pieces: wire::Pieces::default(),
            plan: Some(plan),
        }
    }
}

impl<B> HttpBody for RequestBody<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut this = self.project();
        let Some(plan) = this.plan.as_ref() else {
            return Poll::Ready(None);
        };
        let read = match plan.admit() {
            Err(fault) => Err(fault),
            Ok(false) => Ok(Bytes::new()),
            Ok(true) => {
                if this.timeout.is_none() {
                    this.timeout
                        .set(Some(sleep(plan.surface.options.body_timeout)));
                }
                let limit = plan.surface.options.max_body_bytes;
                match poll_whole(this.incoming, this.pieces, limit, cx) {
                    Poll::Ready(read) => read,
                    Poll::Pending => {
                        let Some(timeout) = this.timeout.as_mut().as_pin_mut() else {
                            return Poll::Pending;
                        };
                        ready!(timeout.poll(cx));
                        Err(timed_out())
                    }
                }
            }
        };
        let framed = read.and_then(|body| plan.frame(&body));
        *this.plan = None;
        Poll::Ready(Some(
            framed.map(Frame::data).map_err(|fault| fault.to_status()),
        ))
    }
}

fn poll_whole<B>(
    mut incoming: Pin<&mut B>,
    pieces: &mut wire::Pieces,
    limit: usize,
    cx: &mut Context<'_>,
) -> Poll<Result<Bytes, Box<Fault>>>
where
    B: HttpBody<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    loop {
        match ready!(incoming.as_mut().poll_frame(cx)) {
            None => return Poll::Ready(Ok(pieces.take())),
            Some(Err(error)) => {
                let message = format!("the request body could not be read: {error}");
                return Poll::Ready(Err(bad_request("BODY_UNREADABLE", message)));
            }
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else {
                    continue;
                };
                pieces.push(data);
                if pieces.len() > limit {
                    return Poll::Ready(Err(too_large(limit)));
                }
            }
        }
    }
}

impl Plan {
    fn endpoint(&self) -> Option<&Endpoint> {
        self.surface.endpoints.get(self.endpoint)
    }

    /// Whether there is a body to read; what can be refused without reading it is refused.
    fn admit(&self) -> Result<bool, Box<Fault>> {
        let Some(endpoint) = self.endpoint() else {
            return Ok(false);
        };
        if matches!(endpoint.binder.body(), Body::None) {
            return Ok(false);
        }
        let limit = self.surface.options.max_body_bytes;
        if self.content_length.is_some_and(|n| n > limit as u64) {
            return Err(too_large(limit));
        }
        let must_be_json = endpoint.raw_request.is_none() && self.content_length != Some(0);
        match self.content_type.as_deref() {
            Some(content_type) if must_be_json && !is_json(content_type) => {
                Err(not_json(content_type))
            }
            _ => Ok(true),
        }
    }

    fn frame(&self, body: &[u8]) -> Result<Bytes, Box<Fault>> {
        let bindings = self.bindings.as_ref().map_err(Clone::clone)?;
        let mut frame = wire::start_frame(body.len() + bindings.len() + 64);
        if let Some(endpoint) = self.endpoint() {
            self.write_body(endpoint, body, &mut frame)?;
        }
        frame.extend_from_slice(bindings);
        wire::finish_frame(frame).ok_or_else(|| too_large(self.surface.options.max_body_bytes))
    }

    fn write_body(
        &self,
        endpoint: &Endpoint,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Box<Fault>> {
        if let Some(number) = endpoint.raw_request {
            let mut raw = Vec::with_capacity(body.len() + 64);
            if let Some(content_type) = self
                .content_type
                .as_deref()
                .filter(|t| std::str::from_utf8(t).is_ok())
            {
                wire::put_bytes(1, content_type, &mut raw);
            }
            wire::put_bytes(2, body, &mut raw);
            wire::put_bytes(number, &raw, out);
            return Ok(());
        }
        // A request without a body is an empty object: there is nothing to parse.
        if body.is_empty() || matches!(endpoint.binder.body(), Body::None) {
            return Ok(());
        }
        let codec = &self.surface.codec;
        endpoint
            .binder
            .write_body(codec, body, out)
            .map_err(|fault| bind_fault(&fault))?;
        let Some(mask) = &endpoint.mask else {
            return Ok(());
        };
        let paths = match &mask.body {
            Some(path) => codec.field_body_mask(path, body),
            None => codec.body_mask(mask.message, body),
        };
        let mut encoded = Vec::new();
        for path in paths.map_err(|fault| body_fault(&fault))? {
            wire::put_bytes(1, path.as_bytes(), &mut encoded);
        }
        wire::put_bytes(mask.number, &encoded, out);
        Ok(())
    }
}

/// The parts of a request's headers the body needs.
pub(crate) fn body_headers(headers: &HeaderMap) -> (Option<Bytes>, Option<u64>) {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .map(|v| Bytes::copy_from_slice(v.as_bytes()));
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse().ok());
    (content_type, length)
}

/// A binding that does not fit, as the client should read it.
pub(crate) fn bind_fault(fault: &RequestFault) -> Box<Fault> {
    match fault {
        RequestFault::Body(fault) => body_fault(fault),
        other => {
            let message = other.to_string();
            let field = other.name();
            let description = match other {
                RequestFault::Parameter { problem, .. } => problem.to_string(),
                _ => message.clone(),
            };
            Box::new(bad("INVALID_PARAMETER", message).with_violation(field, description))
        }
    }
}

fn body_fault(fault: &JsonFault) -> Box<Fault> {
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

fn bad(reason: &str, message: String) -> Fault {
    Fault::gateway(
        Code::InvalidArgument,
        StatusCode::BAD_REQUEST,
        reason,
        message,
    )
}

fn bad_request(reason: &str, message: String) -> Box<Fault> {
    Box::new(bad(reason, message))
}

fn too_large(limit: usize) -> Box<Fault> {
    let message = format!("the request body is longer than {limit} bytes");
    Box::new(Fault::gateway(
        Code::OutOfRange,
        StatusCode::PAYLOAD_TOO_LARGE,
        "BODY_TOO_LARGE",
        message,
    ))
}

fn not_json(content_type: &[u8]) -> Box<Fault> {
    let shown = content_type
        .get(..content_type.len().min(100))
        .unwrap_or_default();
    let shown = String::from_utf8_lossy(shown);
    let message = format!("Content-Type must be application/json, not {shown}");
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Box::new(Fault::gateway(
        Code::InvalidArgument,
        status,
        "UNSUPPORTED_MEDIA_TYPE",
        message,
    ))
}

fn timed_out() -> Box<Fault> {
    let message = "the request body took too long to arrive";
    Box::new(Fault::gateway(
        Code::DeadlineExceeded,
        StatusCode::REQUEST_TIMEOUT,
        "BODY_TIMEOUT",
        message,
    ))
}

/// `application/json`, with or without parameters, and every `+json`.
fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type
        .split(|b| *b == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    essence.eq_ignore_ascii_case(b"application/json")
        || essence.len() > 5 && essence[essence.len() - 5..].eq_ignore_ascii_case(b"+json")
        || essence.is_empty()
}
