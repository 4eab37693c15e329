//! What is refused before anybody looks at what it asks for: by its headers, its host, its first line. Every refusal says why.

use std::collections::HashMap;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    gateway::{Gateway, config, reflected},
    http2,
    upstream::{Reflection, Upstream},
};

/// What a client reads that sends these bytes: the status, the headers and the body of one reply, and of how many replies
/// that was the last.
struct Answer {
    status: u16,
    headers: HashMap<String, String>,
    body: Value,
    count: usize,
}

/// The last reply to these bytes, after which the connection is closed.
async fn raw(gateway: &Gateway, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let count = text.matches("HTTP/1.1 ").count();
    let last = text.rfind("HTTP/1.1 ").unwrap();
    let (head, body) = text[last..].split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let line = lines.next().unwrap();
    let headers: HashMap<String, String> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(headers["content-length"], body.len().to_string());
    Answer {
        status: line["HTTP/1.1 ".len()..][..3].parse().unwrap(),
        headers,
        body: serde_json::from_str(body).unwrap(),
        count,
    }
}

/// An HTTP/1.1 request for an item with so many headers.
fn with_headers(count: usize) -> Vec<u8> {
    let mut text = "GET /v1/items/lamp HTTP/1.1\r\nhost: a\r\nconnection: close\r\n".to_owned();
    for number in 2..count {
        text += &format!("x-{number}: {number}\r\n");
    }
    text += "\r\n";
    text.into_bytes()
}

/// The reply to the same over HTTP/2.
async fn over_http2(gateway: &Gateway, path: &str, headers: &[(&str, &str)]) -> Response<Value> {
    let method = match headers.is_empty() {
        true => "GET",
        false => headers[0].1,
    };
    let mut request = Request::builder()
        .method(method)
        .version(Version::HTTP_2)
        .uri(gateway.url(path));
    for (name, value) in headers.iter().skip(1) {
        request = request.header(*name, *value);
    }
    let reply = http2::ask(gateway.address, request.body(Bytes::new()).unwrap()).await;
    reply.map(|body| serde_json::from_slice(&body).unwrap_or_default())
}

fn many(method: &'static str, count: usize) -> Vec<(&'static str, &'static str)> {
    let mut headers = vec![(":method", method)];
    headers.resize(count + 1, ("x-one", "1"));
    headers
}

#[tokio::test]
async fn headers_are_counted_over_both_versions_of_http() {
    let upstream = Upstream::start(Reflection::V1).await;
    let mut told = config(reflected(&upstream.url()));
    told.surfaces[0].max_headers = 50;
    let gateway = Gateway::start(told).await;
    let item = "/v1/items/lamp";
    let reason = "/details/0/reason";

    assert_eq!(raw(&gateway, &with_headers(50)).await.status, 200);
    let refused = raw(&gateway, &with_headers(51)).await;
    assert_eq!(refused.status, 431);
    assert_eq!(refused.headers["content-type"], "application/json");
    assert_eq!(refused.body["code"], 8);
    assert_eq!(
        refused.body["message"],
        "the request has more than 50 headers"
    );
    assert_eq!(
        refused.body.pointer(reason),
        Some(&json!("TOO_MANY_HEADERS"))
    );

    let taken = over_http2(&gateway, item, &many("GET", 50)).await;
    assert_eq!(taken.status(), StatusCode::OK);
    let refused = over_http2(&gateway, item, &many("GET", 51)).await;
    assert_eq!(refused.status(), 431);
    assert_eq!(
        refused.body().pointer(reason),
        Some(&json!("TOO_MANY_HEADERS"))
    );

    // More than are ever read have no body over HTTP/2.
    let long = "y".repeat(70_000);
    let refused = over_http2(&gateway, item, &[("", "GET"), ("x-long", &long)]).await;
    assert_eq!(
        (refused.status().as_u16(), refused.body()),
        (431, &Value::Null)
    );

    // In the words of each protocol.
    for media_type in ["application/grpc", "application/grpc-web+proto"] {
        let mut headers = many("POST", 51);
        headers[1] = ("content-type", media_type);
        let refused = over_http2(&gateway, "/shop.v1.Shop/GetItem", &headers).await;
        assert_eq!(refused.status(), 200);
        assert_eq!(refused.headers()["grpc-status"], "8");
        assert_eq!(refused.headers()["content-type"], media_type);
    }
    let mut headers = many("POST", 51);
    headers[1] = ("content-type", "application/json");
    let refused = over_http2(&gateway, "/shop.v1.Shop/GetItem", &headers).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.body()["code"], "resource_exhausted");
    gateway.stop().await;
    upstream.stop().await;
}

#[tokio::test]
async fn more_headers_than_usual_are_read_where_a_surface_wants_them() {
    let upstream = Upstream::start(Reflection::V1).await;
    for (most, asked, status) in [
        (100, 100, 200),
        (100, 101, 431),
        (300, 300, 200),
        (300, 301, 431),
    ] {
        let mut told = config(reflected(&upstream.url()));
        told.surfaces[0].max_headers = most;
        let gateway = Gateway::start(told).await;
        let answer = raw(&gateway, &with_headers(asked)).await;
        assert_eq!(answer.status, status, "{asked} of {most}");
        gateway.stop().await;
    }
    upstream.stop().await;
}

/// The problem that stands in every one of these.
#[track_caller]
fn assert_problem(answer: &Answer, status: u16, reason: &str) {
    assert_eq!(answer.status, status);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.body["status"], status);
    assert_eq!(answer.body["reason"], reason);
    assert!(answer.body["detail"].as_str().unwrap().len() > 10);
}

#[tokio::test]
async fn what_is_no_request_is_told_so() {
    let upstream = Upstream::start(Reflection::V1).await;
    let gateway = Gateway::start(config(reflected(&upstream.url()))).await;
    let good = "GET /v1/items/lamp HTTP/1.1\r\nhost: a\r\n\r\n";
    // As much as is read of a head, so that nothing is unread when the connection is closed.
    let long = "GET / HTTP/1.1\r\nx: ".to_owned();
    let long = long.clone() + &"y".repeat(64 * 1024 - long.len());
    let cases = [
        ("nonsense\r\n\r\n", 400, "INVALID_REQUEST"),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, "INVALID_REQUEST"),
        ("GET / HTTP/3.7\r\n\r\n", 400, "INVALID_REQUEST"),
        (&long, 431, "TOO_MANY_HEADERS"),
    ];
    for (request, status, reason) in cases {
        let answer = raw(&gateway, request.as_bytes()).await;
        assert_problem(&answer, status, reason);
        assert_eq!(
            (answer.headers["connection"].as_str(), answer.count),
            ("close", 1)
        );
        assert_eq!(answer.body.get("instance"), None);
        // Behind a good request, on the same connection.
        let answer = raw(&gateway, format!("{good}{request}").as_bytes()).await;
        assert_problem(&answer, status, reason);
        assert_eq!(answer.count, 2);
    }
    let most = raw(&gateway, &with_headers(101)).await;
    assert_problem(&most, 431, "TOO_MANY_HEADERS");
    gateway.stop().await;
    upstream.stop().await;
}

/// What the service says is never taken for a refusal of the connection's.
#[tokio::test]
async fn a_reply_that_looks_like_a_refusal_stays_as_it_is() {
    let upstream = Upstream::start(Reflection::V1).await;
    let gateway = Gateway::start(config(reflected(&upstream.url()))).await;
    let request = "GET /nothing HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = raw(&gateway, request.as_bytes()).await;
    assert_eq!((answer.status, answer.count), (404, 1));
    assert_eq!(answer.headers["content-type"], "application/json");
    let options = "OPTIONS /v1/items HTTP/1.1\r\nhost: a\r\n\r\nnonsense\r\n\r\n";
    let answer = raw(&gateway, options.as_bytes()).await;
    assert_problem(&answer, 400, "INVALID_REQUEST");
    assert_eq!(answer.count, 2);
    gateway.stop().await;
    upstream.stop().await;
}

#[tokio::test]
async fn a_host_that_nobody_has_is_told_so() {
    let upstream = Upstream::start(Reflection::V1).await;
    let mut told = config(reflected(&upstream.url()));
    told.surfaces[0].hosts = vec!["shop.example".to_owned()];
    let gateway = Gateway::start(told).await;
    let request = "GET /v1/items/lamp HTTP/1.1\r\nhost: other\r\nconnection: close\r\n\r\n";
    let answer = raw(&gateway, request.as_bytes()).await;
    assert_problem(&answer, 421, "UNKNOWN_HOST");
    assert_eq!(answer.body["instance"], "/v1/items/lamp");
    gateway.stop().await;
    upstream.stop().await;
}

#[tokio::test]
async fn what_is_no_grpc_after_all_is_told_why() {
    let upstream = Upstream::start(Reflection::V1).await;
    let gateway = Gateway::start(config(reflected(&upstream.url()))).await;
    for (method, media_type, status) in [
        ("POST", "application/grpc", 505),
        ("POST", "application/grpc-web+json", 415),
        ("PUT", "application/grpc-web", 405),
    ] {
        let request = format!(
            "{method} /shop.v1.Shop/GetItem HTTP/1.1\r\nhost: a\r\ncontent-type: {media_type}\r\n\
             content-length: 0\r\nconnection: close\r\n\r\n"
        );
        let answer = raw(&gateway, request.as_bytes()).await;
        assert_problem(&answer, status, "NOT_GRPC");
    }
    gateway.stop().await;
    upstream.stop().await;
}

#[tokio::test]
async fn operators_are_told_what_there_is() {
    let upstream = Upstream::start(Reflection::V1).await;
    let mut told = config(reflected(&upstream.url()));
    told.admin.address = Some("127.0.0.1:0".parse().unwrap());
    let gateway = Gateway::start(told).await;
    for (method, path, status, reason) in [
        ("GET", "/", 404, "ROUTE_NOT_FOUND"),
        ("POST", "/metrics", 405, "METHOD_NOT_ALLOWED"),
        ("HEAD", "/metrics", 200, ""),
    ] {
        let reply = gateway.ask_admin(method, path).await;
        assert_eq!(reply.status(), status);
        assert_eq!(reply.headers().contains_key("allow"), status == 405);
        if status != 200 {
            assert_eq!(reply.headers()["content-type"], "application/problem+json");
            assert_eq!(reply.json::<Value>().await.unwrap()["reason"], reason);
        }
    }
    gateway.stop().await;
    upstream.stop().await;
}

#[tokio::test]
async fn missing_descriptors_are_told_in_the_clients_words() {
    let upstream = Upstream::start(Reflection::V1).await;
    let url = upstream.url();
    upstream.stop().await;
    let gateway = Gateway::start(config(reflected(&url))).await;
    for (accept, media_type) in [
        ("*/*", "application/json"),
        ("application/problem+json", "application/problem+json"),
    ] {
        let request = gateway.client.get(gateway.url("/v1/items/lamp"));
        let reply = request.header("accept", accept).send().await.unwrap();
        assert_eq!(reply.status(), 503);
        assert_eq!(reply.headers()["content-type"], media_type);
        assert_eq!(reply.headers()["retry-after"], "1");
    }
    gateway.stop().await;
}
