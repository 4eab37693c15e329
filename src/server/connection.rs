//! Accepting and serving connections, with a limit on everything a client could hold on to.

use std::{sync::Arc, time::Duration};

use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{door::Door, opening::Opening};
use crate::config::Http;

/// Streams one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 256;
/// Bytes of headers of one request.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Headers of one request.
const MAX_HEADERS: usize = 128;
/// How often an idle HTTP/2 client is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// How long accepting pauses when the system is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The limits that are configured.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    header_timeout: Duration,
}

impl Limits {
    pub(super) fn new(http: &Http) -> Self {
        Self {
            header_timeout: Duration::from_millis(http.header_timeout_ms),
        }
    }
}

/// Accepts until `stop`, then waits for the open connections.
pub(super) async fn accept(
    listener: TcpListener,
    door: Door,
    limits: Limits,
    slots: Arc<Semaphore>,
    stop: CancellationToken,
) {
    let graceful = GracefulShutdown::new();
    let mut connections = tokio::task::JoinSet::new();
    loop {
        // A slot first: beyond the limit clients wait in the system's queue instead of costing memory here.
        let slot = tokio::select! {
            () = stop.cancelled() => break,
            slot = slots.clone().acquire_owned() => slot,
        };
        let Ok(slot) = slot else { break };
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
        while connections.try_join_next().is_some() {}
        let connection = serve(stream, door.for_peer(peer.ip()), limits, &graceful);
        connections.spawn(async move {
            connection.await;
            drop(slot);
        });
    }
    drop(listener);
    graceful.shutdown().await;
    while connections.join_next().await.is_some() {}
}

fn serve(
    stream: TcpStream,
    door: Door,
    limits: Limits,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<> {
    // Small replies must not wait for a second packet.
    let _ = stream.set_nodelay(true);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES as u32)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE);
    let service = TowerToHyperService::new(door.map_request(|r: http::Request<Incoming>| r));
    let connection = builder
        .serve_connection(
            TokioIo::new(Opening::new(stream, limits.header_timeout)),
            service,
        )
        .into_owned();
    let watched = graceful.watch(connection);
    async move {
        if let Err(error) = watched.await {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}
