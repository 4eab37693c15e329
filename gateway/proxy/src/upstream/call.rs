//! One call: its request sent, its reply received.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, client::ResponseFuture};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, request::Parts};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::{sync::OwnedSemaphorePermit, task::AbortHandle};
use tokio_util::task::TaskTracker;
use tonic::{Code, Status, body::Body};

use super::{
    Shared,
    pump::{Failure, Pump},
    slot::{Place, Sender},
};

/// Headers that mean something to one HTTP/1.1 connection only; HTTP/2 forbids them (RFC 9113, section 8.2.2).
const OF_ONE_CONNECTION: [&str; 6] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "host",
];

/// The future of a reply.
pub struct Call {
    state: State,
}

enum State {
    Refused(Status),
    /// The first bytes of the request are still to come.
    Reading(Reading),
    /// No connection is open; one may be soon.
    Waiting(Box<Waiting>),
    Sent(Sent),
}

struct Reading {
    shared: Arc<Shared>,
    request: Option<Request<Body>>,
}

struct Waiting {
    opening: Pin<Box<dyn Future<Output = Option<Sender>> + Send>>,
    request: Option<(Outgoing, OwnedSemaphorePermit, TaskTracker)>,
}

/// A request on its way to the server.
struct Outgoing {
    parts: Parts,
    /// What has been read of the body.
    first: Option<Bytes>,
    body: Body,
}

struct Sent {
    response: ResponseFuture,
    pump: Option<Pump>,
    held: Option<(OwnedSemaphorePermit, Place)>,
    tasks: TaskTracker,
}

impl Call {
    /// A call that is not made, answered with this status.
    pub fn refused(status: Status) -> Self {
        State::Refused(status).into()
    }

    pub(super) fn start(shared: &Arc<Shared>, request: Request<Body>) -> Self {
        State::start(shared, None, request).into()
    }

    /// The same, when the first bytes of the body are here: a client that is slow to send them holds nothing of the server's
    /// meanwhile.
    pub(super) fn read_first(shared: &Arc<Shared>, request: Request<Body>) -> Self {
        if request.body().is_end_stream() {
            return Self::start(shared, request);
        }
        let (shared, request) = (shared.clone(), Some(request));
        State::Reading(Reading { shared, request }).into()
    }
}

impl Reading {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<State> {
        let Some(request) = &mut self.request else {
            return Poll::Pending;
        };
        let read = ready!(Pin::new(request.body_mut()).poll_frame(cx));
        let Some(mut request) = self.request.take() else {
            return Poll::Pending;
        };
        let first = match read {
            Some(Err(status)) => return Poll::Ready(State::Refused(status)),
            Some(Ok(frame)) => frame.into_data().ok(),
            None => None,
        };
        if first.is_none() {
            *request.body_mut() = Body::empty();
        }
        Poll::Ready(State::start(&self.shared, first, request))
    }
}

impl State {
    fn start(shared: &Arc<Shared>, first: Option<Bytes>, request: Request<Body>) -> Self {
        let permit = match shared.admit() {
            Ok(permit) => permit,
            Err(status) => return Self::Refused(status),
        };
        let (mut parts, body) = request.into_parts();
        shared.address(&mut parts);
        for name in OF_ONE_CONNECTION {
            parts.headers.remove(name);
        }
        let outgoing = Outgoing { parts, first, body };
        let tasks = shared.tasks.clone();
        if let Some(sender) = shared.sender() {
            return Self::send(sender, outgoing, permit, tasks);
        }
        let Some(slot) = shared.in_turn().next() else {
            return Self::Refused(unreachable_now());
        };
        Self::Waiting(Box::new(Waiting {
            opening: Box::pin(slot.ready(shared.limits.connect_timeout)),
            request: Some((outgoing, permit, tasks)),
        }))
    }

    fn send(
        sender: Sender,
        outgoing: Outgoing,
        permit: OwnedSemaphorePermit,
        tasks: TaskTracker,
    ) -> Self {
        let Outgoing { parts, first, body } = outgoing;
        let has_body = first.is_some() || !body.is_end_stream();
        let (mut requests, place) = sender.into_parts();
        match requests.send_request(Request::from_parts(parts, ()), !has_body) {
            Ok((response, stream)) => Self::Sent(Sent {
                response,
                pump: has_body.then(|| Pump::new(first, body, stream)),
                held: Some((permit, place)),
                tasks,
            }),
            Err(error) => Self::Refused(broken(&error)),
        }
    }
}

impl From<State> for Call {
    fn from(state: State) -> Self {
        Self { state }
    }
}

impl Future for Call {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            let response = match &mut this.state {
                State::Refused(status) => status.clone().into_http(),
                State::Reading(reading) => {
                    this.state = ready!(reading.poll(cx));
                    continue;
                }
                State::Waiting(waiting) => {
                    let sender = ready!(waiting.opening.as_mut().poll(cx));
                    this.state = match (sender, waiting.request.take()) {
                        (Some(sender), Some((outgoing, permit, tasks))) => {
                            State::send(sender, outgoing, permit, tasks)
                        }
                        _ => State::Refused(unreachable_now()),
                    };
                    continue;
                }
                State::Sent(sent) => ready!(sent.poll(cx)),
            };
            return Poll::Ready(Ok(response));
        }
    }
}

impl Sent {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        if let Some(pump) = &mut self.pump
            && let Poll::Ready(sent) = Pin::new(pump).poll(cx)
        {
            self.pump = None;
            if let Err(Failure::Body(status)) = sent {
                return Poll::Ready(status.into_http());
            }
        }
        Poll::Ready(match ready!(Pin::new(&mut self.response).poll(cx)) {
            Ok(response) => self.reply(response),
            Err(error) => broken(&error).into_http(),
        })
    }

    fn reply(&mut self, response: Response<RecvStream>) -> Response<Body> {
        let (mut parts, stream) = response.into_parts();
        remove_cors(&mut parts.headers);
        if parts.status != StatusCode::OK && !parts.headers.contains_key(Status::GRPC_STATUS) {
            return not_grpc(parts.status).into_http();
        }
        // A server that answers before it has the whole request goes on taking it meanwhile, at its own pace.
        let sending = self.pump.take().map(|pump| {
            let sending = self.tasks.spawn(async move {
                // What went wrong is told by the reply.
                let _ = pump.await;
            });
            AbortOnDrop(sending.abort_handle())
        });
        let body = Reply {
            stream,
            is_read: false,
            _sending: sending,
            _held: self.held.take(),
        };
        Response::from_parts(parts, Body::new(body))
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The body of a reply: its messages, then its trailers.
struct Reply {
    stream: RecvStream,
    is_read: bool,
    _sending: Option<AbortOnDrop>,
    _held: Option<(OwnedSemaphorePermit, Place)>,
}

impl HttpBody for Reply {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if !this.is_read {
            match ready!(this.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // Asked for more only now: what is not read holds the server back.
                    let _ = this.stream.flow_control().release_capacity(data.len());
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(broken(&error)))),
                None => this.is_read = true,
            }
        }
        Poll::Ready(match ready!(this.stream.poll_trailers(cx)) {
            Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) => Some(Err(broken(&error))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Which pages may read a reply is the gateway's to say: a permissive server behind it does not open the surface.
fn remove_cors(headers: &mut HeaderMap) {
    let is_cors = |name: &HeaderName| name.as_str().starts_with("access-control-");
    let told: Vec<HeaderName> = headers.keys().filter(|n| is_cors(n)).cloned().collect();
    for name in told {
        headers.remove(name);
    }
}

fn unreachable_now() -> Status {
    Status::unavailable("the upstream cannot be reached; try again")
}

/// A call that ended without a status of its own, by the table for HTTP/2 errors in gRPC's protocol description.
fn broken(error: &h2::Error) -> Status {
    tracing::debug!(%error, "a call to the upstream broke");
    let is_of_stream = error.is_reset();
    match error.reason() {
        Some(Reason::CANCEL) if is_of_stream => {
            Status::cancelled("the upstream cancelled the call")
        }
        Some(Reason::ENHANCE_YOUR_CALM) if is_of_stream => {
            Status::resource_exhausted("the upstream has no room for the call")
        }
        Some(Reason::INADEQUATE_SECURITY) if is_of_stream => {
            Status::permission_denied("the upstream asks for a safer connection")
        }
        Some(reason) if is_of_stream && reason != Reason::REFUSED_STREAM => {
            Status::internal("the upstream broke off the call")
        }
        _ => Status::unavailable("the connection to the upstream broke; try again"),
    }
}

/// An HTTP answer that is none of gRPC's, by the table in gRPC's description of HTTP status codes.
fn not_grpc(status: StatusCode) -> Status {
    let code = match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    };
    Status::new(
        code,
        format!("the upstream answered with HTTP status {}", status.as_u16()),
    )
}
