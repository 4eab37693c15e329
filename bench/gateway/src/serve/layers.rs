//! What any deployment has around its handlers, the same code around the gateway and around the handlers written by
//! hand: connection limits and timeouts, request id, metrics, and a deadline where the service has none of its own.
//! There is no access log.

use std::{
    convert::Infallible,
    future::ready,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper::{body::Incoming, service::service_fn};
use pulpo_gateway::listen;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt};
use uuid::Uuid;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_CONNECTIONS: usize = 20_000;

/// Accepts connections for ever.
pub(super) async fn accept<S, B>(listener: TcpListener, service: S, deadline: Option<Duration>)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    B: http_body::Body<Data = bytes::Bytes> + Default + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let prepare = move |stream, _| {
        let service = service.clone();
        let answer = service_fn(move |request| call(service.clone(), request, deadline));
        ready(Ok((stream, answer)))
    };
    let limits = listen::Limits::default();
    listen::accept(listener, limits, slots, CancellationToken::new(), prepare).await;
}

async fn call<S, B>(
    service: S,
    mut request: Request<Incoming>,
    deadline: Option<Duration>,
) -> Result<Response<B>, Infallible>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: Default,
{
    let began = Instant::now();
    let method = request.method().clone();
    let id = request
        .headers()
        .get(REQUEST_ID)
        .cloned()
        .unwrap_or_else(fresh_id);
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let answered = service.oneshot(request);
    let mut response = match deadline {
        None => infallible(answered.await),
        Some(deadline) => match tokio::time::timeout(deadline, answered).await {
            Ok(answer) => infallible(answer),
            Err(_) => {
                let mut late = Response::new(B::default());
                *late.status_mut() = StatusCode::GATEWAY_TIMEOUT;
                late
            }
        },
    };
    response.headers_mut().insert(REQUEST_ID, id);
    let labels = [
        ("method", method.to_string()),
        ("status", response.status().as_str().to_owned()),
    ];
    metrics::counter!("http_requests_total", &labels).increment(1);
    metrics::histogram!("http_request_duration_seconds").record(began.elapsed());
    Ok(response)
}

fn infallible<T>(outcome: Result<T, Infallible>) -> T {
    match outcome {
        Ok(value) => value,
        Err(never) => match never {},
    }
}

fn fresh_id() -> HeaderValue {
    let mut buffer = Uuid::encode_buffer();
    let text = Uuid::new_v4().hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown"))
}
