//! Replies in gRPC-Web, binary and as text.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::client::Reply;
use crate::servers::METHOD_HEADER;

/// The flag of the frame with the trailers.
const TRAILERS: u8 = 0x80;

/// Status, method reached, media type, status of the call where headers have it, and every frame of the body.
pub(crate) fn web(reply: &Reply) -> String {
    let header = |name| reply.header(name).unwrap_or_default();
    let mut told = reply.status.clone();
    for name in ["allow", "grpc-status", "grpc-message"] {
        told += &reply
            .header(name)
            .map(|value| format!(" {name}: {value}"))
            .unwrap_or_default();
    }
    let content_type = header("content-type");
    if !content_type.starts_with("application/grpc") {
        // A refusal of the gateway's own: each has its own words for it.
        return told;
    }
    told += &format!(" {} {content_type}", header(METHOD_HEADER));
    let body = match content_type.starts_with("application/grpc-web-text") {
        true => from_text(&reply.body),
        false => Some(reply.body.clone()),
    };
    told + &body.as_deref().map_or(" no base64".to_owned(), frames)
}

/// Base64 of one or more pieces, each with padding of its own.
fn from_text(mut text: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while !text.is_empty() {
        let end = text
            .iter()
            .position(|byte| *byte == b'=')
            .unwrap_or(text.len());
        let padding = text[end..].iter().take_while(|byte| **byte == b'=').count();
        body.extend(STANDARD.decode(&text[..end + padding]).ok()?);
        text = &text[end + padding..];
    }
    Some(body)
}

fn frames(mut body: &[u8]) -> String {
    let mut told = String::new();
    while let Some((head, rest)) = body.split_first_chunk::<5>() {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let Some((content, rest)) = rest.split_at_checked(length) else {
            break;
        };
        told += &match head[0] {
            TRAILERS => format!(" trailers({})", trailers(content)),
            flags => format!(" message({flags} {})", hex(content)),
        };
        body = rest;
    }
    match body.is_empty() {
        true => told,
        false => told + &format!(" rest({})", hex(body)),
    }
}

/// In the order of their names, which no rule sets.
fn trailers(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content).into_owned();
    let mut lines: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("grpc-"))
        .collect();
    lines.sort_unstable();
    lines.join(" ")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
