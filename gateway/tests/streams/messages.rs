//! The messages of `stream.proto`, and what a server sends and reads of them: bare frames.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tonic::{Code, Status, body::Body};

/// `gateway.test.v1.Line`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Line {
    #[prost(string, tag = "1")]
    pub(crate) log: String,
    #[prost(int32, tag = "2")]
    pub(crate) id: i32,
    #[prost(string, tag = "3")]
    pub(crate) kind: String,
    #[prost(string, tag = "4")]
    pub(crate) text: String,
    #[prost(message, optional, tag = "5")]
    pub(crate) data: Option<Json>,
}

/// `pulpo.type.v1.Json`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Json {
    #[prost(string, tag = "1")]
    pub(crate) text: String,
}

pub(crate) fn line(id: i32) -> Line {
    Line {
        id,
        kind: "k".into(),
        text: format!("line {id}"),
        ..Line::default()
    }
}

pub(crate) fn framed(message: &impl prost::Message) -> Bytes {
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.encoded_len()).unwrap().to_be_bytes());
    message.encode(&mut frame).unwrap();
    frame.into()
}

/// The messages of a whole gRPC body.
pub(crate) fn unframed<M: prost::Message + Default>(mut body: &[u8]) -> Vec<M> {
    let mut found = Vec::new();
    while let Some((header, rest)) = body.split_first_chunk::<5>() {
        let [flag, length @ ..] = *header;
        assert_eq!(flag, 0);
        let (message, rest) = rest.split_at(u32::from_be_bytes(length) as usize);
        found.push(M::decode(message).unwrap());
        body = rest;
    }
    found
}

pub(crate) fn trailers(code: Code) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    Status::new(code, "no more")
        .add_header(&mut trailers)
        .unwrap();
    trailers
}

/// A reply of these pieces, each as it comes, that ends by this code.
pub(crate) fn reply(
    pieces: impl Stream<Item = Bytes> + Send + 'static,
    code: Code,
) -> Response<Body> {
    let frames = pieces
        .map(Frame::data)
        .chain(stream::once(async move { Frame::trailers(trailers(code)) }))
        .map(Ok::<_, Status>);
    Response::new(Body::new(StreamBody::new(frames)))
}

/// A reply without a message whose end says why, and more.
pub(crate) fn failing() -> Response<Body> {
    let mut ended = trailers(Code::NotFound);
    ended.append("x-trail", HeaderValue::from_static("one"));
    let frames = stream::once(async move { Ok::<_, Status>(Frame::trailers(ended)) });
    Response::new(Body::new(StreamBody::new(frames)))
}

pub(crate) fn lines(count: i32) -> impl Stream<Item = Bytes> + Send + 'static {
    stream::iter((1..=count).map(|id| framed(&line(id))))
}

/// `google.api.HttpBody`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HttpBody {
    #[prost(string, tag = "1")]
    pub(crate) content_type: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) data: Bytes,
}

/// `gateway.test.v1.Part`; a Line where it is read as the reply.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Part {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) body: Option<HttpBody>,
}

/// `pulpo.type.v1.File`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct File {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) content_type: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) data: Vec<u8>,
}

/// `gateway.test.v1.Form`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Form {
    #[prost(string, tag = "1")]
    pub(crate) project: String,
    #[prost(string, repeated, tag = "2")]
    pub(crate) tags: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) files: Vec<File>,
    #[prost(message, optional, tag = "4")]
    pub(crate) picture: Option<HttpBody>,
    #[prost(bytes = "vec", tag = "5")]
    pub(crate) seal: Vec<u8>,
    #[prost(int32, tag = "6")]
    pub(crate) count: i32,
}

/// Keeps the messages of a request, and answers with the last of them, or with what went wrong.
pub(crate) async fn collected<M>(request: Request<Body>, kept: Arc<Mutex<Vec<M>>>) -> Response<Body>
where
    M: prost::Message + Default + Clone,
{
    match request.into_body().collect().await {
        Ok(body) => {
            let messages = unframed::<M>(&body.to_bytes());
            let last = messages.last().cloned().unwrap_or_default();
            *kept.lock().unwrap() = messages;
            reply(stream::iter([framed(&last)]), Code::Ok)
        }
        Err(status) => status.into_http(),
    }
}
