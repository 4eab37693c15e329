//! The request body on its way in: read, transcoded and framed only when the service asks for it.
//!
//! Checks that need no body therefore run before a byte of it is read, and a body that does not fit reaches the
//! service as a status, after those checks.
//!
//! `unary` is the usual way: a whole body becomes one message. `stream` makes one message of each JSON value or piece of
//! bytes (`split` finds the values), `form` reads multipart forms, `decode` decompresses, `fault` words what can be wrong.

mod decode;
pub(crate) mod fault;
mod form;
mod split;
mod stream;
mod unary;

use std::{pin::Pin, sync::Arc, task::Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body::{Body as HttpBody, Frame};
use http_body_util::{Full, StreamBody};
use tonic::{Status, body::Body};

use crate::{
    bind,
    compress::Coding,
    fault::Fault,
    frame::{FRAME_HEADER, finish_frame, gzip_frame, start_frame},
    surface::{Endpoint, RawPlace, Surface, UPDATE_MASK},
    wire,
};

use self::{
    decode::Decoded,
    fault::{FaultSlot, bad_request, bind_fault, too_large, wrong_coding, wrong_media_type},
};

/// What there is to do with the body.
pub(crate) struct Plan {
    pub(crate) surface: Arc<Surface>,
    pub(crate) endpoint: usize,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) content_length: Option<u64>,
    /// Whether nothing says what the body is, and a page of another origin sends it: browsers do so without asking.
    pub(crate) is_unasked: bool,
    /// How the body is compressed; the name where that is not known.
    pub(crate) coding: Result<Option<Coding>, Bytes>,
    pub(crate) bindings: Result<Bindings, Box<Fault>>,
    pub(crate) faults: FaultSlot,
}

/// What query, headers and path bind, already written, behind room for a frame's header. It comes behind the body because
/// the later wins.
pub(crate) struct Bindings(pub(crate) Vec<u8>);

impl Bindings {
    fn wire(&self) -> &[u8] {
        self.0.get(FRAME_HEADER..).unwrap_or_default()
    }

    /// The gRPC request body of a call whose one message is nothing but this.
    pub(crate) fn into_body(self) -> Body {
        // It was the head of a request and so is never longer than a frame can say.
        Body::new(Full::new(finish_frame(self.0).unwrap_or_default()))
    }
}

/// The parts of a request's headers the body needs.
pub(crate) fn body_headers(headers: &HeaderMap) -> (Option<HeaderValue>, Option<u64>) {
    let content_type = headers.get(header::CONTENT_TYPE).cloned();
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse().ok());
    (content_type, length)
}

/// The gRPC request body made from an HTTP body.
pub(crate) fn body<B>(incoming: B, mut plan: Plan) -> Body
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    if plan.is_unasked && incoming.is_end_stream() {
        // No content is of no type.
        plan.is_unasked = false;
    }
    match plan.coding {
        Ok(Some(coding)) => {
            let limit = plan.limit();
            let faults = plan.faults.clone();
            decoded(Decoded::new(incoming, coding, limit, faults), plan)
        }
        _ => decoded(incoming, plan),
    }
}

fn decoded<B>(incoming: B, plan: Plan) -> Body
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    let is_streaming = plan.endpoint().is_some_and(|e| e.input.is_streaming);
    match plan.media() {
        Media::Multipart => Body::new(StreamBody::new(form::messages(incoming, plan))),
        _ if is_streaming => Body::new(StreamBody::new(stream::messages(incoming, plan))),
        _ => Body::new(unary::RequestBody::new(incoming, plan)),
    }
}

/// What the content type says a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Media {
    /// `application/json`, every `+json`, or nothing said.
    Json,
    /// One JSON value a line.
    Lines,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/form-data`.
    Multipart,
    Other,
}

impl Media {
    fn of(content_type: &[u8]) -> Self {
        let essence = content_type
            .split(|b| *b == b';')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        if essence.is_empty() || essence.eq_ignore_ascii_case(b"application/json") {
            return Self::Json;
        }
        let is = |names: &[&str]| {
            names
                .iter()
                .any(|n| essence.eq_ignore_ascii_case(n.as_bytes()))
        };
        if is(&[
            "application/x-ndjson",
            "application/ndjson",
            "application/jsonl",
        ]) {
            Self::Lines
        } else if is(&["application/x-www-form-urlencoded"]) {
            Self::Form
        } else if is(&["multipart/form-data"]) {
            Self::Multipart
        } else if essence
            .get(essence.len().saturating_sub(5)..)
            .is_some_and(|end| end.eq_ignore_ascii_case(b"+json"))
        {
            Self::Json
        } else {
            Self::Other
        }
    }
}

impl Plan {
    fn endpoint(&self) -> Option<&Endpoint> {
        self.surface.endpoints.get(self.endpoint)
    }

    fn content_type(&self) -> &[u8] {
        let value = self.content_type.as_ref();
        value.map(HeaderValue::as_bytes).unwrap_or_default()
    }

    fn limit(&self) -> usize {
        self.surface.options.limits.max_body_bytes
    }

    /// What kind of body this is; bytes that are taken as they are are never looked into.
    fn media(&self) -> Media {
        match self.endpoint() {
            Some(endpoint) if endpoint.input.raw.is_none() => Media::of(self.content_type()),
            _ => Media::Other,
        }
    }

    /// Whether there is a body to read; what can be refused without reading it is refused.
    fn admit(&self) -> Result<bool, Box<Fault>> {
        let Some(endpoint) = self.endpoint() else {
            return Ok(false);
        };
        if matches!(endpoint.binder.body(), bind::Body::None) {
            return Ok(false);
        }
        if let Err(coding) = &self.coding {
            return Err(wrong_coding(coding));
        }
        let is_streaming = endpoint.input.is_streaming;
        if !is_streaming && self.content_length.is_some_and(|n| n > self.limit() as u64) {
            return Err(too_large(self.limit()));
        }
        if endpoint.input.raw.is_some() || self.content_length == Some(0) {
            return Ok(true);
        }
        let form = endpoint.input.form.as_ref();
        let is_taken = match self.media() {
            Media::Json => !self.is_unasked,
            Media::Lines => is_streaming,
            Media::Form => form.is_some() && !is_streaming,
            Media::Multipart => form.is_some(),
            Media::Other => false,
        };
        if is_taken {
            return Ok(true);
        }
        let takes = match (is_streaming, form) {
            (true, _) => "application/x-ndjson or application/json",
            (false, Some(form)) if form.binder(&self.surface.codec).takes_files() => {
                "multipart/form-data or application/json"
            }
            (false, _) => "application/json",
        };
        let content_type = self.content_type();
        Err(wrong_media_type(takes, content_type))
    }

    /// One framed message: what the body gives, then the bindings.
    fn frame(
        &self,
        size: usize,
        write: impl FnOnce(&Endpoint, &mut Vec<u8>) -> Result<(), Box<Fault>>,
    ) -> Result<Bytes, Box<Fault>> {
        let bindings = self.bindings.as_ref().map_err(Clone::clone)?.wire();
        // What is written without a body has the length of its bindings.
        let spare = if size == 0 { 0 } else { 64 };
        let mut frame = start_frame(size + spare + bindings.len());
        if let Some(endpoint) = self.endpoint() {
            write(endpoint, &mut frame)?;
        }
        frame.extend_from_slice(bindings);
        let frame = match self.surface.options.has_grpc_gzip {
            true => gzip_frame(frame),
            false => finish_frame(frame),
        };
        frame.ok_or_else(|| too_large(self.limit()))
    }

    /// One JSON value, with the mask its members give.
    fn write_json(
        &self,
        endpoint: &Endpoint,
        json: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Box<Fault>> {
        let codec = &self.surface.codec;
        endpoint
            .binder
            .write_body(codec, json, out)
            .map_err(|fault| bind_fault(&fault))?;
        let Some(mask) = &endpoint.mask else {
            return Ok(());
        };
        if self.has_mask(mask.number, out)? {
            return Ok(());
        }
        let paths = match &mask.body {
            Some(path) => codec.field_body_mask(path, json),
            None => codec.body_mask(mask.message, json),
        };
        let mut paths = paths.map_err(|fault| fault::body_fault(&fault))?;
        if mask.body.is_none() {
            // An empty mask of the client's own is no change to what it names.
            paths.retain(|path| path != UPDATE_MASK);
        }
        let mut encoded = Vec::new();
        for path in paths {
            wire::put_bytes(1, path.as_bytes(), &mut encoded);
        }
        wire::put_bytes(mask.number, &encoded, out);
        Ok(())
    }

    /// Whether the client names fields itself, in the body written to `frame` or in what is bound besides.
    fn has_mask(&self, number: u32, frame: &[u8]) -> Result<bool, Box<Fault>> {
        let body = frame.get(FRAME_HEADER..).unwrap_or_default();
        let bound = self.bindings.as_ref().map_err(Clone::clone)?.wire();
        let is_in = |wire| {
            let found = wire::find(wire, number);
            found.is_ok_and(|mask| mask.is_some_and(|mask| !mask.is_empty()))
        };
        Ok(is_in(bound) || is_in(body))
    }

    /// Bytes as they are, with the media type where it is given.
    fn write_raw(&self, place: RawPlace, with_type: bool, data: &[u8], out: &mut Vec<u8>) {
        let content_type = Some(self.content_type())
            .filter(|t| with_type && !t.is_empty() && std::str::from_utf8(t).is_ok());
        let put = |out: &mut Vec<u8>| {
            if let Some(content_type) = content_type {
                wire::put_bytes(1, content_type, out);
            }
            if !data.is_empty() {
                wire::put_bytes(2, data, out);
            }
        };
        match place {
            RawPlace::Message => put(out),
            RawPlace::Field(number) => {
                let mut raw = Vec::with_capacity(data.len() + 64);
                put(&mut raw);
                wire::put_bytes(number, &raw, out);
            }
        }
    }

    /// One message of a stream given as JSON, framed; as a status where it does not fit.
    pub(crate) fn json_message(&self, json: &[u8]) -> Result<Bytes, Status> {
        self.json_frame(json).map_err(|fault| self.refuse(&fault))
    }

    fn json_frame(&self, json: &[u8]) -> Result<Bytes, Box<Fault>> {
        self.frame(json.len(), |endpoint, out| {
            self.write_json(endpoint, json, out)
        })
    }

    /// The fault as the service gets it; the reply finds it too.
    fn refuse(&self, fault: &Fault) -> Status {
        self.faults.keep(fault);
        fault.to_status()
    }
}

/// The next bytes of a body, within a time; none at its end.
async fn next_data<B>(
    incoming: &mut Pin<Box<B>>,
    within: std::time::Duration,
) -> Result<Option<Bytes>, Box<Fault>>
where
    B: HttpBody<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    let next = std::future::poll_fn(|cx| {
        loop {
            return match std::task::ready!(incoming.as_mut().poll_frame(cx)) {
                None => Poll::Ready(Ok(None)),
                Some(Err(error)) => Poll::Ready(Err(unreadable(&error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => continue,
                    Ok(data) => Poll::Ready(Ok(Some(data))),
                    Err(_) => continue,
                },
            };
        }
    });
    match tokio::time::timeout(within, next).await {
        Ok(outcome) => outcome,
        Err(_) => Err(fault::timed_out()),
    }
}

fn unreadable(error: &impl std::fmt::Display) -> Box<Fault> {
    let message = format!("the request body could not be read: {error}");
    bad_request("BODY_UNREADABLE", message)
}

/// A frame of data, or the end by a status.
type Outgoing = Result<Frame<Bytes>, Status>;
