//! The reply of a stream: messages in envelopes as they come, and at the end how it ended.
//!
//! The service is asked for more only when the client has taken what there was, and dropped when the client goes away.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::{Code, Status, body::Body};

use super::{
    call::{Call, Format},
    deadline_exceeded, encoding, error, metadata,
    methods::{Method, Methods},
    reply,
    request::Refusal,
};
use crate::{
    compress::Coding,
    frame::{Deframer, FRAME_HEADER},
};

const ENCODING: HeaderName = HeaderName::from_static("connect-content-encoding");

/// Flags of an envelope.
const COMPRESSED: u8 = 1;
const END: u8 = 2;

/// Messages that are there are sent together up to about this many bytes.
const BATCH_BYTES: usize = 32 * 1024;

pin_project! {
    // The body of a streamed reply.
    struct StreamBody {
        #[pin]
        inner: Option<Body>,
        #[pin]
        deadline: Option<Sleep>,
        deframer: Deframer,
        http: StatusCode,
        trailers: HeaderMap,
        // How it ended, when the end is still to be sent.
        end: Option<Status>,
        writer: Writer,
    }
}

/// Puts messages into envelopes.
struct Writer {
    methods: Arc<Methods>,
    method: Arc<Method>,
    format: Format,
    encoding: Option<Coding>,
    refusal: Refusal,
}

/// The client's reply to what the service answered, or to a status.
pub(super) fn reply(
    methods: &Arc<Methods>,
    method: &Arc<Method>,
    call: &Call,
    answer: Result<Response<Body>, Status>,
    deadline: Option<Instant>,
    refusal: Refusal,
) -> Response<Body> {
    let (parts, inner) = answer.unwrap_or_else(Status::into_http).into_parts();
    // A reply of nothing but headers: by gRPC they are its trailers.
    let only_status = Status::from_header_map(&parts.headers);
    let (leading, trailers) = match only_status {
        Some(_) => (HeaderMap::new(), parts.headers),
        None => (parts.headers, HeaderMap::new()),
    };
    let body = StreamBody {
        inner: only_status.is_none().then_some(inner),
        deadline: deadline.map(sleep_until),
        deframer: reply::deframer(methods, &leading),
        http: parts.status,
        trailers,
        end: only_status,
        writer: Writer {
            methods: methods.clone(),
            method: method.clone(),
            format: call.format,
            encoding: call.reply_encoding,
            refusal,
        },
    };
    let mut reply = Response::new(Body::new(body));
    let headers = reply.headers_mut();
    metadata::copy_leading(&methods.options.metadata.replies, &leading, headers);
    headers.insert(header::CONTENT_TYPE, call.content_type());
    if let Some(encoding) = call.reply_encoding.map(Coding::name) {
        headers.insert(ENCODING, encoding);
    }
    reply
}

impl HttpBody for StreamBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut this = self.project();
        let mut out = Vec::new();
        loop {
            if this.end.is_none()
                && let Err(status) = this.writer.write_batch(this.deframer, &mut out)
            {
                *this.end = Some(status);
            }
            if let Some(status) = this.end.take() {
                this.inner.set(None);
                let cut = this.deframer.finish().map_err(reply::frame_fault);
                let status = match cut {
                    Err(cut) if status.code() == Code::Ok => cut,
                    _ => status,
                };
                this.writer.write_end(&status, this.trailers, &mut out);
            }
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(out.into()))));
            }
            let Some(inner) = this.inner.as_mut().as_pin_mut() else {
                return Poll::Ready(None);
            };
            // First, for a service that always has more must end in time too.
            if let Some(deadline) = this.deadline.as_mut().as_pin_mut()
                && deadline.poll(cx).is_ready()
            {
                *this.end = Some(deadline_exceeded());
                continue;
            }
            match ready!(inner.poll_frame(cx)) {
                None => *this.end = Some(reply::ended(*this.http, this.trailers)),
                Some(Err(status)) => *this.end = Some(status),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.deframer.push(data),
                    Err(frame) => *this.trailers = frame.into_trailers().unwrap_or_default(),
                },
            }
        }
    }
}

impl Writer {
    /// Appends messages that have come, up to a batch.
    fn write_batch(&self, deframer: &mut Deframer, out: &mut Vec<u8>) -> Result<(), Status> {
        while out.len() < BATCH_BYTES
            && let Some(message) = deframer.next().map_err(reply::frame_fault)?
        {
            self.write_message(&message, out)?;
        }
        Ok(())
    }

    fn write_message(&self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Status> {
        if self.format == Format::Proto {
            self.write_envelope(0, message, out);
            return Ok(());
        }
        let mut json = Vec::with_capacity(message.len() * 2 + 16);
        reply::write_json(&self.methods, &self.method, message, &mut json)?;
        self.write_envelope(0, &json, out);
        Ok(())
    }

    fn write_end(&self, status: &Status, trailers: &HeaderMap, out: &mut Vec<u8>) {
        let is_error = status.code() != Code::Ok;
        let status = self.refusal.get().filter(|_| is_error).unwrap_or(status);
        let end = error::end_stream(&self.methods, status, trailers);
        self.write_envelope(END, &end, out);
    }

    fn write_envelope(&self, flags: u8, content: &[u8], out: &mut Vec<u8>) {
        let compressed = encoding::compress(self.encoding, content);
        let flags = flags | if compressed.is_some() { COMPRESSED } else { 0 };
        let content = compressed.as_deref().unwrap_or(content);
        out.reserve(FRAME_HEADER + content.len());
        out.push(flags);
        // Messages are limited to far less than this can say.
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(content);
    }
}
