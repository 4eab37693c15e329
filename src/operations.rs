//! The operator's listener: health, readiness and metrics of this process, in every role.
//!
//! It is for probes and scrapers inside the installation: it speaks HTTP/1.1, asks for no credential, and tells nothing
//! about anybody's data. Clients must not reach it.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::db::Db;

/// Connections at the same time; more than that wait.
const MAX_CONNECTIONS: usize = 64;
/// How long a client may take to send its headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one connection may live, whatever its client does.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// How long accepting pauses when the system is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The media type of the Prometheus text format.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4";

/// What the listener tells about.
#[derive(Clone)]
struct State {
    db: Db,
    metrics: PrometheusHandle,
}

/// The bound listener.
pub struct Operations {
    listener: TcpListener,
    address: SocketAddr,
    state: State,
}

impl Operations {
    /// Binds it; connections wait until [`Operations::run`].
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub async fn bind(address: SocketAddr, db: Db, metrics: PrometheusHandle) -> Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address} for health and metrics"))?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            state: State { db, metrics },
        })
    }

    /// Where it really is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`; connections still open are closed then.
    pub async fn run(self, stop: CancellationToken) {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = async {
                    let slot = slots.clone().acquire_owned().await;
                    (slot, self.listener.accept().await)
                } => accepted,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                (Ok(slot), Ok((stream, _))) => {
                    let state = self.state.clone();
                    connections.spawn(async move {
                        serve(stream, state).await;
                        drop(slot);
                    });
                }
                (_, Err(error)) => {
                    tracing::warn!(%error, "an operator's connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                (Err(_), _) => break,
            }
        }
        connections.shutdown().await;
    }
}

async fn serve(stream: TcpStream, state: State) {
    let service = service_fn(move |request| {
        let state = state.clone();
        async move { Ok::<_, Infallible>(answer(request, &state).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    // Whether it ended well concerns the client alone.
    let _ = timeout(CONNECTION_TIMEOUT, connection).await;
}

async fn answer(request: Request<Incoming>, state: &State) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = reply(StatusCode::METHOD_NOT_ALLOWED, "text/plain", String::new());
        let allowed = header::HeaderValue::from_static("GET, HEAD");
        refused.headers_mut().insert(header::ALLOW, allowed);
        return refused;
    }
    match request.uri().path() {
        "/health" => json(StatusCode::OK, r#"{"status":"ok"}"#),
        "/ready" if state.db.answers().await => json(StatusCode::OK, r#"{"status":"ready"}"#),
        "/ready" => json(
            StatusCode::SERVICE_UNAVAILABLE,
            r#"{"status":"unavailable"}"#,
        ),
        "/metrics" => reply(StatusCode::OK, PROMETHEUS_TEXT, state.metrics.render()),
        _ => reply(StatusCode::NOT_FOUND, "text/plain", String::new()),
    }
}

fn json(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    reply(status, "application/json", body.to_owned())
}

fn reply(status: StatusCode, media_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(media_type),
    );
    response
}
