//! HTTP/1.1 by hand: what no well-behaved client would send.

use std::{net::SocketAddr, time::Duration};

use http::HeaderMap;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Longer than any answer may take; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A reply.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }
}

/// A whole request; the connection closes after the answer.
pub(super) fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = body {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body.unwrap_or_default());
    bytes
}

/// Sends bytes and reads the answer until the server closes.
pub(super) async fn exchange(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let read = read_to_end(&mut stream).await;
    parse(&read)
}

/// Everything until the server closes.
pub(super) async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = timeout(PATIENCE, stream.read(&mut buffer))
            .await
            .expect("the server neither answers nor closes");
        match count {
            // Unread request bytes make the system reset the connection; what came before counts.
            Ok(0) | Err(_) => return read,
            Ok(count) => read.extend_from_slice(&buffer[..count]),
        }
    }
}

/// The answer in these bytes.
pub(super) fn parse(bytes: &[u8]) -> Answer {
    let split = bytes.windows(4).position(|w| w == b"\r\n\r\n");
    let split =
        split.unwrap_or_else(|| panic!("no answer in {:?}", String::from_utf8_lossy(bytes)));
    let head = std::str::from_utf8(&bytes[..split]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        headers.append(
            name.parse::<http::HeaderName>().unwrap(),
            value.trim().parse().unwrap(),
        );
    }
    Answer {
        status,
        headers,
        body: bytes[split + 4..].to_vec(),
    }
}
