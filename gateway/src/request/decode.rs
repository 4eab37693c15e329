//! A body that is decompressed as it arrives.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use pin_project_lite::pin_project;

use super::fault::{FaultSlot, too_large};
use crate::compress::{Coding, DecodeFault, Decoder};

/// The largest piece that is decompressed at once: a small piece of a bomb stays small work.
const PIECE_BYTES: usize = 8 * 1024;

pin_project! {
    /// The decompressed body.
    pub(super) struct Decoded<B> {
        #[pin]
        incoming: B,
        state: State,
        rest: Bytes,
        limit: usize,
        faults: FaultSlot,
    }
}

enum State {
    Open(Box<Decoder>),
    Done,
    Unavailable,
}

impl<B> Decoded<B> {
    /// `limit` is the most bytes that one piece may expand to; more is a body that is too large, and said so in `faults`.
    pub(super) fn new(incoming: B, coding: Coding, limit: usize, faults: FaultSlot) -> Self {
        Self {
            incoming,
            state: Decoder::new(coding, limit)
                .map_or(State::Unavailable, |decoder| State::Open(Box::new(decoder))),
            rest: Bytes::new(),
            limit,
            faults,
        }
    }
}

/// Why there is no next piece.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyFault {
    #[error("{0}")]
    Incoming(String),
    #[error("it expands to more than is taken")]
    TooLong,
    #[error("it is not what its Content-Encoding says")]
    Damaged,
}

impl From<DecodeFault> for BodyFault {
    fn from(fault: DecodeFault) -> Self {
        match fault {
            DecodeFault::TooLong => Self::TooLong,
            DecodeFault::Damaged => Self::Damaged,
        }
    }
}

impl<B> HttpBody for Decoded<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let mut this = self.project();
        loop {
            let decoder = match this.state {
                State::Open(decoder) => decoder,
                State::Done => return Poll::Ready(None),
                State::Unavailable => return Poll::Ready(Some(Err(BodyFault::Damaged))),
            };
            let decoded = if this.rest.is_empty() {
                match ready!(this.incoming.as_mut().poll_frame(cx)) {
                    Some(Ok(frame)) => {
                        *this.rest = frame.into_data().unwrap_or_default();
                        continue;
                    }
                    Some(Err(error)) => Err(BodyFault::Incoming(error.to_string())),
                    None => {
                        let last = decoder.finish();
                        *this.state = State::Done;
                        last.map_err(BodyFault::from)
                    }
                }
            } else {
                let piece = this.rest.split_to(this.rest.len().min(PIECE_BYTES));
                decoder.piece(&piece).map_err(BodyFault::from)
            };
            match decoded {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Err(fault) => {
                    if matches!(fault, BodyFault::TooLong) {
                        this.faults.keep(&too_large(*this.limit));
                    }
                    *this.state = State::Done;
                    return Poll::Ready(Some(Err(fault)));
                }
            }
        }
    }
}
