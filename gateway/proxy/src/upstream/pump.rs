//! Sending a request's body.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use h2::{Reason, SendStream};
use http_body::Body as _;
use tonic::{Status, body::Body};

/// A frame of HTTP/2, as large as they are unless both sides agree on more.
const JOINED_BYTES: usize = 16 * 1024;

/// Sends a body as fast as the server takes it, and resets the stream when the body fails.
///
/// It reads one piece ahead: the end of the stream then goes out with the last piece, and the single message of a unary
/// call is a single frame that waits for nothing. Small pieces that are there at the same time go out together: servers take a
/// connection with many small frames that nobody has read yet for an attack, and end it with all its calls.
pub(super) struct Pump {
    body: Body,
    stream: SendStream<Bytes>,
    held: Option<Bytes>,
    ahead: Option<Bytes>,
    is_read: bool,
}

/// Why a body was not sent to its end.
pub(super) enum Failure {
    /// Reading it failed; the caller should hear of it.
    Body(Status),
    /// The server or the connection ended it, which the reply tells.
    Stream,
}

impl Pump {
    /// `first` has been read of the body already.
    pub(super) fn new(first: Option<Bytes>, body: Body, stream: SendStream<Bytes>) -> Self {
        Self {
            body,
            stream,
            held: first,
            ahead: None,
            is_read: false,
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Failure>> {
        if self.is_read {
            return Poll::Ready(Ok(None));
        }
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => {
                let data = frame.into_data().ok();
                // Trailers are the end: a request has none in gRPC.
                self.is_read = data.is_none();
                Poll::Ready(Ok(data))
            }
            Some(Err(status)) => {
                self.stream.send_reset(Reason::CANCEL);
                Poll::Ready(Err(Failure::Body(status)))
            }
            None => {
                self.is_read = true;
                Poll::Ready(Ok(None))
            }
        }
    }

    /// Reads ahead, and puts what is small with the piece.
    fn join(&mut self, piece: &mut Bytes, cx: &mut Context<'_>) -> Result<(), Failure> {
        let mut joined = BytesMut::new();
        loop {
            if self.ahead.is_none() {
                match self.poll_read(cx)? {
                    Poll::Ready(ahead) => self.ahead = ahead,
                    Poll::Pending => break,
                }
            }
            let length = joined.len().max(piece.len());
            let Some(ahead) = self
                .ahead
                .take_if(|ahead| length + ahead.len() <= JOINED_BYTES)
            else {
                break;
            };
            if joined.is_empty() {
                joined.extend_from_slice(piece);
            }
            joined.extend_from_slice(&ahead);
        }
        if !joined.is_empty() {
            *piece = joined.freeze();
        }
        Ok(())
    }

    /// Sends as much of a piece as there is room for.
    fn poll_write(&mut self, piece: &mut Bytes, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        while !piece.is_empty() {
            self.stream.reserve_capacity(piece.len());
            let room = match self.stream.capacity() {
                0 => ready!(self.stream.poll_capacity(cx))
                    .ok_or(Failure::Stream)?
                    .map_err(|_| Failure::Stream)?,
                room => room,
            };
            let data = piece.split_to(room.min(piece.len()));
            self.send(data, false)?;
        }
        Poll::Ready(Ok(()))
    }

    fn send(&mut self, data: Bytes, is_last: bool) -> Result<(), Failure> {
        self.stream
            .send_data(data, is_last)
            .map_err(|_| Failure::Stream)
    }
}

impl Future for Pump {
    type Output = Result<(), Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            let mut piece = match this.held.take().or_else(|| this.ahead.take()) {
                Some(piece) => piece,
                None => match ready!(this.poll_read(cx)?) {
                    Some(piece) => piece,
                    None => return Poll::Ready(this.send(Bytes::new(), true)),
                },
            };
            this.join(&mut piece, cx)?;
            if this.is_read && this.ahead.is_none() {
                return Poll::Ready(this.send(piece, true));
            }
            match this.poll_write(&mut piece, cx)? {
                Poll::Ready(()) => {}
                Poll::Pending => {
                    this.held = Some(piece);
                    return Poll::Pending;
                }
            }
        }
    }
}
