//! How a generated service answers a call: as tonic's own server does, and for half of it where the call is unary and
//! nothing is compressed, which is nearly always.
//!
//! tonic reads the one message of such a call as a stream of messages that may come in any pieces and be compressed, and
//! writes the reply as another. Here the message is decoded where it lies, and the reply is encoded in its frame.
//! `pulpo-gateway-build` generates services with this type; everything else it leaves to tonic.

use std::{
    future::poll_fn,
    marker::PhantomData,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::Full;
use prost::Message;
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::{EnabledCompressionEncodings, StdError},
    metadata::MetadataMap,
    server::{self, ClientStreamingService, ServerStreamingService, StreamingService, UnaryService},
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

    /// One message in, one out.
    pub async fn unary<S, B>(
        &mut self,
        mut service: S,
        request: http::Request<B>,
    ) -> http::Response<Body>
    where
        S: UnaryService<D, Response = E>,
        B: HttpBody + Send + 'static,
        B::Error: Into<StdError> + Send,
    {
        let is_plain = self.sent.is_empty() && !request.headers().contains_key(GRPC_ENCODING);
        if !is_plain {
            return self.tonic().unary(service, request).await;
        }
        let is_bare = is_bare(request.headers());
        let (parts, body) = request.into_parts();
        let limit = self.max_decoding.unwrap_or(MAX_DECODING_BYTES);
        let answered = match only_message(body, limit).await.and_then(|message| decoded(&message)) {
            Ok(message) => {
                let metadata = MetadataMap::from_headers(parts.headers);
                let request = Request::from_parts(metadata, parts.extensions, message);
                service.call(request).await
            }
            Err(status) => Err(status),
        };
        let max_encoding = self.max_encoding.unwrap_or(usize::MAX);
        match answered.and_then(|response| reply(response, max_encoding, is_bare)) {
            Ok(reply) => reply,
            Err(status) => status.into_http(),
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
    pub async fn streaming<S, B>(&mut self, service: S, request: http::Request<B>) -> http::Response<Body>
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

/// The only message of a request, uncompressed.
async fn only_message<B>(body: B, limit: usize) -> Result<Bytes, Status>
where
    B: HttpBody,
    B::Error: Into<StdError>,
{
    let mut body = pin!(body);
    let mut deframer = Deframer::new(limit, false);
    let mut only = None;
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let frame = frame.map_err(|error| Status::from_error(error.into()))?;
        let Ok(mut data) = frame.into_data() else {
            continue;
        };
        deframer.push(data.copy_to_bytes(data.remaining()));
        while let Some(message) = deframer.next().map_err(broken)? {
            if only.replace(message).is_some() {
                return Err(not_one("more than one message"));
            }
        }
    }
    deframer.finish().map_err(broken)?;
    only.ok_or_else(|| not_one("no message"))
}

/// "Request cardinality violation": UNIMPLEMENTED, by gRPC's list of status codes.
fn not_one(came: &str) -> Status {
    Status::unimplemented(format!("the method takes one message, and {came} came"))
}

fn broken(fault: FrameFault) -> Status {
    match fault {
        FrameFault::TooLong { .. } => Status::resource_exhausted(fault.to_string()),
        _ => Status::internal(fault.to_string()),
    }
}

fn reply<E: Message>(
    response: Response<E>,
    limit: usize,
    is_bare: bool,
) -> Result<http::Response<Body>, Status> {
    let (metadata, message, extensions) = response.into_parts();
    let length = message.encoded_len();
    if length > limit {
        let fault = FrameFault::TooLong { limit };
        return Err(Status::resource_exhausted(format!("of the reply, {fault}")));
    }
    let mut headers = metadata.into_headers();
    if !headers.is_empty() {
        for name in RESERVED {
            headers.remove(name);
        }
    }
    let body = if is_bare {
        Body::new(Full::from(message.encode_to_vec()))
    } else {
        let media_type = HeaderValue::from_static("application/grpc");
        headers.insert(header::CONTENT_TYPE, media_type);
        let mut frame = start_frame(length);
        message.encode_raw(&mut frame);
        let frame = finish_frame(frame)
            .ok_or_else(|| Status::resource_exhausted("the reply is longer than gRPC can say"))?;
        Body::new(Reply::Message(frame))
    };
    let mut reply = http::Response::new(body);
    *reply.headers_mut() = headers;
    *reply.extensions_mut() = extensions;
    Ok(reply)
}

/// The body of a reply that is one message and all is well.
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

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Message(frame) => SizeHint::with_exact(frame.len() as u64),
            _ => SizeHint::with_exact(0),
        }
    }
}
