//! The access log: a line a request on standard output, written by a thread of its own. When that falls behind, lines
//! are dropped rather than requests held up.

use std::io::Write;

use serde::Serialize;
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};

use crate::config::AccessFormat;

/// Where lines go.
pub struct AccessLog {
    format: AccessFormat,
    writer: NonBlocking,
}

/// One request, when it has ended.
#[derive(Serialize)]
pub struct Line<'a> {
    /// When it began, RFC 3339 in UTC.
    pub time: String,
    /// The address it came from.
    pub client: std::net::IpAddr,
    /// The HTTP method.
    pub method: &'a str,
    /// The path without its query, which may hold secrets.
    pub path: &'a str,
    /// The gRPC method that answered; none where no route matched.
    pub route: Option<&'a str>,
    /// The HTTP status; 499 where the client went away before there was one.
    pub status: u16,
    /// Bytes of the reply's body.
    pub bytes: u64,
    /// From the head of the request to the end of the reply.
    pub duration_ms: f64,
    /// Its id.
    pub request_id: &'a str,
    /// The trace it is part of, if its client told one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<&'a str>,
}

impl AccessLog {
    /// The log on standard output, unless it is off; what is left is written when the guard is dropped.
    pub fn start(format: AccessFormat) -> Option<(Self, WorkerGuard)> {
        if format == AccessFormat::Off {
            return None;
        }
        let (writer, guard) = tracing_appender::non_blocking(std::io::stdout());
        Some((Self { format, writer }, guard))
    }

    /// Writes one line.
    pub fn write(&self, line: &Line<'_>) {
        let mut text = match self.format {
            AccessFormat::Off => return,
            // Texts and numbers always serialise.
            AccessFormat::Json => serde_json::to_vec(line).unwrap_or_default(),
            AccessFormat::Text => human(line).into_bytes(),
        };
        text.push(b'\n');
        // It only hands the line over, and says nothing of lines that are dropped.
        let _ = self.writer.clone().write_all(&text);
    }
}

/// A path cannot break a line: control characters never get through the parser of a request's head.
fn human(line: &Line<'_>) -> String {
    format!(
        "{} {} {} {} {} {}B {:.1}ms {} {} {}",
        line.time,
        line.client,
        line.method,
        line.path,
        line.status,
        line.bytes,
        line.duration_ms,
        line.route.unwrap_or("-"),
        line.request_id,
        line.trace_id.unwrap_or("-"),
    )
}
