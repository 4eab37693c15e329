//! The reply of a server stream: one HTTP body that grows with every message.
//!
//! The head waits for the first message or the status, so a call that fails at once has its real HTTP status. What fails later
//! ends the body with the surface's error body as the last element, line or event; bytes as they are have no place for it
//! and break off. The body asks for a message only when the connection can take more, and dropping it cancels the call.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body::Frame;
use tokio::time::{Instant, Sleep};
use tonic::{Status, body::Body};

use super::{
    Call, Messages, add_trailers, chosen_status, copy_metadata, lines, print, raw, render, tag,
    vary,
};
use crate::{
    compress::Encoder,
    fault::{ErrorContext, Fault},
    framing::Framing,
    surface::{Endpoint, RawPlace, Surface},
};

/// Messages that are ready are sent together up to this many bytes.
const FLUSH_BYTES: usize = 32 * 1024;

/// Turns the gRPC response of a streaming method into the REST reply.
pub(crate) async fn streamed(
    call: &Call<'_>,
    framing: Framing,
    response: Response<Body>,
) -> Response<Body> {
    let max_bytes = call.surface.options.limits.max_reply_bytes;
    let (mut parts, messages) =
        Messages::new(response, max_bytes, call.faults.clone(), call.deadline);
    let opened = match messages {
        Ok(mut messages) => match messages.next().await {
            Ok(first) => Printer::open(call, framing, messages, first),
            Err(fault) => {
                add_trailers(&mut parts.headers, messages);
                Err(fault)
            }
        },
        Err(fault) => Err(fault),
    };
    let (content_type, mut printer) = match opened {
        Ok(opened) => opened,
        Err(fault) => return call.refuse(&fault, &parts.headers),
    };
    let status = chosen_status(&parts.headers).unwrap_or(call.endpoint.output.status);
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let headers = reply.headers_mut();
    copy_metadata(call.surface, &parts.headers, headers);
    headers.insert(header::CONTENT_TYPE, content_type);
    if framing == Framing::Events {
        // A cache or a buffering proxy in between would hold events back.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    }
    if call.surface.options.compress_from_bytes.is_some() {
        vary(headers, &header::ACCEPT_ENCODING);
        if let Some(coding) = call.coding(None)
            && let Ok(encoder) = Encoder::new(coding)
        {
            headers.insert(header::CONTENT_ENCODING, coding.name());
            tag::weaken(headers);
            printer.encoder = Some(encoder);
        }
    }
    let output = &call.endpoint.output;
    if output.framing.is_none() && output.raw.is_none() {
        // Which framing it is, this client has chosen.
        vary(headers, &header::ACCEPT);
    }
    *reply.body_mut() = Body::new(printer);
    reply
}

/// What an error body may say about the request, kept for as long as the stream runs.
struct Request {
    method: Method,
    path: String,
    headers: HeaderMap,
}

/// The same headers in memory of their own. Those of a request are pieces of the buffer it was read into, which a stream
/// would otherwise hold on to: eight kilobytes for as long as it runs.
fn detached(headers: &HeaderMap) -> HeaderMap {
    let copied = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).ok();
    let pairs = headers.iter();
    let pairs = pairs.filter_map(|(name, value)| Some((name.clone(), copied(value)?)));
    let mut all = HeaderMap::with_capacity(headers.len());
    all.extend(pairs);
    all
}

/// The body of the reply.
struct Printer {
    surface: Arc<Surface>,
    index: usize,
    /// None where messages are bytes as they are.
    framing: Option<Framing>,
    messages: Messages,
    first: Option<Bytes>,
    request: Request,
    count: u64,
    keep_alive: Option<Pin<Box<Sleep>>>,
    encoder: Option<Encoder>,
    is_done: bool,
    /// What bytes as they are break off with.
    late: Option<Status>,
    /// How large the last piece was, to make room for the next.
    last_bytes: usize,
}

impl Printer {
    fn open(
        call: &Call<'_>,
        framing: Framing,
        messages: Messages,
        first: Option<Bytes>,
    ) -> Result<(HeaderValue, Self), Box<Fault>> {
        let place = call.endpoint.output.raw;
        let mut content_type =
            HeaderValue::from_static(framing.media_type().unwrap_or("application/octet-stream"));
        if let Some(place) = place {
            content_type = HeaderValue::from_static("application/octet-stream");
            if let Some(first) = &first {
                content_type = raw(first.clone(), place)?.0.unwrap_or(content_type);
            }
        }
        let ErrorContext {
            method,
            path,
            headers,
            ..
        } = call.context;
        let framing = place.is_none().then_some(framing);
        let keep_alive = (framing == Some(Framing::Events))
            .then(|| Box::pin(tokio::time::sleep(call.surface.options.streams.keep_alive)));
        let printer = Self {
            surface: call.surface.clone(),
            index: call.index,
            framing,
            messages,
            first,
            request: Request {
                method: method.clone(),
                path: path.to_owned(),
                headers: detached(headers),
            },
            count: 0,
            keep_alive,
            encoder: None,
            is_done: false,
            late: None,
            last_bytes: 0,
        };
        Ok((content_type, printer))
    }

    /// Prints what is ready. Nothing is pending work left when it answers with bytes.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>, Status>>> {
        let mut out = Vec::with_capacity(self.last_bytes);
        while !self.is_done && out.len() < FLUSH_BYTES {
            let next = match self.first.take() {
                Some(first) => Ok(Some(first)),
                None => match self.messages.poll_next(cx) {
                    Poll::Ready(next) => next,
                    Poll::Pending if !out.is_empty() => break,
                    Poll::Pending => return self.poll_keep_alive(cx),
                },
            };
            let printed = match next {
                Ok(Some(message)) => self.message(message, &mut out),
                Ok(None) => {
                    self.end(&mut out);
                    Ok(())
                }
                Err(fault) => Err(fault),
            };
            if let Err(fault) = printed
                && let Err(status) = self.fail(&fault, &mut out)
            {
                return Poll::Ready(Some(Err(status)));
            }
        }
        if out.is_empty() && self.is_done {
            return Poll::Ready(None);
        }
        self.last_bytes = out.len();
        if let Some(keep_alive) = &mut self.keep_alive {
            let next = Instant::now() + self.surface.options.streams.keep_alive;
            keep_alive.as_mut().reset(next);
        }
        Poll::Ready(Some(Ok(out)))
    }

    /// The next bytes that are sent as they are. What came before an error has its turn to be sent: a connection drops what it
    /// holds when it is told of one.
    fn poll_raw(
        &mut self,
        place: RawPlace,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Status>>> {
        loop {
            if let Some(status) = self.late.take() {
                return Poll::Ready(Some(Err(status)));
            }
            let next = match self.first.take() {
                Some(first) => Ok(Some(first)),
                None => std::task::ready!(self.messages.poll_next(cx)),
            };
            let data = match next {
                Ok(Some(message)) => raw(message, place).map(|(_, data)| data),
                Ok(None) => return Poll::Ready(None),
                Err(fault) => Err(fault),
            };
            match data {
                Ok(data) if data.is_empty() => {}
                Ok(data) if self.encoder.is_some() => {
                    return Poll::Ready(Some(self.encoded(data.to_vec())));
                }
                Ok(data) => return Poll::Ready(Some(Ok(data))),
                Err(fault) => {
                    self.late = Some(fault.to_status());
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
    }

    /// A silent stream of events says now and then that it is alive.
    fn poll_keep_alive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>, Status>>> {
        let Some(keep_alive) = &mut self.keep_alive else {
            return Poll::Pending;
        };
        std::task::ready!(keep_alive.as_mut().poll(cx));
        let next = Instant::now() + self.surface.options.streams.keep_alive;
        keep_alive.as_mut().reset(next);
        Poll::Ready(Some(Ok(b": keep-alive\n\n".to_vec())))
    }

    fn endpoint(&self) -> Option<&Endpoint> {
        self.surface.endpoints.get(self.index)
    }

    fn message(&mut self, message: Bytes, out: &mut Vec<u8>) -> Result<(), Box<Fault>> {
        let surface = self.surface.clone();
        let Some(endpoint) = surface.endpoints.get(self.index) else {
            return Ok(());
        };
        let start = out.len();
        self.count += 1;
        let printed = match self.framing {
            Some(Framing::Events) => self.event(endpoint, &message, out),
            Some(Framing::Ndjson) => {
                let printed = print(&surface, endpoint, false, &message, out);
                lines::join(out.get_mut(start..).unwrap_or_default());
                out.push(b'\n');
                printed
            }
            _ => {
                out.push(if self.count == 1 { b'[' } else { b',' });
                print(&surface, endpoint, false, &message, out)
            }
        };
        if printed.is_err() {
            out.truncate(start);
            self.count -= 1;
        }
        printed
    }

    fn event(
        &self,
        endpoint: &Endpoint,
        message: &Bytes,
        out: &mut Vec<u8>,
    ) -> Result<(), Box<Fault>> {
        let events = &endpoint.output.events;
        if !events.is_plain && self.count == 1 {
            let retry = self.surface.options.streams.retry.as_millis();
            out.extend_from_slice(format!("retry: {retry}\n").as_bytes());
        }
        match &events.id {
            Some(path) => lines::field(&self.surface, "id: ", path, message, out)?,
            None if events.is_plain => {}
            None => out.extend_from_slice(format!("id: {}\n", self.count).as_bytes()),
        }
        if let Some(path) = &events.name {
            lines::field(&self.surface, "event: ", path, message, out)?;
        }
        lines::data(out, |out| {
            print(&self.surface, endpoint, false, message, out)
        })
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.is_done = true;
        match self.framing {
            Some(Framing::Array) if self.count == 0 => out.extend_from_slice(b"[]"),
            Some(Framing::Array) => out.push(b']'),
            Some(Framing::Events) if !self.endpoint().is_some_and(|e| e.output.events.is_plain) => {
                out.extend_from_slice(b"event: end\ndata: {}\n\n");
            }
            _ => {}
        }
    }

    /// The framing's own end by an error. Bytes as they are have none: the transfer breaks off.
    fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>) -> Result<(), Status> {
        self.is_done = true;
        let Request {
            method,
            path,
            headers,
        } = &self.request;
        let context = ErrorContext::new(method, path, headers);
        let body = render(&self.surface, fault, context).body;
        match self.framing {
            Some(Framing::Array) => {
                out.push(if self.count == 0 { b'[' } else { b',' });
                out.extend_from_slice(&body);
                out.push(b']');
            }
            Some(Framing::Ndjson) => {
                out.extend(body.iter().filter(|b| !matches!(b, b'\n' | b'\r')));
                out.push(b'\n');
            }
            Some(Framing::Events) => {
                out.extend_from_slice(b"event: error\n");
                lines::data_of(&body, out);
            }
            Some(Framing::WebSocket) | None => return Err(fault.to_status()),
        }
        Ok(())
    }

    fn encoded(&mut self, piece: Vec<u8>) -> Result<Bytes, Status> {
        let Some(encoder) = &mut self.encoder else {
            return Ok(piece.into());
        };
        encoder
            .piece(&piece)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

impl http_body::Body for Printer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let place = self.endpoint().and_then(|endpoint| endpoint.output.raw);
        let piece = match place {
            Some(place) => std::task::ready!(self.poll_raw(place, cx)),
            None => match std::task::ready!(self.poll_piece(cx)) {
                Some(Ok(piece)) => Some(self.encoded(piece)),
                Some(Err(status)) => Some(Err(status)),
                None => None,
            },
        };
        let piece = match piece {
            Some(piece) => piece,
            None => match self.encoder.take().map(Encoder::finish) {
                None => return Poll::Ready(None),
                Some(last) => last.map_err(|error| Status::internal(error.to_string())),
            },
        };
        Poll::Ready(Some(piece.map(Frame::data)))
    }
}
