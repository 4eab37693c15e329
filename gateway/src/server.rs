//! How a generated service answers a call: as tonic's own server does, and for less where the call is unary and nothing is
//! compressed, which is nearly always.
//!
//! tonic reads the one message of such a call as a stream of messages that may come in any pieces and be compressed, and
//! writes the reply as another. Here the message is decoded where it lies, and the reply is encoded in its frame.
//! `pulpo-gateway-build` generates services with this type; everything else it leaves to tonic.

use std::{
    any::Any,
    convert::Infallible,
    future::{Future, poll_fn, ready},
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use http_body::{Body as HttpBody, Frame};
use http_body_util::{BodyExt, Full};
use prost::Message;
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::{BoxFuture, EnabledCompressionEncodings, StdError},
    metadata::MetadataMap,
    server::{
        self, ClientStreamingService, ServerStreamingService, StreamingService, UnaryService,
    },
};

use crate::{
    call::is_bare,
    frame::{Deframer, FrameFault, GRPC_ENCODING, finish_frame, start_frame},
    tonic_codec::{MessageCodec, decoded},
};

/// The longest message that is taken where a service says nothing: as tonic.
const MAX_DECODING_BYTES: usize = 4 << 20;

/// Metadata a service may not set: it is what the reply itself is made of.
const RESERVED: [HeaderName; 5] = [
    header::TE,
    header::CONTENT_TYPE,
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-message-type"),
    HeaderName::from_static("grpc-status"),
];

/// A unary method, as generated code calls it: tonic's `UnaryService` without a box for its future.
pub trait Unary<D> {
    /// The message of the reply.
    type Response;

    /// Calls it.
    fn call(
        &mut self,
        request: Request<D>,
    ) -> impl Future<Output = Result<Response<Self::Response>, Status>> + Send + 'static + use<Self, D>;
}

/// The same for tonic.
struct Boxed<S>(S);

impl<S, D> UnaryService<D> for Boxed<S>
where
    S: Unary<D>,
{
    type Response = S::Response;
    type Future = BoxFuture<Response<S::Response>, Status>;

    fn call(&mut self, request: Request<D>) -> Self::Future {
        Box::pin(self.0.call(request))
    }
}

/// Answers the calls of one method, whose replies are `E` and whose requests are `D`.
pub struct Grpc<E, D> {
    messages: PhantomData<MessageCodec<E, D>>,
    accepted: EnabledCompressionEncodings,
    sent: EnabledCompressionEncodings,
    max_decoding: Option<usize>,
    max_encoding: Option<usize>,
}

// The methods are those of `tonic::server::Grpc` which generated code calls.
impl<E, D> Grpc<E, D>
where
    E: Message + Send + 'static,
    D: Message + Default + Send + 'static,
{
    /// An answer without compression and with the usual limits.
    pub fn new(_: MessageCodec<E, D>) -> Self {
        Self {
            messages: PhantomData,
            accepted: EnabledCompressionEncodings::default(),
            sent: EnabledCompressionEncodings::default(),
            max_decoding: None,
            max_encoding: None,
        }
    }

    /// How requests may and replies should be compressed.
    #[must_use]
    pub fn apply_compression_config(
        self,
        accepted: EnabledCompressionEncodings,
        sent: EnabledCompressionEncodings,
    ) -> Self {
        Self {
            accepted,
            sent,
            ..self
        }
    }

    /// The longest message of a request (4 MiB where none is given) and of a reply (any), in bytes.
    #[must_use]
    pub fn apply_max_message_size_config(
        self,
        max_decoding: Option<usize>,
        max_encoding: Option<usize>,
    ) -> Self {
        Self {
            max_decoding,
            max_encoding,
            ..self
        }
    }

    /// One message in, one out. What is there of the request is read at once, so that only a reply has to be waited for,
    /// and nothing as large as a request moves about with it.
    pub fn unary<S, B>(&mut self, service: S, request: http::Request<B>) -> Answer
    where
        S: Unary<D, Response = E> + Send + 'static,
        B: HttpBody + Send + 'static,
        B::Error: Into<StdError> + Send,
    {
        let is_bare = is_bare(request.headers());
        let may_be_compressed =
            || !self.sent.is_empty() || request.headers().contains_key(GRPC_ENCODING);
        if !is_bare && may_be_compressed() {
            let mut tonic = self.tonic();
            return Box::pin(async move { Ok(tonic.unary(Boxed(service), request).await) });
        }
        let form = Form {
            is_bare,
            limit: self.max_encoding.unwrap_or(usize::MAX),
        };
        let (parts, body) = request.into_parts();
        let mut only = OnlyMessage::of(body, self.max_decoding.unwrap_or(MAX_DECODING_BYTES));
        let mut nobody = Context::from_waker(Waker::noop());
        match only.poll(&mut nobody) {
            Poll::Ready(message) => match started(service, parts, message) {
                Ok(reply) => Box::pin(async move { Ok(form.written(reply.await)) }),
                Err(status) => Box::pin(ready(Ok(status.into_http()))),
            },
            Poll::Pending => Box::pin(async move {
                let message = poll_fn(|cx| only.poll(cx)).await;
                Ok(match started(service, parts, message) {
                    Ok(reply) => form.written(reply.await),
                    Err(status) => status.into_http(),
                })
            }),
        }
    }

    /// One message in, a stream out.
    pub async fn server_streaming<S, B>(
        &mut self,
        service: S,
        request: http::Request<B>,
    ) -> http::Response<Body>
    where
        S: ServerStreamingService<D, Response = E>,
        S::ResponseStream: Send + 'static,
        B: HttpBody + Send + 'static,
        B::Error: Into<StdError> + Send,
    {
        self.tonic().server_streaming(service, request).await
    }

    /// A stream in, one message out.
    pub async fn client_streaming<S, B>(
        &mut self,
        service: S,
        request: http::Request<B>,
    ) -> http::Response<Body>
    where
        S: ClientStreamingService<D, Response = E>,
        B: HttpBody + Send + 'static,
        B::Error: Into<StdError> + Send + 'static,
    {
        self.tonic().client_streaming(service, request).await
    }

    /// A stream in, a stream out.
    pub async fn streaming<S, B>(
        &mut self,
        service: S,
        request: http::Request<B>,
    ) -> http::Response<Body>
    where
        S: StreamingService<D, Response = E> + Send,
        S::ResponseStream: Send + 'static,
        B: HttpBody + Send + 'static,
        B::Error: Into<StdError> + Send,
    {
        self.tonic().streaming(service, request).await
    }

    fn tonic(&self) -> server::Grpc<MessageCodec<E, D>> {
        server::Grpc::new(MessageCodec::default())
            .apply_compression_config(self.accepted, self.sent)
            .apply_max_message_size_config(self.max_decoding, self.max_encoding)
    }
}

/// A reply to come.
type Answer = BoxFuture<http::Response<Body>, Infallible>;

/// The call of the service itself.
fn started<S, D>(
    mut service: S,
    parts: Parts,
    message: Result<Bytes, Status>,
) -> Result<impl Future<Output = Result<Response<S::Response>, Status>> + Send + 'static, Status>
where
    S: Unary<D>,
    D: Message + Default,
{
    let message = decoded(&message?)?;
    let metadata = MetadataMap::from_headers(parts.headers);
    Ok(service.call(Request::from_parts(metadata, parts.extensions, message)))
}

/// The only message of a request, uncompressed.
struct OnlyMessage {
    body: Body,
    deframer: Deframer,
    only: Option<Bytes>,
}

impl OnlyMessage {
    fn of<B>(body: B, limit: usize) -> Self
    where
        B: HttpBody + Send + 'static,
        B::Error: Into<StdError>,
    {
        Self {
            body: boxed(body),
            deframer: Deframer::new(limit, false),
            only: None,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Status>> {
        while let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            self.deframer.push(data);
            while let Some(message) = self.deframer.next().map_err(broken)? {
                if self.only.replace(message).is_some() {
                    return Poll::Ready(Err(not_one("more than one message")));
                }
            }
            if self.body.is_end_stream() {
                break;
            }
        }
        self.deframer.finish().map_err(broken)?;
        Poll::Ready(self.only.take().ok_or_else(|| not_one("no message")))
    }
}

/// A body of bytes, which the body of a call usually is already.
fn boxed<B>(body: B) -> Body
where
    B: HttpBody + Send + 'static,
    B::Error: Into<StdError>,
{
    let mut body = Some(body);
    let ready = (&mut body as &mut dyn Any).downcast_mut::<Option<Body>>();
    match ready.and_then(Option::take) {
        Some(body) => body,
        None => {
            body.map_or_else(Body::empty, |body| {
                Body::new(body.map_frame(|frame| {
                    frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))
                }))
            })
        }
    }
}

/// "Request cardinality violation": UNIMPLEMENTED, by gRPC's list of status codes.
#[cold]
fn not_one(came: &str) -> Status {
    Status::unimplemented(format!("the method takes one message, and {came} came"))
}

#[cold]
fn broken(fault: FrameFault) -> Status {
    match fault {
        FrameFault::TooLong { .. } => Status::resource_exhausted(fault.to_string()),
        _ => Status::internal(fault.to_string()),
    }
}

/// How a reply is written.
#[derive(Clone, Copy)]
struct Form {
    /// Its message alone, as the call had no media type.
    is_bare: bool,
    /// The longest message, in bytes.
    limit: usize,
}

impl Form {
    fn written<E: Message>(self, reply: Result<Response<E>, Status>) -> http::Response<Body> {
        match reply.and_then(|reply| self.reply(reply)) {
            Ok(reply) => reply,
            Err(status) => status.into_http(),
        }
    }

    fn reply<E: Message>(self, reply: Response<E>) -> Result<http::Response<Body>, Status> {
        let (metadata, message, extensions) = reply.into_parts();
        let length = message.encoded_len();
        if length > self.limit {
            let fault = FrameFault::TooLong { limit: self.limit };
            return Err(Status::resource_exhausted(format!("of the reply, {fault}")));
        }
        let mut headers = metadata.into_headers();
        if !headers.is_empty() {
            for name in RESERVED {
                headers.remove(name);
            }
        }
        let body = match self.is_bare {
            true => {
                let mut encoded = Vec::with_capacity(length);
                message.encode_raw(&mut encoded);
                Body::new(Full::from(encoded))
            }
            false => {
                let media_type = HeaderValue::from_static("application/grpc");
                headers.insert(header::CONTENT_TYPE, media_type);
                Body::new(framed(&message, length)?)
            }
        };
        let mut reply = http::Response::new(body);
        *reply.headers_mut() = headers;
        *reply.extensions_mut() = extensions;
        Ok(reply)
    }
}

fn framed<E: Message>(message: &E, length: usize) -> Result<Reply, Status> {
    let mut frame = start_frame(length);
    message.encode_raw(&mut frame);
    let frame = finish_frame(frame)
        .ok_or_else(|| Status::resource_exhausted("the reply is longer than gRPC can say"))?;
    Ok(Reply::Message(frame))
}

/// The body of a reply that is one message and all is well. It tells no size: gRPC-Web makes bytes of the trailers, which a
/// content length would cut off.
enum Reply {
    Message(Bytes),
    Status,
    End,
}

impl HttpBody for Reply {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let (frame, next) = match std::mem::replace(&mut *self, Self::End) {
            Self::Message(frame) => (Frame::data(frame), Self::Status),
            Self::Status => {
                let mut trailers = HeaderMap::with_capacity(1);
                trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
                (Frame::trailers(trailers), Self::End)
            }
            Self::End => return Poll::Ready(None),
        };
        *self = next;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::End)
    }
}
