//! A client that sends a request exactly as it is written; others would mend it on the way.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cases::Case;
use crate::servers::METHOD_HEADER;

const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// What is told where the connection ended without a reply.
pub(crate) const CLOSED: &str = "closed";

/// Sends a request over a connection of its own and tells the reply as `tell` does.
pub(crate) async fn send(address: SocketAddr, case: &Case, tell: fn(&Reply) -> String) -> String {
    let reply = timeout(REPLY_TIMEOUT, exchange(address, case)).await;
    match reply {
        Ok(bytes) => Reply::read(&bytes).map_or_else(|| CLOSED.to_owned(), |reply| tell(&reply)),
        Err(_) => "no reply".to_owned(),
    }
}

/// A reply as it came.
pub(crate) struct Reply {
    head: String,
    pub(crate) status: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    fn read(bytes: &[u8]) -> Option<Self> {
        let split = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
        let mut reply = Self {
            status: head.split(' ').nth(1).unwrap_or_default().to_owned(),
            head,
            body: bytes[split + 4..].to_vec(),
        };
        if reply.header("transfer-encoding").is_some() {
            reply.body = dechunked(&reply.body);
        }
        Some(reply)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

async fn exchange(address: SocketAddr, case: &Case) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut head = format!(
        "{} {} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n",
        case.method, case.target
    );
    for (name, value) in &case.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if let Some(body) = &case.body {
        head += &format!("content-length: {}\r\n", body.len());
    }
    head += "\r\n";
    let mut request = head.into_bytes();
    request.extend(case.body.as_deref().unwrap_or_default());
    let mut reply = Vec::new();
    // A server may answer and close before it has read everything; what it answered counts.
    let _ = stream.write_all(&request).await;
    let _ = stream.read_to_end(&mut reply).await;
    reply
}

/// Of a REST reply: status, method reached, and what the body says.
pub(crate) fn rest(reply: &Reply) -> String {
    let (status, body) = (&reply.status, &reply.body);
    let header = |name| reply.header(name);
    let mut told = status.clone();
    if let Some(allow) = header("allow") {
        told += &format!(" allow: {allow}");
    }
    let Some(method) = header(METHOD_HEADER) else {
        // The gateway's own refusal: each has its own words for it, so the status is what counts.
        return told;
    };
    told += &format!(" {method}");
    match header("content-type") {
        Some(content_type) if content_type.starts_with("application/json") => {}
        Some(content_type) => told += &format!(" {content_type}"),
        None => told += " no content-type",
    }
    let text = String::from_utf8_lossy(body).into_owned();
    match serde_json::from_str::<Value>(&text) {
        Ok(Value::Object(mut members)) if !status.starts_with('2') => {
            // `details` is printed where there are none by one side only.
            members.retain(|_, value| *value != Value::Array(Vec::new()));
            let mut json = Value::Object(members);
            json.sort_all_objects();
            told + " " + &json.to_string()
        }
        Ok(mut json) => {
            // Neither gateway promises an order, and a map has none.
            json.sort_all_objects();
            told + " " + &json.to_string()
        }
        Err(_) if text.is_empty() => told,
        Err(_) => told + " " + &text.escape_debug().to_string(),
    }
}

fn dechunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|bytes| bytes == b"\r\n") {
        let size = str::from_utf8(&body[..end]).unwrap_or_default();
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or_default();
        let Some(chunk) = body.get(end + 2..end + 2 + size).filter(|_| size > 0) else {
            break;
        };
        whole.extend_from_slice(chunk);
        body = body.get(end + 4 + size..).unwrap_or_default();
    }
    whole
}
