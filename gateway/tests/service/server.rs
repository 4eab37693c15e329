//! How generated services answer unary calls: over the wire as gRPC, within the process with the message alone.

use std::{convert::Infallible, future::ready, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use prost::Message;
use pulpo_gateway::{service::Gateway, services::Services};
use pulpo_gateway_echo::{
    Echo,
    proto::echo::v1::{EchoReply, EchoRequest, echo_service_server::EchoServiceServer},
    surface,
};
use tokio_stream::{StreamExt, iter};
use tonic::{Code, Status, body::Body};
use tonic_web::GrpcWebLayer;
use tower::{Layer, ServiceExt};

const PATH: &str = "/echo.v1.EchoService/Echo";

fn text(text: &str) -> EchoRequest {
    EchoRequest {
        text: text.to_owned(),
        ..EchoRequest::default()
    }
}

fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flag], &length[..], message].concat()
}

fn echo_frame(message: &EchoRequest) -> Vec<u8> {
    frame(0, &message.encode_to_vec())
}

/// Calls the echo service, which takes messages of at most 1,000 bytes and sends ones of at most 1,100.
async fn call(content_type: Option<&str>, body: Body) -> Response<Body> {
    let mut request = Request::post(PATH).header("x-lead", "there and back");
    if let Some(content_type) = content_type {
        request = request.header(header::CONTENT_TYPE, content_type);
    }
    let service = EchoServiceServer::new(Echo)
        .max_decoding_message_size(1_000)
        .max_encoding_message_size(1_100);
    service.oneshot(request.body(body).unwrap()).await.unwrap()
}

async fn framed(body: Vec<u8>) -> Response<Body> {
    call(Some("application/grpc"), Body::new(Full::from(body))).await
}

/// The body and the trailers, if there are any.
async fn read(reply: Response<Body>) -> (Bytes, Option<HeaderMap>) {
    let body = reply.into_body().collect().await.unwrap();
    let trailers = body.trailers().cloned();
    (body.to_bytes(), trailers)
}

fn reply(message: &[u8]) -> EchoReply {
    EchoReply::decode(message).unwrap()
}

#[tokio::test]
async fn a_call_with_a_media_type_is_answered_as_grpc() {
    let answer = framed(echo_frame(&text("hello"))).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/grpc");
    assert_eq!(answer.headers()["x-lead"], "there and back");
    let (body, trailers) = read(answer).await;
    assert_eq!(trailers.unwrap()["grpc-status"], "0");
    assert_eq!(body[..5], frame(0, &body[5..])[..5]);
    assert_eq!(reply(&body[5..]).request, Some(text("hello")));
}

#[tokio::test]
async fn a_call_without_one_is_answered_with_the_message_alone() {
    let body = Body::new(Full::from(echo_frame(&text("hello"))));
    let answer = call(None, body).await;
    assert!(!answer.headers().contains_key(header::CONTENT_TYPE));
    assert_eq!(answer.headers()["x-lead"], "there and back");
    let (body, trailers) = read(answer).await;
    assert_eq!(trailers, None);
    assert_eq!(reply(&body).request, Some(text("hello")));
}

#[tokio::test]
async fn trailers_count_where_they_are_part_of_the_body() {
    let request = Request::post(PATH)
        .header(header::CONTENT_TYPE, "application/grpc-web+proto")
        .body(Body::new(Full::from(echo_frame(&text("hello")))));
    let service = GrpcWebLayer::new().layer(EchoServiceServer::new(Echo));
    let answer = service.oneshot(request.unwrap()).await.unwrap();
    let told = answer.body().size_hint().exact();
    let (body, _) = read(answer).await;
    assert!(told.is_none_or(|length| length == body.len() as u64));
    let length = 5 + u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize;
    assert_eq!(body[length], 0x80);
    assert!(body.windows(13).any(|line| line == b"grpc-status:0"));
}

#[tokio::test]
async fn a_message_may_come_in_pieces_and_late() {
    for content_type in [None, Some("application/grpc")] {
        let pieces: Vec<_> = echo_frame(&text("in pieces"))
            .into_iter()
            .map(|byte| Ok::<_, Status>(Frame::data(Bytes::from(vec![byte]))))
            .collect();
        let late = iter(pieces).throttle(Duration::from_millis(1));
        let body = Body::new(StreamBody::new(Box::pin(late)));
        let (body, _) = read(call(content_type, body).await).await;
        let message = if content_type.is_some() {
            &body[5..]
        } else {
            &body[..]
        };
        assert_eq!(reply(message).request, Some(text("in pieces")));
    }
}

#[tokio::test]
async fn what_is_not_one_message_is_refused() {
    let good = echo_frame(&text("a"));
    let cases = [
        (vec![], Code::Unimplemented, "no message"),
        (good.repeat(2), Code::Unimplemented, "more than one message"),
        (frame(1, b"x"), Code::Internal, "compressed"),
        (frame(7, b"x"), Code::Internal, "compressed"),
        (good[..4].to_vec(), Code::Internal, "cut off"),
        (good[..7].to_vec(), Code::Internal, "cut off"),
        (frame(0, &[0; 1_001]), Code::ResourceExhausted, "1000 bytes"),
        (frame(0, b"\xff"), Code::Internal, "cannot be decoded"),
    ];
    for (body, code, says) in cases {
        let answer = framed(body.clone()).await;
        let status = Status::from_header_map(answer.headers()).unwrap();
        assert_eq!(status.code(), code, "{body:?}: {status:?}");
        assert!(status.message().contains(says), "{status:?}");
    }
}

#[tokio::test]
async fn a_reply_that_is_too_long_is_not_sent() {
    let service = EchoServiceServer::new(Echo).max_encoding_message_size(10);
    for content_type in ["application/grpc", ""] {
        let mut request = Request::post(PATH);
        if !content_type.is_empty() {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let body = Body::new(Full::from(echo_frame(&text("longer than ten"))));
        let answer = service.clone().oneshot(request.body(body).unwrap()).await;
        let status = Status::from_header_map(answer.unwrap().headers()).unwrap();
        assert_eq!(status.code(), Code::ResourceExhausted);
    }
}

/// What REST makes of a message alone of which a piece comes every millisecond, and which ends only if it `ends`.
async fn rest_of(pieces: Vec<Result<Bytes, Status>>, ends: bool) -> Response<Body> {
    let service = tower::service_fn(move |_: Request<Body>| {
        let pieces = iter(pieces.clone()).throttle(Duration::from_millis(1));
        let rest = tokio_stream::pending().take(usize::from(!ends));
        let frames = pieces.chain(rest).map(|piece| piece.map(Frame::data));
        let body = Body::new(StreamBody::new(Box::pin(frames)));
        ready(Ok::<_, Infallible>(Response::new(body)))
    });
    let request = Request::get("/v1/echo/a").header("x-server-timeout", "0.2");
    let gateway = Gateway::new(surface().unwrap(), service).in_process();
    let request = request.body(Body::empty()).unwrap();
    gateway.oneshot(request).await.unwrap()
}

#[tokio::test]
async fn a_message_alone_may_come_late_and_not_to_its_end() {
    let message = EchoReply {
        request: Some(text("in pieces")),
        ..EchoReply::default()
    };
    let pieces: Vec<Result<Bytes, Status>> = message
        .encode_to_vec()
        .into_iter()
        .map(|byte| Ok(Bytes::from(vec![byte])))
        .collect();
    let whole = rest_of(pieces.clone(), true).await;
    assert_eq!(whole.status(), StatusCode::OK);
    let (json, _) = read(whole).await;
    assert!(json.windows(9).any(|part| part == b"in pieces"), "{json:?}");
    let mut broken = pieces.clone();
    broken.truncate(3);
    broken.push(Err(Status::unavailable("gone")));
    let answer = rest_of(broken, true).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let answer = rest_of(pieces, false).await;
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn rest_in_the_process_is_the_same_as_over_the_wire() {
    let mut services = Services::new();
    services.add_service(EchoServiceServer::new(Echo));
    let wire = Gateway::new(surface().unwrap(), services);
    let within = wire.clone().in_process();
    let requests = [
        ("GET", "/v1/echo/a?number=7", ""),
        ("POST", "/v1/echo", r#"{"text": "b", "tags": ["c"]}"#),
        ("POST", "/v1/echo", r#"{"txt": "b"}"#),
        ("POST", "/v1/echo", "{"),
        ("GET", "/v1/echo/a?number=x", ""),
        (
            "POST",
            "/v1/echo",
            r#"{"fail": {"code": 5, "message": "no"}}"#,
        ),
        ("GET", "/v1/count/3", ""),
        ("POST", "/v1/sum", r#"[{"number": 1}, {"number": 2}]"#),
        ("POST", "/v1/chat", r#"[{"text": "d"}]"#),
        ("GET", "/v1/nowhere", ""),
    ];
    for (method, path, body) in requests {
        let request = || {
            Request::builder()
                .method(method)
                .uri(path)
                .header("content-type", "application/json")
                .header("x-lead", "e")
                .header("grpc-timeout", "7S")
                .body(Body::new(Full::from(body)))
                .unwrap()
        };
        let expected = wire.clone().oneshot(request()).await.unwrap();
        let answer = within.clone().oneshot(request()).await.unwrap();
        assert_eq!(answer.status(), expected.status(), "{method} {path} {body}");
        assert_eq!(
            answer.headers(),
            expected.headers(),
            "{method} {path} {body}"
        );
        assert_eq!(
            read(answer).await,
            read(expected).await,
            "{method} {path} {body}"
        );
    }
}

#[tokio::test]
async fn what_is_no_reply_of_a_service_is_no_success() {
    let answers = [
        ("401", None, StatusCode::INTERNAL_SERVER_ERROR),
        ("200", Some("5"), StatusCode::NOT_FOUND),
        ("200", None, StatusCode::OK),
    ];
    for (status, grpc_status, expected) in answers {
        let service = tower::service_fn(move |_: Request<Body>| {
            let mut answer = Response::builder().status(status);
            if let Some(code) = grpc_status {
                answer = answer.header("grpc-status", code);
            }
            ready(Ok::<_, Infallible>(answer.body(Body::empty()).unwrap()))
        });
        let gateway = Gateway::new(surface().unwrap(), service).in_process();
        let request = Request::get("/v1/echo/a").body(Body::empty()).unwrap();
        let reply = gateway.oneshot(request).await.unwrap();
        assert_eq!(reply.status(), expected, "{status} {grpc_status:?}");
    }
}
