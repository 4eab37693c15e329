//! Accepting and serving connections, with a limit on everything a client could hold on to.
//!
//! HTTP/1.1 and HTTP/2 on the same port. A connection has a time to show which of the two it speaks (`opening`), a time
//! for each request's head, and another, longer one to stay silent between requests (`heads`). Its streams, header
//! bytes and header count are bounded, and so are connections as a whole, by slots that listeners share. Clients that take
//! nothing are let go (`stall`), what many streams say goes out together (`gather`), and what is no HTTP is told why
//! (`refused`). `door` and `cors` are what services behind listeners have in common, `memory` is about pages.

mod cors;
mod door;
mod gather;
mod heads;
mod memory;
mod opening;
mod refused;
mod stall;

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::Service,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

pub use self::{
    cors::cors,
    door::{
        FORWARDED_FOR, REQUEST_ID, TrustedProxies, grpc_refusal, is_grpc, is_plain_options,
        request_id,
    },
    gather::Gathered,
    memory::use_small_pages,
};
use heads::Heads;
use opening::{Version, open};
use refused::{Calls, Refused};
use stall::{Replies, Writes};

/// Streams one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 256;
/// Bytes of headers of one request.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Header fields that hyper's parser of HTTP/1.1 has room for without allocating.
const USUAL_HEADERS: usize = 100;
/// How often an idle HTTP/2 client is asked whether it is still there, at least.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// How long accepting pauses when the system is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The limits that are configured.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Header fields of an HTTP/1.1 request that are read at all, at least 100. The limits of services are theirs, and hold
    /// for HTTP/2 as well.
    pub max_headers: usize,
    /// How long a client may take to show which HTTP version it speaks (and to shake hands, where there is TLS), and
    /// then for the head of each request, from its first byte on.
    pub header_timeout: Duration,
    /// How long an HTTP/1.1 connection may stay silent between two requests.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of an answer that is ready for it.
    pub stall_timeout: Duration,
}

impl Default for Limits {
    /// 100 headers, 10 seconds for a head, 75 between requests, 30 without taking anything of an answer.
    fn default() -> Self {
        Self {
            max_headers: USUAL_HEADERS,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(30),
        }
    }
}

/// Accepts until `stop`, then waits for the open connections; dropping the future closes them.
///
/// `prepare` makes the service of a connection, after a TLS handshake perhaps; the connection is closed when that
/// fails or takes longer than a head may. Every connection holds one of `slots` until its stream is dropped; a WebSocket
/// that it has become keeps it.
pub async fn accept<P, F, I, S, B>(
    listener: TcpListener,
    limits: Limits,
    slots: Arc<Semaphore>,
    stop: CancellationToken,
    prepare: P,
) where
    P: Fn(TcpStream, SocketAddr) -> F,
    F: Future<Output = io::Result<(I, S)>> + Send + 'static,
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Beyond the limit one client waits here and the others in the system's queue, where they cost no memory. The
        // slot comes second: a listener nobody calls must not hold one that another listener's client waits for.
        let slot = tokio::select! {
            () = stop.cancelled() => break,
            slot = slots.clone().acquire_owned() => slot,
        };
        let Ok(slot) = slot else { break };
        while connections.try_join_next().is_some() {}
        // Small replies must not wait for a second packet.
        let _ = stream.set_nodelay(true);
        let prepared = prepare(stream, peer);
        let stop = stop.clone();
        connections.spawn(async move {
            let prepared = tokio::time::timeout(limits.header_timeout, prepared);
            // Nobody waits for a client that has asked for nothing yet.
            let prepared = tokio::select! {
                prepared = prepared => prepared,
                () = stop.cancelled() => return,
            };
            match prepared {
                Ok(Ok((stream, service))) => {
                    let stream = Writes::new(stream, limits.stall_timeout, slot);
                    serve(stream, service, limits, stop).await;
                }
                Ok(Err(error)) => tracing::debug!(%error, "a connection did not come about"),
                Err(_) => tracing::debug!("a connection did not come about in time"),
            }
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve<I, S, B>(stream: Writes<I>, service: S, limits: Limits, stop: CancellationToken)
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let heads = Heads::new(limits);
    let opened = tokio::select! {
        opened = open(stream, limits.header_timeout, heads.reads()) => opened,
        () = stop.cancelled() => return,
    };
    let (version, stream) = match opened {
        Ok(opened) => opened,
        Err(error) => return tracing::debug!(%error, "a connection said nothing"),
    };
    match version {
        Version::Http1 => {
            let builder = http1_builder(heads, limits);
            let calls = Calls::default();
            let service = calls.count(service);
            let stream = TokioIo::new(Refused::new(stream, calls));
            let connection = builder.serve_connection(stream, service);
            let connection = connection.with_upgrades();
            // A client that does not take a reply is one that does not read, which its writes tell.
            let stalled = std::future::pending();
            drive(connection, |c| c.graceful_shutdown(), stalled, stop).await;
        }
        Version::Http2 => {
            let builder = http2_builder(limits);
            let replies = Replies::new();
            let service = replies.watch(service);
            let stalled = replies.stalled(limits.stall_timeout);
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            let connection = Gathered::new(connection);
            drive(connection, |c| c.inner().graceful_shutdown(), stalled, stop).await;
        }
    }
}

fn http1_builder(heads: Heads, limits: Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(limits.header_timeout)
        .timer(heads)
        .max_buf_size(MAX_HEADER_BYTES);
    if limits.max_headers > USUAL_HEADERS {
        builder.max_headers(limits.max_headers);
    }
    builder
}

fn http2_builder(limits: Limits) -> http2::Builder<TokioExecutor> {
    // A client in the middle of a head cannot answer a ping, so this bounds the time for heads too.
    let keep_alive = KEEP_ALIVE.min(limits.header_timeout);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES as u32)
        .keep_alive_interval(keep_alive)
        .keep_alive_timeout(keep_alive);
    builder
}

/// A connection until it ends, its client stalls, or `stop` has it finish what was begun.
async fn drive<C>(
    connection: C,
    finish: impl Fn(Pin<&mut C>),
    stalled: impl Future<Output = ()>,
    stop: CancellationToken,
) where
    C: Future<Output = hyper::Result<()>>,
{
    let (mut connection, mut stalled) = (pin!(connection), pin!(stalled));
    let mut is_finishing = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            () = stalled.as_mut() => {
                return tracing::debug!("a connection was closed whose client does not take its answers");
            }
            () = stop.cancelled(), if !is_finishing => {
                is_finishing = true;
                finish(connection.as_mut());
            }
        }
    }
}
