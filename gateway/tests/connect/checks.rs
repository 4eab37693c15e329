//! What a service sees of a call: nothing before its checks, its end when the client is gone, no more than is read.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;
use pulpo_gateway::connect::Connect;
use pulpo_gateway_echo::methods;
use tonic::{Status, body::Body};
use tower::ServiceExt;

use crate::support::*;

/// A body that must not be read.
struct Untouched;

impl HttpBody for Untouched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        panic!("the body was read before the checks")
    }
}

#[tokio::test]
async fn a_refused_call_is_not_read() {
    let refusing = tower::service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Status::unauthenticated("who are you?").into_http())
    });
    let connect = Connect::new(methods().unwrap(), refusing);
    // Not even a head that is wrong is told of before the checks.
    let request = post(ECHO, "application/json").header("connect-timeout-ms", "soon");
    let reply = connect
        .clone()
        .oneshot(request.body(Body::new(Untouched)).unwrap())
        .await
        .unwrap();
    assert_eq!(reply.status(), StatusCode::UNAUTHORIZED);
    let request = post(COUNT, "application/connect+json")
        .body(Body::new(Untouched))
        .unwrap();
    let reply = connect.oneshot(request).await.unwrap();
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(
        &body[5..],
        br#"{"error":{"code":"unauthenticated","message":"who are you?"}}"#
    );
}

/// An endless reply that counts what is taken of it, and tells when it is dropped.
struct Endless {
    taken: Arc<AtomicUsize>,
    _held: Arc<()>,
}

impl HttpBody for Endless {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.taken.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(envelope(0, &[8, 1]))))))
    }
}

#[tokio::test]
async fn a_slow_reader_slows_the_service_and_a_gone_one_stops_it() {
    let (taken, held) = (Arc::new(AtomicUsize::new(0)), Arc::new(()));
    let (counter, holder) = (taken.clone(), held.clone());
    let endless = tower::service_fn(move |_: Request<Body>| {
        let body = Body::new(Endless {
            taken: counter.clone(),
            _held: holder.clone(),
        });
        async { Ok::<_, Infallible>(Response::new(body)) }
    });
    let connect = Connect::new(methods().unwrap(), endless);
    let request = post(COUNT, "application/connect+json")
        .body(full(envelope(0, b"{}")))
        .unwrap();
    let mut body = connect.oneshot(request).await.unwrap().into_body();
    assert_eq!(taken.load(Ordering::Relaxed), 0);
    for read in 1..=3 {
        let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(&piece[5..], br#"{"index":1}"#);
        assert_eq!(taken.load(Ordering::Relaxed), read);
    }
    assert_eq!(Arc::strong_count(&held), 2);
    drop(body);
    assert_eq!(
        Arc::strong_count(&held),
        1,
        "the service's reply is dropped with the client's"
    );
}

/// What a service may do wrong, and what the client is told.
#[tokio::test]
async fn broken_replies_are_internal_errors() {
    let trailers = || {
        Frame::trailers(http::HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            http::HeaderValue::from_static("0"),
        )]))
    };
    let data = |bytes: Vec<u8>| Frame::data(Bytes::from(bytes));
    let cases: Vec<Vec<Frame<Bytes>>> = vec![
        vec![data(envelope(0, &[8, 1]))],
        vec![trailers()],
        vec![data(envelope(0, &[8, 1])[..6].to_vec()), trailers()],
        vec![data(envelope(0, &[])), data(envelope(0, &[])), trailers()],
        vec![data(envelope(1, &[8, 1])), trailers()],
        vec![data(envelope(0, &[0xFF])), trailers()],
    ];
    for (index, frames) in cases.into_iter().enumerate() {
        let cell = Arc::new(std::sync::Mutex::new(Some(frames)));
        let service = tower::service_fn(move |_: Request<Body>| {
            let frames = cell
                .lock()
                .unwrap()
                .take()
                .unwrap()
                .into_iter()
                .map(Ok::<_, Status>);
            let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
            async { Ok::<_, Infallible>(Response::new(Body::new(body))) }
        });
        let request = post(ECHO, "application/json").body(full("{}")).unwrap();
        let reply = Connect::new(methods().unwrap(), service)
            .oneshot(request)
            .await
            .unwrap();
        assert_eq!(
            reply.status(),
            StatusCode::INTERNAL_SERVER_ERROR,
            "case {index}"
        );
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        let error: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            error["message"],
            "the service gave a reply that cannot be passed on"
        );
    }
}

#[tokio::test]
async fn a_proxys_http_status_becomes_a_code() {
    let service = tower::service_fn(|_: Request<Body>| async {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        Ok::<_, Infallible>(response)
    });
    let request = post(ECHO, "application/json").body(full("{}")).unwrap();
    let reply = Connect::new(methods().unwrap(), service)
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
}

/// A service behind a network learns of a request only what came; the client is told what was wrong all the same.
#[tokio::test]
async fn the_reason_of_a_refused_message_is_not_lost() {
    let deaf = tower::service_fn(|request: Request<Body>| async {
        let read = request.into_body().collect().await;
        assert!(read.is_err());
        Ok::<_, Infallible>(Status::unavailable("the connection broke").into_http())
    });
    let connect = Connect::new(methods().unwrap(), deaf);
    let request = post(ECHO, "application/json").body(full("{")).unwrap();
    let reply = connect.oneshot(request).await.unwrap();
    assert_eq!(reply.status(), StatusCode::BAD_REQUEST);
}
