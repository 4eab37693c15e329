//! A client of one connection that is kept: HTTP/1.1, one request after the other.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A connection with its credential.
pub(crate) struct Client {
    stream: TcpStream,
    key: String,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(port: u16, key: &str) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            key: key.to_owned(),
            buffer: Vec::with_capacity(8192),
        })
    }

    /// Posts a body, and answers the status and the body of the reply.
    pub(crate) async fn post(&mut self, path: &str, body: &str) -> Result<(u16, Vec<u8>)> {
        self.exchange("POST", &format!("/pulse-api{path}"), body)
            .await
    }

    /// Sends a request, and answers the status and the body of the reply.
    pub(crate) async fn exchange(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<(u16, Vec<u8>)> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.key,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the server closed the connection");
            if let Some(reply) = reply(&self.buffer)? {
                return Ok(reply);
            }
        }
    }

    /// Posts a body that must be taken with success, and answers the reply.
    pub(crate) async fn accepted(&mut self, path: &str, body: &Value) -> Result<Value> {
        let (status, reply) = self.post(path, &body.to_string()).await?;
        if !(200..300).contains(&status) {
            bail!("{path}: {status} {}", String::from_utf8_lossy(&reply));
        }
        Ok(serde_json::from_slice(&reply)?)
    }
}

/// The reply in `bytes`, if it is whole.
fn reply(bytes: &[u8]) -> Result<Option<(u16, Vec<u8>)>> {
    let Some((head, body)) = message(bytes)? else {
        return Ok(None);
    };
    let status = head.get(9..12).context("no status line")?.parse()?;
    Ok(Some((status, body.to_vec())))
}

/// The head, in small letters, and the body of the message in `bytes`, if it is whole.
pub(crate) fn message(bytes: &[u8]) -> Result<Option<(String, &[u8])>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, body) = bytes.split_at(end + 4);
    let head = std::str::from_utf8(head)?.to_ascii_lowercase();
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .context("no content-length")?
        .trim()
        .parse()?;
    Ok((body.len() >= length).then_some((head, body)))
}
