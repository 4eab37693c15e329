//! A whole body that becomes one message.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tonic::Status;

use super::{
    Media, Plan,
    fault::{bad_request, bind_fault, timed_out, too_large},
    unreadable,
};
use crate::{bind, fault::Fault, wire::Pieces};

pin_project! {
    /// A gRPC request body of one message, made from an HTTP body.
    pub(super) struct RequestBody<B> {
        #[pin]
        incoming: B,
        #[pin]
        timeout: Option<Sleep>,
        pieces: Pieces,
        plan: Option<Plan>,
    }
}

impl<B> RequestBody<B> {
    pub(super) fn new(incoming: B, plan: Plan) -> Self {
        Self {
            incoming,
            timeout: None,
            pieces: Pieces::default(),
            plan: Some(plan),
        }
    }
}

impl<B> HttpBody for RequestBody<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut this = self.project();
        let Some(plan) = this.plan.as_ref() else {
            return Poll::Ready(None);
        };
        let read = match plan.admit() {
            Err(fault) => Err(fault),
            Ok(false) => Ok(Bytes::new()),
            Ok(true) => match poll_whole(this.incoming, this.pieces, plan.limit(), cx) {
                Poll::Ready(read) => read,
                Poll::Pending => {
                    // Most bodies are here already; only the others need a clock.
                    if this.timeout.is_none() {
                        let limits = &plan.surface.options.limits;
                        this.timeout.set(Some(sleep(limits.body_timeout)));
                    }
                    let Some(timeout) = this.timeout.as_mut().as_pin_mut() else {
                        return Poll::Pending;
                    };
                    ready!(timeout.poll(cx));
                    Err(timed_out())
                }
            },
        };
        let framed = read.and_then(|body| message(plan, &body));
        let framed = framed.map_err(|fault| plan.refuse(&fault));
        *this.plan = None;
        Poll::Ready(Some(framed.map(Frame::data)))
    }
}

fn poll_whole<B>(
    mut incoming: Pin<&mut B>,
    pieces: &mut Pieces,
    limit: usize,
    cx: &mut Context<'_>,
) -> Poll<Result<Bytes, Box<Fault>>>
where
    B: HttpBody<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    loop {
        match ready!(incoming.as_mut().poll_frame(cx)) {
            None => return Poll::Ready(Ok(pieces.take())),
            Some(Err(error)) => return Poll::Ready(Err(unreadable(&error))),
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else {
                    continue;
                };
                pieces.push(data);
                if pieces.len() > limit {
                    return Poll::Ready(Err(too_large(limit)));
                }
            }
        }
    }
}

fn message(plan: &Plan, body: &[u8]) -> Result<Bytes, Box<Fault>> {
    plan.frame(body.len(), |endpoint, out| {
        if let Some(place) = endpoint.input.raw {
            plan.write_raw(place, true, body, out);
            return Ok(());
        }
        // A request without a body is an empty object: there is nothing to parse.
        if body.is_empty() || matches!(endpoint.binder.body(), bind::Body::None) {
            return Ok(());
        }
        match (&endpoint.input.form, plan.media()) {
            (Some(form), Media::Form) => {
                let text = std::str::from_utf8(body)
                    .map_err(|_| bad_request("INVALID_BODY", "the form is not valid UTF-8"))?;
                let codec = &plan.surface.codec;
                form.binder(codec)
                    .write_urlencoded(codec, text, out)
                    .map_err(|fault| bind_fault(&fault))
            }
            _ => plan.write_json(endpoint, body, out),
        }
    })
}
