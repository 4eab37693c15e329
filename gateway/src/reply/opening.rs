//! What a service says before a WebSocket is opened.

use std::{
    future::Future,
    pin::{Pin, pin},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Response};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;

use super::{Call, Messages, add_trailers};
use crate::{deadline, request::fault::deadline_exceeded};

/// How long a service that has begun to listen may take to refuse. Clients of one that answers messages only wait so long.
const REFUSAL_TIME: Duration = Duration::from_millis(100);

pub(super) type Reply = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// What goes out over a socket.
pub(super) enum Outgoing {
    /// The service has not answered.
    Waiting(Reply),
    Open(Box<Open>),
}

/// A reply whose messages go out.
pub(super) struct Open {
    pub(super) messages: Messages,
    pub(super) first: Option<Bytes>,
    pub(super) is_over: bool,
}

/// What there is to send and the metadata of the head, as soon as the service gives a message or asks for one and does not
/// refuse; or its refusal. `wanted` tells that it asks.
pub(super) async fn opened(
    call: &Call<'_>,
    mut reply: Reply,
    wanted: Option<CancellationToken>,
) -> Result<(Outgoing, HeaderMap), Box<Response<Body>>> {
    let answered = {
        let answered = pin!(async {
            tokio::select! {
                biased;
                response = &mut reply => Some(response),
                () = has_waited(wanted.as_ref()) => None,
            }
        });
        deadline::within(call.deadline, answered).await
    };
    match answered {
        None => Err(Box::new(
            call.refuse(&deadline_exceeded(), &HeaderMap::new()),
        )),
        Some(None) => Ok((Outgoing::Waiting(reply), HeaderMap::new())),
        Some(Some(response)) => answering(call, response, wanted).await,
    }
}

async fn answering(
    call: &Call<'_>,
    response: Response<Body>,
    wanted: Option<CancellationToken>,
) -> Result<(Outgoing, HeaderMap), Box<Response<Body>>> {
    let max_bytes = call.surface.options.limits.max_reply_bytes;
    let (mut parts, messages) =
        Messages::new(response, max_bytes, call.faults.clone(), call.deadline);
    let mut messages = match messages {
        Ok(messages) => messages,
        Err(fault) => return Err(Box::new(call.refuse(&fault, &parts.headers))),
    };
    let first = match &wanted {
        // A service that listens may answer nothing before it hears something.
        Some(wanted) => tokio::select! {
            biased;
            first = messages.next() => first.map(|first| (first.is_none(), first)),
            () = wanted.cancelled() => Ok((false, None)),
        },
        None => messages.next().await.map(|first| (first.is_none(), first)),
    };
    match first {
        Ok((is_over, first)) => {
            let open = Open {
                messages,
                first,
                is_over,
            };
            Ok((Outgoing::Open(Box::new(open)), parts.headers))
        }
        Err(fault) => {
            add_trailers(&mut parts.headers, messages);
            Err(Box::new(call.refuse(&fault, &parts.headers)))
        }
    }
}

/// Until a service that listens has had its time to refuse.
async fn has_waited(wanted: Option<&CancellationToken>) {
    let Some(wanted) = wanted else {
        return std::future::pending().await;
    };
    wanted.cancelled().await;
    tokio::time::sleep(REFUSAL_TIME).await;
}
