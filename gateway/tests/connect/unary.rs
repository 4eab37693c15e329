//! Unary calls by POST.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use http_body::Frame;
use http_body_util::StreamBody;
use prost::Message;
use pulpo_gateway_echo::proto::echo::v1::{EchoReply, EchoRequest};
use serde_json::json;
use tonic::body::Body;

use crate::support::*;

#[tokio::test]
async fn json_is_canonical_and_unknown_members_are_ignored() {
    let reply = unary(
        "application/json; charset=utf-8",
        r#"{"text":"a","number":7,"data":"AAE","at":"2026-01-02T03:04:05Z","delay_ms":0,"unknown":[{}]}"#,
    )
    .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(
        reply.json(),
        json!({
            "request": {"text": "a", "number": "7", "data": "AAE=", "at": "2026-01-02T03:04:05Z"},
            "timeout": "60000000u",
        })
    );
}

#[tokio::test]
async fn binary_messages_pass_as_they_are() {
    let request = EchoRequest {
        text: "a".to_owned(),
        number: -1,
        tags: vec!["x".to_owned()],
        ..EchoRequest::default()
    };
    let reply = unary("application/proto", request.encode_to_vec()).await;
    assert_eq!(reply.header("content-type"), "application/proto");
    let echoed = EchoReply::decode(reply.body).unwrap();
    assert_eq!(echoed.request, Some(request));
    // A message of nothing is no bytes, also where they are said to be compressed.
    let request = post(ECHO, "application/proto").header("content-encoding", "gzip");
    let reply = send(request.body(full("")).unwrap()).await;
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn metadata_goes_both_ways() {
    let request = post(ECHO, "application/json")
        .header("x-lead", "one")
        .header("x-lead", "two")
        .header("x-lead-bin", "AAEC")
        .header("x-other-bin", "AP8=")
        .header("connect-protocol-version", "1")
        .header("connect-x", "reserved")
        .header("grpc-x", "reserved")
        .header("connect-timeout-ms", "1500");
    let reply = send(request.body(full("{}")).unwrap()).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    assert_eq!(
        reply.json(),
        json!({
            "request": {},
            "metadata": {"x-lead": "one,two", "x-lead-bin": "AAEC", "x-other-bin": "AP8="},
            "timeout": "1500000u",
        })
    );
    let all = |name: &str| -> Vec<_> { reply.headers.get_all(name).iter().cloned().collect() };
    assert_eq!(all("x-lead"), ["one", "two"]);
    assert_eq!(all("x-lead-bin"), ["AAEC"]);
    assert_eq!(all("trailer-x-trail"), ["one", "two"]);
    assert_eq!(all("trailer-x-trail-bin"), ["AAEC/w"]);
    assert!(
        !reply
            .headers
            .keys()
            .any(|name| name.as_str().contains("grpc-"))
    );
}

#[tokio::test]
async fn errors_have_their_code_status_and_details() {
    let body = r#"{"fail":{"code":9,"message":"not now: \"ü\""}}"#;
    for content_type in ["application/json", "application/proto"] {
        let body = match content_type {
            "application/json" => body.as_bytes().to_vec(),
            _ => EchoRequest {
                fail: Some(pulpo_gateway_echo::proto::echo::v1::Failure {
                    code: 9,
                    message: "not now: \"ü\"".to_owned(),
                }),
                ..EchoRequest::default()
            }
            .encode_to_vec(),
        };
        let reply = unary(content_type, body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        assert_eq!(reply.header("content-type"), "application/json");
        assert_eq!(reply.header("x-failed"), "yes");
        let info = "CglBU0tFRF9GT1ISB2VjaG8udjEaDQoFZmllbGQSBGZhaWw";
        assert_eq!(
            reply.json(),
            json!({
                "code": "failed_precondition",
                "message": "not now: \"ü\"",
                "details": [
                    {
                        "type": "google.rpc.ErrorInfo",
                        "value": info,
                        "debug": {"reason": "ASKED_FOR", "domain": "echo.v1", "metadata": {"field": "fail"}},
                    },
                    {"type": "echo.unknown.Detail", "value": "CAE"},
                ],
            })
        );
    }
}

#[tokio::test]
async fn every_code_has_the_documents_name_and_status() {
    let table = [
        (1, "canceled", 499),
        (2, "unknown", 500),
        (3, "invalid_argument", 400),
        (4, "deadline_exceeded", 504),
        (5, "not_found", 404),
        (6, "already_exists", 409),
        (7, "permission_denied", 403),
        (8, "resource_exhausted", 429),
        (9, "failed_precondition", 400),
        (10, "aborted", 409),
        (11, "out_of_range", 400),
        (12, "unimplemented", 501),
        (13, "internal", 500),
        (14, "unavailable", 503),
        (15, "data_loss", 500),
        (16, "unauthenticated", 401),
    ];
    for (code, name, status) in table {
        let reply = unary(
            "application/json",
            format!(r#"{{"fail":{{"code":{code}}}}}"#),
        )
        .await;
        assert_eq!(reply.status.as_u16(), status, "{name}");
        let error = reply.json();
        assert_eq!(error["code"], name);
        assert_eq!(error.get("message"), None, "an empty message is left out");
    }
}

#[tokio::test]
async fn compressed_requests_and_replies() {
    let text = "long ".repeat(1000);
    let json = json!({"text": text}).to_string();
    let request = post(ECHO, "application/json").header("content-encoding", "gzip");
    let reply = send(request.body(full(gzip(json.as_bytes()))).unwrap()).await;
    // The request's coding, where no other is asked for.
    assert_eq!(reply.header("content-encoding"), "gzip");
    assert_eq!(reply.header("vary"), "accept-encoding");
    let unpacked: serde_json::Value = serde_json::from_slice(&gunzip(&reply.body)).unwrap();
    assert_eq!(unpacked["request"]["text"], text);

    let request = post(ECHO, "application/json")
        .header("content-encoding", "gzip")
        .header("accept-encoding", "identity");
    let reply = send(request.body(full(gzip(json.as_bytes()))).unwrap()).await;
    assert_eq!(reply.header("content-encoding"), "");
    assert_eq!(reply.json()["request"]["text"], text);

    for coding in ["br", "zstd"] {
        let request = post(ECHO, "application/json").header("accept-encoding", coding);
        let reply = send(request.body(full(json.clone())).unwrap()).await;
        assert_eq!(reply.header("content-encoding"), coding);
        assert!(reply.body.len() < 200);
    }

    let failing = json!({"fail": {"code": 13, "message": text}}).to_string();
    let request = post(ECHO, "application/json").header("accept-encoding", "snappy, gzip");
    let reply = send(request.body(full(failing)).unwrap()).await;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(reply.header("content-encoding"), "gzip");
    let unpacked: serde_json::Value = serde_json::from_slice(&gunzip(&reply.body)).unwrap();
    assert_eq!(unpacked["message"], text);
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_with_its_place() {
    let reply = unary("application/json", r#"{"number":"x"}"#).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    let error = reply.json();
    assert_eq!(error["code"], "invalid_argument");
    assert!(
        error["message"].as_str().unwrap().starts_with("number: "),
        "{error}"
    );
    assert_eq!(
        error["details"][1]["debug"]["fieldViolations"][0]["field"],
        "number"
    );
    for bad in ["", "{", "[]", "{\"text\":1}", "\u{FEFF}{}"] {
        let reply = unary("application/json", bad).await;
        assert_eq!(reply.json()["code"], "invalid_argument", "{bad}");
    }
    let request = post(ECHO, "application/json").header("content-encoding", "gzip");
    let reply = send(request.body(full("{}")).unwrap()).await;
    assert_eq!(reply.json()["code"], "invalid_argument");
}

#[tokio::test]
async fn requests_are_limited_before_and_after_decompression() {
    let long = json!({"text": "x".repeat(200_001)}).to_string();
    let exact = format!(r#"{{"text":"{}"}}"#, "x".repeat(200_000 - 11));
    assert_eq!(
        unary("application/json", exact).await.status,
        StatusCode::OK
    );
    let endless =
        stream::repeat_with(|| Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b' '; 65_536]))));
    let request = post(ECHO, "application/json")
        .body(Body::new(StreamBody::new(endless)))
        .unwrap();
    assert_eq!(send(request).await.json()["code"], "resource_exhausted");
    let reply = unary("application/json", long.clone()).await;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(reply.json()["code"], "resource_exhausted");
    let request = post(ECHO, "application/json").header("content-encoding", "gzip");
    let reply = send(request.body(full(gzip(long.as_bytes()))).unwrap()).await;
    assert_eq!(reply.json()["code"], "resource_exhausted");
    let deep = format!("{}{}", r#"{"unknown":"#, "[".repeat(100_000));
    assert_eq!(
        unary("application/json", deep).await.json()["code"],
        "invalid_argument"
    );
}

#[tokio::test]
async fn the_cuts_between_pieces_do_not_matter() {
    let json = r#"{"text":"aü","number":"9007199254740993","tags":["x","y"]}"#.as_bytes();
    let expected = unary("application/json", json.to_vec()).await.body;
    let packed = gzip(json);
    for size in 1..=json.len() {
        let request = post(ECHO, "application/json")
            .body(pieces(json, size))
            .unwrap();
        assert_eq!(send(request).await.body, expected, "pieces of {size}");
        let request = post(ECHO, "application/json")
            .header("content-encoding", "gzip")
            .body(pieces(&packed, size))
            .unwrap();
        assert_eq!(
            send(request).await.body,
            expected,
            "compressed pieces of {size}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_timeout() {
    let request = post(ECHO, "application/json").header("connect-timeout-ms", "50");
    let reply = send(request.body(full(r#"{"delayMs":60}"#)).unwrap()).await;
    assert_eq!(reply.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(reply.json()["code"], "deadline_exceeded");
    let request = post(ECHO, "application/json").header("connect-timeout-ms", "9999999999");
    let reply = send(request.body(full(r#"{"delayMs":61000}"#)).unwrap()).await;
    assert_eq!(
        reply.json()["code"],
        "deadline_exceeded",
        "the gateway's own cap"
    );
}
