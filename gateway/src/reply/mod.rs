//! The reply on its way out: messages of a gRPC response as JSON (or as they are), its metadata as headers.
//!
//! `messages` takes the gRPC reply apart, `unary` prints one message, `stream` prints many in a framing (`lines` for those
//! made of lines), `websocket` as text frames between a `handshake` (after `opening`, what the service
//! says before it) and its `close`, `tag` knows entity tags. This file has what they share: refusals, headers, and the JSON of
//! a message.

mod close;
mod handshake;
mod lines;
mod messages;
mod opening;
mod stream;
pub(crate) mod tag;
mod unary;
mod websocket;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use tokio::time::Instant;
use tonic::{Code, Status, body::Body};

use crate::{
    compress::Coding,
    fault::{ErrorContext, ErrorReply, Fault},
    problem,
    request::fault::FaultSlot,
    surface::{Endpoint, RawPlace, Surface},
    wire,
};

pub use self::websocket::Sockets;
pub(crate) use self::{
    handshake::{Handshake, offer_upgrade},
    messages::Messages,
    stream::streamed,
    unary::{Reading, read, unary},
    websocket::{Incoming, upgrade},
};

/// Response metadata with which a service chooses another HTTP status for a successful reply, for example 503 for a
/// health report.
pub const STATUS_METADATA: HeaderName = HeaderName::from_static("pulpo-http-status");

/// What is known of a call when its reply comes.
pub(crate) struct Call<'a> {
    pub(crate) surface: &'a Arc<Surface>,
    pub(crate) index: usize,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) context: ErrorContext<'a>,
    pub(crate) faults: FaultSlot,
    pub(crate) deadline: Option<Instant>,
    /// Whether a unary reply may be its message alone.
    pub(crate) is_bare: bool,
}

impl Call<'_> {
    #[cold]
    fn refuse(&self, fault: &Fault, metadata: &HeaderMap) -> Response<Body> {
        let mut reply = refusal(self.surface, fault, self.context);
        copy_metadata(self.surface, metadata, reply.headers_mut());
        reply
    }

    /// How a reply of at least this many bytes is compressed.
    fn coding(&self, length: Option<usize>) -> Option<Coding> {
        let from = self.surface.options.compress_from_bytes?;
        if length.is_some_and(|length| length < from) {
            return None;
        }
        Coding::preferred(self.context.headers)
    }
}

/// A fault in the surface's own words, or as problem details where surface and client want those.
#[cold]
pub(crate) fn refusal(
    surface: &Surface,
    fault: &Fault,
    context: ErrorContext<'_>,
) -> Response<Body> {
    let mut reply = render(surface, fault, context).into_response(fault);
    if surface.options.has_problem_json {
        vary(reply.headers_mut(), &header::ACCEPT);
    }
    reply
}

fn render(surface: &Surface, fault: &Fault, context: ErrorContext<'_>) -> ErrorReply {
    let context = ErrorContext {
        types: &surface.details,
        ..context
    };
    match surface.options.has_problem_json && problem::is_wanted(context.headers) {
        true => problem::render(fault, context),
        false => surface.options.errors.render(fault, context),
    }
}

/// The fault a gRPC response carries, if it is one.
pub(crate) fn fault_of(response: &Response<Body>) -> Option<Fault> {
    let status = Status::from_header_map(response.headers())?;
    (status.code() != Code::Ok).then(|| Fault::from_status(&status))
}

/// The JSON of one message, in the surface's envelope where it is asked for.
fn print(
    surface: &Surface,
    endpoint: &Endpoint,
    in_envelope: bool,
    message: &Bytes,
    out: &mut Vec<u8>,
) -> Result<(), Box<Fault>> {
    let output = &endpoint.output;
    let envelope = surface
        .options
        .envelope
        .filter(|_| in_envelope && !output.is_bare);
    if let Some(envelope) = envelope {
        out.extend_from_slice(envelope.prefix.as_bytes());
    }
    let is_absent = match output.nullable {
        Some(number) if envelope.is_some() => wire::find_bytes(message.clone(), number)
            .map_err(damaged)?
            .is_none(),
        _ => false,
    };
    if let (true, Some(envelope)) = (is_absent, envelope) {
        out.extend_from_slice(envelope.absent.as_bytes());
    } else {
        let written = match endpoint.binder.response_body() {
            Some(path) => surface.codec.write_field_json(path, message, out),
            None => surface.codec.write_json(output.message, message, out),
        };
        written.map_err(|fault| broken(&fault.to_string()))?;
    }
    if let Some(envelope) = envelope {
        out.extend_from_slice(envelope.suffix.as_bytes());
    }
    Ok(())
}

/// The bytes of a message's `google.api.HttpBody`, and its media type where it says one.
fn raw(message: Bytes, place: RawPlace) -> Result<(Option<HeaderValue>, Bytes), Box<Fault>> {
    let part = |of: &Bytes, number| {
        let found = wire::find_bytes(of.clone(), number).map_err(damaged)?;
        Ok::<_, Box<Fault>>(found.unwrap_or_default())
    };
    let body = match place {
        RawPlace::Message => message,
        RawPlace::Field(number) => part(&message, number)?,
    };
    let content_type = part(&body, 1)?;
    let content_type = match content_type.is_empty() {
        true => None,
        false => Some(
            HeaderValue::from_maybe_shared(content_type)
                .map_err(|_| broken("the media type of the reply is not one"))?,
        ),
    };
    Ok((content_type, part(&body, 2)?))
}

#[cold]
fn damaged(_: wire::Damaged) -> Box<Fault> {
    broken("the reply is damaged")
}

#[cold]
fn broken(message: &str) -> Box<Fault> {
    tracing::error!(message, "a service gave a reply that cannot be printed");
    Box::new(Fault::gateway(
        Code::Internal,
        StatusCode::INTERNAL_SERVER_ERROR,
        "BROKEN_REPLY",
        "the service gave a reply that cannot be printed",
    ))
}

/// Whether there is nothing but the media type, as is usual: then nothing has to be looked up.
fn is_plain(headers: &HeaderMap) -> bool {
    headers.len() == 1 && headers.contains_key(header::CONTENT_TYPE)
}

fn chosen_status(headers: &HeaderMap) -> Option<u16> {
    if headers.is_empty() || is_plain(headers) {
        return None;
    }
    headers.get(STATUS_METADATA)?.to_str().ok()?.parse().ok()
}

/// Metadata that the surface shows to its clients.
pub(crate) fn copy_metadata(surface: &Surface, from: &HeaderMap, to: &mut HeaderMap) {
    if let Err(name) = surface.options.metadata.replies.copy(from, to) {
        tracing::warn!(%name, "binary metadata of a reply is not base64 and was left out");
    }
}

/// What a reply ended with joins its head, where that has not been sent: nobody reads trailers over HTTP/1.1.
fn add_trailers(head: &mut HeaderMap, ended: Messages) {
    for (name, value) in ended.into_trailers().iter().flatten() {
        if *name != Status::GRPC_STATUS {
            head.append(name.clone(), value.clone());
        }
    }
}

fn vary(headers: &mut HeaderMap, on: &HeaderName) {
    headers.append(header::VARY, HeaderValue::from(on.clone()));
}

fn full(body: Bytes) -> Body {
    Body::new(Full::new(body))
}
