//! The messages of a gRPC reply, and how it ended.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Response, response};
use http_body::Body as _;
use tokio::time::{Instant, Sleep};
use tonic::{Code, Status, body::Body};

use super::is_plain;
use crate::{
    fault::Fault,
    frame::{Deframer, FrameFault, GRPC_ENCODING},
    request::fault::{FaultSlot, deadline_exceeded},
};

/// The messages of one reply as they come.
pub(crate) struct Messages {
    body: Body,
    deframer: Deframer,
    faults: FaultSlot,
    deadline: Option<Pin<Box<Sleep>>>,
    end: End,
}

enum End {
    /// The body goes on.
    Open,
    /// The status was in the head: nothing follows.
    Told,
    /// The body has ended well.
    Well(Option<HeaderMap>),
    /// The fault has been given out; with the trailers that told it, if they did.
    Badly(Option<HeaderMap>),
}

impl End {
    /// Whether the end is still to come.
    fn is_open(&self) -> bool {
        matches!(self, Self::Open | Self::Told)
    }
}

impl Messages {
    /// The messages behind the head of a reply, or the fault that is the whole reply.
    pub(crate) fn new(
        response: Response<Body>,
        max_bytes: usize,
        faults: FaultSlot,
        deadline: Option<Instant>,
    ) -> (response::Parts, Result<Self, Box<Fault>>) {
        let (parts, body) = response.into_parts();
        let (mut end, mut is_gzip) = (End::Open, false);
        if !is_plain(&parts.headers) {
            match outcome(&parts.headers) {
                None => {}
                Some(Ok(())) => end = End::Told,
                Some(Err(status)) => {
                    let fault = told(&faults, &status);
                    return (parts, Err(fault));
                }
            }
            let encoding = parts.headers.get(GRPC_ENCODING);
            is_gzip = encoding.is_some_and(|encoding| encoding == "gzip");
        }
        let messages = Self {
            body,
            deframer: Deframer::new(max_bytes, is_gzip),
            faults,
            deadline: deadline.map(|at| Box::pin(tokio::time::sleep_until(at))),
            end,
        };
        (parts, Ok(messages))
    }

    /// The next message; none when the reply has ended well.
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, Box<Fault>>> {
        // First, as a service that always has more must end in time too.
        let deadline = self.deadline.as_mut().filter(|_| self.end.is_open());
        if deadline.is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready()) {
            self.end = End::Badly(None);
            return Poll::Ready(Err(deadline_exceeded()));
        }
        self.poll_body(cx)
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Box<Fault>>> {
        loop {
            match self.deframer.next() {
                Ok(None) => {}
                Ok(message) => return Poll::Ready(Ok(message)),
                Err(fault) => return Poll::Ready(Err(self.fail(broken_frame(fault)))),
            }
            match self.end {
                End::Open | End::Told => {}
                End::Well(_) => return Poll::Ready(Ok(None)),
                End::Badly(_) => return Poll::Ready(Err(ended_without_status())),
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.deframer.push(data),
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            self.trailers(trailers)?;
                        }
                    }
                },
                Some(Err(status)) => {
                    let fault = told(&self.faults, &status);
                    return Poll::Ready(Err(self.fail(fault)));
                }
                None if matches!(self.end, End::Told) => self.end = End::Well(None),
                None => return Poll::Ready(Err(self.fail(ended_without_status()))),
            }
        }
    }

    fn trailers(&mut self, trailers: HeaderMap) -> Result<(), Box<Fault>> {
        match outcome(&trailers) {
            Some(Err(status)) => {
                let fault = told(&self.faults, &status);
                self.end = End::Badly(Some(trailers));
                Err(fault)
            }
            Some(Ok(())) => match self.deframer.finish() {
                Ok(()) => {
                    self.end = End::Well(Some(trailers));
                    Ok(())
                }
                Err(fault) => Err(self.fail(broken_frame(fault))),
            },
            None => Err(self.fail(ended_without_status())),
        }
    }

    fn fail(&mut self, fault: Box<Fault>) -> Box<Fault> {
        self.end = End::Badly(None);
        fault
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Box<Fault>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The trailers it ended with, well or not.
    pub(crate) fn into_trailers(self) -> Option<HeaderMap> {
        match self.end {
            End::Well(trailers) | End::Badly(trailers) => trailers,
            End::Open | End::Told => None,
        }
    }

    /// The one message of a unary reply.
    pub(crate) async fn only(&mut self) -> Result<Bytes, Box<Fault>> {
        let first = self.next().await?;
        match (first, self.next().await?) {
            (Some(message), None) => Ok(message),
            (Some(_), Some(_)) => Err(super::broken("the reply has more than one message")),
            (None, _) => Err(super::broken("the reply has no message")),
        }
    }
}

/// How a reply ended, where head or trailers say so. A status is made only of one that is not OK: making it copies all
/// metadata.
fn outcome(headers: &HeaderMap) -> Option<Result<(), Status>> {
    if headers.get(Status::GRPC_STATUS)?.as_bytes() == b"0" {
        return Some(Ok(()));
    }
    let status = Status::from_header_map(headers)?;
    Some(match status.code() {
        Code::Ok => Ok(()),
        _ => Err(status),
    })
}

/// What a status says; a fault of the request body that led to it knows better.
fn told(faults: &FaultSlot, status: &Status) -> Box<Fault> {
    match faults.get() {
        Some(fault) => Box::new(fault.clone()),
        None => Box::new(Fault::from_status(status)),
    }
}

fn broken_frame(fault: FrameFault) -> Box<Fault> {
    super::broken(&fault.to_string())
}

fn ended_without_status() -> Box<Fault> {
    super::broken("the reply ended without a status")
}
