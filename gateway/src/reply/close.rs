//! How a WebSocket ends.

use tokio_tungstenite::tungstenite::{
    Utf8Bytes,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::fault::Fault;

/// Bytes of a close reason (RFC 6455, section 5.5).
const MAX_REASON_BYTES: usize = 123;

/// How a socket closes with a code of the protocol's own.
pub(super) fn frame(code: CloseCode, reason: &'static str) -> CloseFrame {
    CloseFrame {
        code,
        reason: Utf8Bytes::from_static(reason),
    }
}

/// How a socket closes by a fault.
pub(super) fn failed(fault: &Fault) -> CloseFrame {
    let mut reason = match fault.reason.is_empty() {
        true => fault.message.clone(),
        false => format!("{}: {}", fault.reason, fault.message),
    };
    let mut end = reason.len().min(MAX_REASON_BYTES);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.truncate(end);
    CloseFrame {
        code: CloseCode::from(4000 + fault.status.as_u16()),
        reason: reason.into(),
    }
}
