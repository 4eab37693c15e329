//! The request's messages on their way in: read, transcoded and framed only when the service asks for them.
//!
//! Checks that need no body therefore run before a byte of it is read, and a message that does not fit reaches the
//! service as a status, after those checks.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body as HttpBody, Frame};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tonic::{Code, Status};

use super::{
    call::{Call, Format, Source},
    methods::{Kind, Method, Methods},
};
use crate::{
    codec::JsonFault,
    compress::Coding,
    fault::Fault,
    frame::{self, Deframer, FrameFault},
    wire::Pieces,
};

/// Why the request was refused, for the reply: a service behind a network only sees that its request broke off.
pub(super) type Refusal = Arc<OnceLock<Status>>;

pin_project! {
    /// A gRPC request body made from the body, or the query, of a Connect request.
    pub(super) struct RequestBody<B> {
        #[pin]
        incoming: B,
        #[pin]
        timeout: Option<Sleep>,
        state: State,
        writer: Writer,
    }
}

/// Of a message that is too long so much more is read and forgotten: a client that still writes when its connection is
/// closed may never read why. connect-go discards as much.
const FORGOTTEN_BYTES: usize = 4 << 20;

enum State {
    /// The request is refused.
    Fault(Status),
    /// The only message has come, but for its compression.
    Come(Bytes),
    /// The body is the only message.
    Whole(Pieces),
    /// Messages come in envelopes.
    Envelopes(Deframer),
    /// One message comes in an envelope, and then the body must end.
    Envelope(Deframer, Option<Bytes>),
    /// The only message is too long. So many bytes are still read.
    TooLong(usize),
    Done,
}

/// Makes a gRPC message frame of one message as it came.
struct Writer {
    methods: Arc<Methods>,
    method: Arc<Method>,
    format: Format,
    encoding: Option<Coding>,
    refusal: Refusal,
}

impl<B> RequestBody<B> {
    pub(super) fn new(
        incoming: B,
        methods: &Arc<Methods>,
        method: &Arc<Method>,
        call: &mut Call,
        refusal: Refusal,
    ) -> Self {
        let deframer = Deframer::new(
            methods.options.limits.max_body_bytes,
            call.encoding == Some(Coding::Gzip),
        );
        let state = match (call.fault.take(), &mut call.source) {
            (Some(fault), _) => State::Fault(fault),
            (None, Source::Query(message)) => State::Come(std::mem::take(message).into()),
            (None, Source::Body) => State::Whole(Pieces::default()),
            (None, Source::Envelopes) if method.kind == Kind::ServerStream => {
                State::Envelope(deframer, None)
            }
            (None, Source::Envelopes) => State::Envelopes(deframer),
        };
        Self {
            incoming,
            timeout: None,
            state,
            writer: Writer {
                methods: methods.clone(),
                method: method.clone(),
                format: call.format,
                encoding: call.encoding,
                refusal,
            },
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
        let mut polled = poll_message(this.incoming, this.state, this.writer, cx);
        if polled.is_pending() {
            if this.timeout.is_none() {
                let limits = &this.writer.methods.options.limits;
                let time = match this.state {
                    State::Envelopes(_) => limits.idle_timeout,
                    _ => limits.body_timeout,
                };
                this.timeout.set(Some(sleep(time)));
            }
            if let Some(timeout) = this.timeout.as_mut().as_pin_mut() {
                ready!(timeout.poll(cx));
                let message = "the request took too long to arrive";
                polled = Poll::Ready(Some(Err(Status::deadline_exceeded(message))));
            }
        }
        let Some(read) = ready!(polled) else {
            *this.state = State::Done;
            return Poll::Ready(None);
        };
        this.timeout.set(None);
        let framed = read.and_then(|message| this.writer.frame(&message));
        Poll::Ready(Some(framed.map(Frame::data).inspect_err(|fault| {
            *this.state = State::Done;
            // The first refusal is the reason for all that follows.
            this.writer.refusal.get_or_init(|| fault.clone());
        })))
    }
}

/// The next message, uncompressed.
fn poll_message<B>(
    mut incoming: Pin<&mut B>,
    state: &mut State,
    writer: &Writer,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Bytes, Status>>>
where
    B: HttpBody<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    loop {
        if let Some(known) = state.next(writer) {
            return Poll::Ready(known.transpose());
        }
        let piece = match ready!(incoming.as_mut().poll_frame(cx)) {
            None => None,
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => Some(data),
                // Trailers mean nothing to Connect.
                Err(_) => continue,
            },
            Some(Err(error)) => {
                let message = format!("the request could not be read: {error}");
                return Poll::Ready(Some(Err(Status::invalid_argument(message))));
            }
        };
        let taken = match piece {
            Some(piece) => state.push(piece, writer),
            None => state.end(writer),
        };
        if let Err(fault) = taken {
            return Poll::Ready(Some(Err(fault)));
        }
    }
}

impl State {
    /// The next message of what has come, or the end; none where more must come first.
    fn next(&mut self, writer: &Writer) -> Option<Result<Option<Bytes>, Status>> {
        match self {
            Self::Envelopes(deframer) => deframer
                .next()
                .map_err(frame_fault)
                .map(|m| m.map(Some))
                .transpose(),
            Self::Envelope(deframer, held) => loop {
                match deframer.next() {
                    Ok(None) => return None,
                    Ok(Some(message)) if held.is_none() => *held = Some(message),
                    // By gRPC's rule for a number of messages the method does not have.
                    Ok(Some(_)) => {
                        return Some(Err(Status::unimplemented(
                            "the request has more than one message",
                        )));
                    }
                    Err(FrameFault::TooLong { .. }) => {
                        *self = Self::TooLong(FORGOTTEN_BYTES);
                        return None;
                    }
                    Err(fault) => return Some(Err(frame_fault(fault))),
                }
            },
            Self::Whole(_) | Self::TooLong(_) => None,
            Self::Come(_) | Self::Fault(_) | Self::Done => {
                match std::mem::replace(self, Self::Done) {
                    Self::Come(message) => Some(writer.decompress(message).map(Some)),
                    Self::Fault(fault) => Some(Err(fault)),
                    _ => Some(Ok(None)),
                }
            }
        }
    }

    fn push(&mut self, piece: Bytes, writer: &Writer) -> Result<(), Status> {
        match self {
            Self::Envelopes(deframer) | Self::Envelope(deframer, _) => deframer.push(piece),
            Self::Whole(pieces) => {
                pieces.push(piece);
                if pieces.len() > writer.methods.options.limits.max_body_bytes {
                    *self = Self::TooLong(FORGOTTEN_BYTES);
                }
            }
            Self::TooLong(left) => {
                *left = left
                    .checked_sub(piece.len())
                    .ok_or_else(|| writer.too_long())?;
            }
            Self::Come(_) | Self::Fault(_) | Self::Done => {}
        }
        Ok(())
    }

    /// The body has ended.
    fn end(&mut self, writer: &Writer) -> Result<(), Status> {
        *self = match std::mem::replace(self, Self::Done) {
            Self::Envelopes(deframer) => {
                deframer.finish().map_err(frame_fault)?;
                Self::Done
            }
            Self::Envelope(deframer, held) => {
                deframer.finish().map_err(frame_fault)?;
                let none = || Status::unimplemented("the request has no message");
                Self::Come(held.ok_or_else(none)?)
            }
            Self::Whole(mut pieces) => Self::Come(pieces.take()),
            Self::TooLong(_) => return Err(writer.too_long()),
            other => other,
        };
        Ok(())
    }
}

impl Writer {
    /// The only message of a request, which is compressed as a whole; envelopes were decompressed one by one.
    fn decompress(&self, message: Bytes) -> Result<Bytes, Status> {
        let is_compressed = self.method.kind == Kind::Unary && self.encoding == Some(Coding::Gzip);
        // No bytes are not decompressed, by the document.
        if !is_compressed || message.is_empty() {
            return Ok(message);
        }
        frame::gunzip(&message, self.methods.options.limits.max_body_bytes).map_err(frame_fault)
    }

    fn frame(&self, message: &[u8]) -> Result<Bytes, Status> {
        let mut framed = frame::start_frame(message.len());
        match self.format {
            Format::Proto => framed.extend_from_slice(message),
            Format::Json => self
                .methods
                .codec
                .read_json(self.method.input, message, &mut framed)
                .map_err(|fault| json_fault(&fault))?,
        }
        frame::finish_frame(framed).ok_or_else(|| self.too_long())
    }

    fn too_long(&self) -> Status {
        let limit = self.methods.options.limits.max_body_bytes;
        frame_fault(FrameFault::TooLong { limit })
    }
}

fn frame_fault(fault: FrameFault) -> Status {
    let code = match fault {
        FrameFault::TooLong { .. } => Code::ResourceExhausted,
        FrameFault::Compression => Code::Internal,
        FrameFault::Damaged | FrameFault::Cut => Code::InvalidArgument,
    };
    Status::new(code, fault.to_string())
}

fn json_fault(fault: &JsonFault) -> Status {
    let description = fault.to_string();
    let (field, message) = if fault.path.is_empty() {
        let message = format!(
            "the message is not valid: {description} (at byte {})",
            fault.offset
        );
        ("message", message)
    } else {
        (
            fault.path.as_str(),
            format!("{}: {description}", fault.path),
        )
    };
    Fault::gateway(
        Code::InvalidArgument,
        StatusCode::BAD_REQUEST,
        "INVALID_MESSAGE",
        message,
    )
    .with_violation(field, description)
    .to_status()
}
