//! Requests and replies of the Connect protocol, by hand.

use std::{convert::Infallible, io::Write, sync::LazyLock};

use bytes::Bytes;
use futures_util::stream as frames;
use http::{HeaderMap, Request, StatusCode, Version, request::Builder};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use pulpo_gateway_echo::Faces;
use serde_json::Value;
use tonic::body::Body;
use tower::ServiceExt;

pub(crate) const ECHO: &str = "/echo.v1.EchoService/Echo";
pub(crate) const COUNT: &str = "/echo.v1.EchoService/Count";
pub(crate) const SUM: &str = "/echo.v1.EchoService/Sum";
pub(crate) const CHAT: &str = "/echo.v1.EchoService/Chat";

pub(crate) static FACES: LazyLock<Faces> = LazyLock::new(|| Faces::new().unwrap());

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The envelopes of a stream: flags and content.
    pub(crate) fn envelopes(&self) -> Vec<(u8, Bytes)> {
        let mut rest = self.body.clone();
        let mut found = Vec::new();
        while !rest.is_empty() {
            let header = rest.split_to(5);
            let length = u32::from_be_bytes(header[1..].try_into().unwrap()) as usize;
            found.push((header[0], rest.split_to(length)));
        }
        found
    }

    /// The messages of a JSON stream, and its end.
    pub(crate) fn stream(&self) -> (Vec<Value>, Value) {
        assert_eq!(self.status, StatusCode::OK);
        let mut messages = Vec::new();
        let mut envelopes = self.envelopes();
        let (flags, end) = envelopes.pop().unwrap();
        assert_eq!(flags, 2, "the last envelope is the end");
        for (flags, content) in envelopes {
            assert_eq!(flags, 0);
            messages.push(serde_json::from_slice(&content).unwrap());
        }
        (messages, serde_json::from_slice(&end).unwrap())
    }
}

pub(crate) fn post(path: &str, content_type: &str) -> Builder {
    Request::post(path)
        .version(Version::HTTP_2)
        .header("content-type", content_type)
}

/// Sends the request to every face of the echo service; Connect is the one that answers.
pub(crate) async fn send(request: Request<Body>) -> Reply {
    let response = FACES.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    Reply {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

pub(crate) async fn unary(content_type: &str, body: impl Into<Bytes>) -> Reply {
    send(post(ECHO, content_type).body(full(body)).unwrap()).await
}

/// Sends JSON messages as a stream.
pub(crate) async fn stream(path: &str, messages: &[&str]) -> Reply {
    let body: Vec<u8> = messages
        .iter()
        .flat_map(|m| envelope(0, m.as_bytes()))
        .collect();
    send(
        post(path, "application/connect+json")
            .body(full(body))
            .unwrap(),
    )
    .await
}

pub(crate) fn full(body: impl Into<Bytes>) -> Body {
    Body::new(Full::new(body.into()))
}

/// A body that comes in pieces of this size.
pub(crate) fn pieces(body: &[u8], size: usize) -> Body {
    let all: Vec<_> = body
        .chunks(size)
        .map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(piece))))
        .collect();
    Body::new(StreamBody::new(frames::iter(all)))
}

pub(crate) fn envelope(flags: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![flags];
    out.extend_from_slice(&u32::try_from(content.len()).unwrap().to_be_bytes());
    out.extend_from_slice(content);
    out
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bytes), &mut out).unwrap();
    out
}
