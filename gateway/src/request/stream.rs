//! A body that becomes a stream of messages: one for each JSON value, or for each piece of bytes taken as they are. What path,
//! query and headers bind is in every message.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, stream};
use http_body::{Body as HttpBody, Frame};

use super::{
    Media, Outgoing, Plan,
    fault::{bad_request, too_large},
    next_data,
    split::{Layout, SplitFault, Splitter},
};
use crate::fault::Fault;

/// The most bytes of one message that carries a piece of a body as it is.
const RAW_PIECE_BYTES: usize = 64 * 1024;

struct Source<B> {
    incoming: Pin<Box<B>>,
    plan: Plan,
    splitter: Splitter,
    /// What is left of a piece taken as it is.
    rest: Bytes,
    progress: Progress,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Start,
    Reading,
    /// The body has ended; what is left of it has not.
    Ending,
    Done,
}

/// The frames of the request stream.
pub(super) fn messages<B>(incoming: B, plan: Plan) -> impl Stream<Item = Outgoing> + Send
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    let layout = match plan.media() {
        Media::Lines => Layout::Lines,
        _ => Layout::Values,
    };
    let source = Source {
        incoming: Box::pin(incoming),
        splitter: Splitter::new(layout, plan.limit()),
        plan,
        rest: Bytes::new(),
        progress: Progress::Start,
    };
    stream::try_unfold(source, async |mut source| match source.next().await {
        Ok(next) => Ok(next.map(|frame| (Frame::data(frame), source))),
        Err(fault) => Err(source.plan.refuse(&fault)),
    })
}

impl<B> Source<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    async fn next(&mut self) -> Result<Option<Bytes>, Box<Fault>> {
        if self.progress == Progress::Start {
            let has_body = self.plan.admit()?;
            self.progress = Progress::Reading;
            if !has_body {
                self.progress = Progress::Done;
                return self.plan.frame(0, |_, _| Ok(())).map(Some);
            }
            if let Some(first) = self.first_raw().await? {
                return Ok(Some(first));
            }
        }
        let is_raw = self.plan.endpoint().is_some_and(|e| e.input.raw.is_some());
        loop {
            let next = match is_raw {
                true => self.next_raw(false)?,
                false => self.next_value()?,
            };
            if next.is_some() || self.progress == Progress::Done {
                return Ok(next);
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<(), Box<Fault>> {
        let within = self.plan.surface.options.limits.idle_timeout;
        match next_data(&mut self.incoming, within).await? {
            Some(data) if self.plan.media() == Media::Other => self.rest = data,
            Some(data) => self.splitter.push(data),
            None => self.progress = Progress::Ending,
        }
        Ok(())
    }

    fn next_value(&mut self) -> Result<Option<Bytes>, Box<Fault>> {
        let limit = self.plan.limit();
        let mut value = self
            .splitter
            .next()
            .map_err(|fault| split_fault(fault, limit))?;
        if value.is_none() && self.progress == Progress::Ending {
            self.progress = Progress::Done;
            value = self
                .splitter
                .finish()
                .map_err(|fault| split_fault(fault, limit))?;
        }
        let Some(json) = value else { return Ok(None) };
        self.plan.json_frame(&json).map(Some)
    }

    /// The first message of a body taken as it is: it says the media type even where there are no bytes.
    async fn first_raw(&mut self) -> Result<Option<Bytes>, Box<Fault>> {
        if self.plan.media() != Media::Other {
            return Ok(None);
        }
        self.read().await?;
        self.next_raw(true)
    }

    fn next_raw(&mut self, is_first: bool) -> Result<Option<Bytes>, Box<Fault>> {
        if self.rest.is_empty() && !is_first {
            if self.progress == Progress::Ending {
                self.progress = Progress::Done;
            }
            return Ok(None);
        }
        let piece = self.rest.split_to(self.rest.len().min(RAW_PIECE_BYTES));
        let plan = &self.plan;
        plan.frame(piece.len(), |endpoint, out| {
            if let Some(place) = endpoint.input.raw {
                plan.write_raw(place, is_first, &piece, out);
            }
            Ok(())
        })
        .map(Some)
    }
}

fn split_fault(fault: SplitFault, limit: usize) -> Box<Fault> {
    match fault {
        SplitFault::TooLong { .. } => too_large(limit),
        other => bad_request("INVALID_BODY", format!("the stream is not valid: {other}")),
    }
}
