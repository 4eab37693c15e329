//! A stream over a WebSocket (RFC 6455): each message is a text frame, in both directions where the method takes a stream.
//!
//! An empty text frame ends the client's messages, as a WebSocket cannot be closed in one direction only. The close code tells
//! the status: 1000 for OK, otherwise 4000 plus the HTTP status (4404 for what is not found), with the reason and the
//! message as the close reason.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use http::Response;
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::{sync::mpsc, time::Instant};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message, Utf8Bytes,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Status, body::Body};

use super::{
    Call, Handshake, Messages,
    close::{failed, frame},
    copy_metadata,
    opening::{Open, Outgoing, Reply, opened},
    print,
};
use crate::{
    fault::Fault,
    request::{
        Plan,
        fault::{FaultSlot, deadline_exceeded},
    },
    surface::Surface,
};

/// Messages of a client that wait for the service.
const QUEUED_MESSAGES: usize = 8;
/// How long the other side has to take the close frame and to send its own.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The open WebSockets of a gateway. They outlive the HTTP connections they came from, so whoever stops a server closes them.
#[derive(Clone, Default)]
pub struct Sockets(Arc<Every>);

#[derive(Default)]
struct Every {
    tasks: TaskTracker,
    stop: CancellationToken,
    abandoned: CancellationToken,
}

impl Sockets {
    /// Closes every socket with 1001, going away, and waits until they are gone: five seconds at most for clients that do not
    /// close in turn.
    pub async fn close(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Ends every socket without a word. [`Sockets::close`] then waits for nobody.
    pub fn abandon(&self) {
        self.0.abandoned.cancel();
    }
}

/// The client's frames as the service's request body.
pub(crate) struct Incoming {
    messages: mpsc::Sender<Result<Bytes, Status>>,
    wanted: CancellationToken,
}

impl Incoming {
    /// The side that takes frames, and the body that gives them out.
    pub(crate) fn new() -> (Self, Body) {
        let (messages, queue) = mpsc::channel(QUEUED_MESSAGES);
        let wanted = CancellationToken::new();
        let asked = wanted.clone();
        let frames = futures_util::stream::unfold(queue, move |mut queue| {
            asked.cancel();
            async move {
                let next: Result<Bytes, Status> = queue.recv().await?;
                Some((next.map(Frame::data), queue))
            }
        });
        (
            Self { messages, wanted },
            Body::new(StreamBody::new(frames)),
        )
    }
}

/// Answers a handshake: with 101 as soon as the service gives a message, or asks for one and does not refuse; or with its refusal.
pub(crate) async fn upgrade(
    call: &Call<'_>,
    handshake: Handshake,
    sockets: &Sockets,
    input: Option<(Plan, Incoming)>,
    reply: Reply,
) -> Response<Body> {
    let wanted = input.as_ref().map(|(_, incoming)| incoming.wanted.clone());
    let (outgoing, metadata) = match opened(call, reply, wanted).await {
        Ok(opened) => opened,
        Err(refusal) => return *refusal,
    };
    let mut switching = Response::new(Body::empty());
    copy_metadata(call.surface, &metadata, switching.headers_mut());
    let upgrade = handshake.accept(&mut switching);
    let socket = Socket {
        surface: call.surface.clone(),
        index: call.index,
        faults: call.faults.clone(),
        deadline: call.deadline,
        stop: sockets.0.stop.clone(),
        outgoing,
        client: Arc::new(Client {
            has_answered: AtomicBool::new(true),
            ..Client::default()
        }),
    };
    let abandoned = sockets.0.abandoned.clone();
    sockets.0.tasks.spawn(async move {
        let running = async {
            match upgrade.await {
                Ok(upgraded) => socket.run(upgraded, input).await,
                Err(error) => tracing::debug!(%error, "a WebSocket was not opened"),
            }
        };
        abandoned.run_until_cancelled(running).await;
    });
    switching
}

/// What is known of the client at the other end.
#[derive(Default)]
struct Client {
    /// It has sent something since the last ping.
    has_answered: AtomicBool,
    /// Its frames are not read, as the service does not take what came before them: its pongs may be among those.
    is_held_back: AtomicBool,
}

impl Client {
    /// Whether it is still there, as far as can be told; asked once a ping.
    fn is_there(&self) -> bool {
        self.has_answered.swap(false, Ordering::Relaxed)
            || self.is_held_back.load(Ordering::Relaxed)
    }
}

struct Socket {
    surface: Arc<Surface>,
    index: usize,
    faults: FaultSlot,
    deadline: Option<Instant>,
    stop: CancellationToken,
    outgoing: Outgoing,
    client: Arc<Client>,
}

impl Socket {
    async fn run(self, upgraded: Upgraded, input: Option<(Plan, Incoming)>) {
        let limit = self.surface.options.limits.max_body_bytes;
        let config = WebSocketConfig::default()
            .max_message_size(Some(limit))
            .max_frame_size(Some(limit));
        let io = TokioIo::new(upgraded);
        let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        let (mut sink, mut stream) = socket.split();
        let client = self.client.clone();
        let close = {
            let reading = read(&mut stream, input, &client);
            let writing = self.write(&mut sink);
            tokio::pin!(reading, writing);
            tokio::select! {
                close = &mut writing => close,
                close = &mut reading => close,
            }
        };
        let closing = async {
            if let Some(frame) = close {
                let _ = sink.send(Message::Close(Some(frame))).await;
            }
            // The client's own close frame, so that ours is not lost in a reset.
            while let Some(Ok(_)) = stream.next().await {}
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
    }

    /// Sends messages until there are no more; answers how to close.
    async fn write(
        self,
        sink: &mut (impl Sink<Message, Error = tungstenite::Error> + Unpin),
    ) -> Option<CloseFrame> {
        let Self {
            surface,
            index,
            faults,
            deadline,
            stop,
            mut outgoing,
            client,
        } = self;
        let ping = surface.options.streams.ping;
        let mut pings = tokio::time::interval_at(Instant::now() + ping, ping);
        loop {
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => return Some(stopping()),
                _ = pings.tick() => {
                    if !client.is_there() {
                        return Some(frame(CloseCode::Away, "the client does not answer pings"));
                    }
                    Ok(Step::Send(Message::Ping(Bytes::new())))
                }
                next = outgoing.next(&surface, &faults, deadline) => next,
            };
            let message = match next {
                Ok(Step::Send(message)) => Ok(message),
                Ok(Step::Opened) => continue,
                Ok(Step::End) => return Some(frame(CloseCode::Normal, "")),
                Ok(Step::Print(message)) => text(&surface, index, &message),
                Err(fault) => Err(fault),
            };
            let message = match message {
                Ok(message) => message,
                Err(fault) => return Some(failed(&fault)),
            };
            // A client that takes nothing for so long is gone. What is cut off when the server stops goes out before the
            // close frame if the client begins to read.
            let sent = tokio::time::timeout(ping * 2, sink.send(message));
            let sent = tokio::select! {
                biased;
                sent = sent => sent,
                () = stop.cancelled() => return Some(stopping()),
            };
            match sent {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return None,
            }
        }
    }
}

fn stopping() -> CloseFrame {
    frame(CloseCode::Away, "the server is stopping")
}

enum Step {
    Send(Message),
    Print(Bytes),
    /// The service has answered; its messages come next.
    Opened,
    End,
}

impl Outgoing {
    async fn next(
        &mut self,
        surface: &Surface,
        faults: &FaultSlot,
        deadline: Option<Instant>,
    ) -> Result<Step, Box<Fault>> {
        match self {
            Self::Waiting(reply) => {
                let response = match deadline {
                    None => reply.await,
                    Some(at) => tokio::time::timeout_at(at, reply)
                        .await
                        .map_err(|_| deadline_exceeded())?,
                };
                let max_bytes = surface.options.limits.max_reply_bytes;
                let messages = Messages::new(response, max_bytes, faults.clone(), deadline).1?;
                *self = Self::Open(Box::new(Open {
                    messages,
                    first: None,
                    is_over: false,
                }));
                Ok(Step::Opened)
            }
            Self::Open(open) if open.is_over => Ok(Step::End),
            Self::Open(open) => match open.first.take() {
                Some(first) => Ok(Step::Print(first)),
                None => Ok(open.messages.next().await?.map_or(Step::End, Step::Print)),
            },
        }
    }
}

/// Takes the client's frames; answers how to close when it is done.
async fn read(
    stream: &mut (impl Stream<Item = Result<Message, tungstenite::Error>> + Unpin),
    mut input: Option<(Plan, Incoming)>,
    client: &Client,
) -> Option<CloseFrame> {
    while let Some(frame_in) = stream.next().await {
        client.has_answered.store(true, Ordering::Relaxed);
        let text = match frame_in {
            Ok(Message::Text(text)) => text,
            Ok(Message::Binary(_)) => {
                return Some(frame(CloseCode::Unsupported, "messages are text frames"));
            }
            // The other side has closed; the service need not go on.
            Ok(Message::Close(_)) => return None,
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
            Err(tungstenite::Error::Capacity(_)) => {
                return Some(frame(CloseCode::Size, "the message is too long"));
            }
            Err(_) => return None,
        };
        if text.is_empty() {
            input = None;
            continue;
        }
        // Frames after the client's last message are nobody's.
        if let Some((plan, incoming)) = &input {
            let message = plan.json_message(text.as_bytes());
            let is_last = message.is_err();
            client.is_held_back.store(true, Ordering::Relaxed);
            let sent = incoming.messages.send(message).await;
            client.has_answered.store(true, Ordering::Relaxed);
            client.is_held_back.store(false, Ordering::Relaxed);
            if sent.is_err() || is_last {
                input = None;
            }
        }
    }
    None
}

fn text(surface: &Surface, index: usize, message: &Bytes) -> Result<Message, Box<Fault>> {
    let mut out = Vec::with_capacity(message.len() * 2 + 64);
    if let Some(endpoint) = surface.endpoints.get(index) {
        print(surface, endpoint, false, message, &mut out)?;
    }
    let text = Utf8Bytes::try_from(Bytes::from(out))
        .map_err(|_| super::broken("the reply is not UTF-8"))?;
    Ok(Message::Text(text))
}
