//! HEAD: what GET would be told, without the body (RFC 9110, section 9.3.2), over both versions of HTTP.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Version, header};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::Code;

use crate::{
    gateway::{Gateway, config, reflected},
    http2,
    messages::{lines, reply},
    scripted::scripted,
};

/// What a server with nothing but replies of one line has to say.
async fn gateway_of_lines(change: impl Fn(&mut pulpo_gateway_proxy::config::Config)) -> Gateway {
    let server = scripted(|_| async { reply(lines(1), Code::Ok) }).await;
    let mut told = config(reflected(&server.url()));
    change(&mut told);
    let gateway = Gateway::start(told).await;
    // It goes on in its task.
    drop(server);
    gateway
}

async fn over_http2(
    gateway: &Gateway,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, HeaderMap, Bytes) {
    let mut request = Request::builder()
        .method(method)
        .version(Version::HTTP_2)
        .uri(gateway.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let reply = http2::ask(gateway.address, request.body(Bytes::new()).unwrap()).await;
    let (parts, body) = reply.into_parts();
    (parts.status, parts.headers, body)
}

/// The head of the reply to a HEAD over HTTP/1.1, after which nothing comes.
async fn over_http1(gateway: &Gateway, path: &str, header: &str) -> String {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let request =
        format!("HEAD {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{header}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "", "{path}");
    head.to_ascii_lowercase()
}

const CONNECT: &str = "/gateway.test.v1.StreamService/Read";
const GRPC: (&str, &str) = ("content-type", "application/grpc");

#[tokio::test]
async fn no_door_sends_a_body_over_http2() {
    let gateway = gateway_of_lines(|_| {}).await;
    for (path, headers, status) in [
        ("/v1/lines/l", &[][..], 200),
        ("/v1/logs/l:watch", &[], 200),
        ("/nothing", &[], 404),
        ("/healthz", &[], 200),
        ("/readyz", &[], 200),
        ("/openapi.json", &[], 200),
        ("/docs", &[], 200),
        (CONNECT, &[], 405),
        (CONNECT, &[GRPC], 405),
    ] {
        let (told, told_headers, body) = over_http2(&gateway, "HEAD", path, headers).await;
        assert_eq!((told.as_u16(), &*body), (status, &b""[..]), "{path}");
        if status == 200 {
            let (_, of_get, body) = over_http2(&gateway, "GET", path, headers).await;
            assert!(!body.is_empty(), "{path}");
            for name in [header::CONTENT_LENGTH, header::CONTENT_TYPE] {
                assert_eq!(told_headers.get(&name), of_get.get(&name), "{path}");
            }
            if let Some(length) = of_get.get(header::CONTENT_LENGTH) {
                assert_eq!(*length, body.len().to_string(), "{path}");
            }
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn refusals_of_the_front_have_no_body_over_http2() {
    let gateway = gateway_of_lines(|told| {
        told.surfaces[0].hosts = vec!["shop.example".to_owned()];
    })
    .await;
    let (status, headers, body) = over_http2(&gateway, "HEAD", "/v1/lines/l", &[]).await;
    assert_eq!((status.as_u16(), &*body), (421, &b""[..]));
    assert!(headers.contains_key(header::CONTENT_LENGTH));
    gateway.stop().await;

    // Nobody is there, and no descriptors.
    let gateway = Gateway::start(config(reflected("http://127.0.0.1:1"))).await;
    let (status, headers, body) = over_http2(&gateway, "HEAD", "/v1/lines/l", &[]).await;
    assert_eq!((status.as_u16(), &*body), (503, &b""[..]));
    assert!(headers.contains_key(header::CONTENT_LENGTH));
    gateway.stop().await;
}

#[tokio::test]
async fn what_has_no_body_has_no_length() {
    let server = scripted(|request| async move {
        let mut reply = reply(lines(1), Code::Ok);
        if let Some(status) = request.headers().get("x-status") {
            let chosen = HeaderName::from_static("pulpo-http-status");
            reply.headers_mut().insert(chosen, status.clone());
        }
        reply
    })
    .await;
    let mut told = config(reflected(&server.url()));
    told.surfaces[0].entity_tags = true;
    let gateway = Gateway::start(told).await;
    let path = "/v1/lines/l";
    let (_, headers, _) = over_http2(&gateway, "GET", path, &[]).await;
    let tag = headers[header::ETAG].to_str().unwrap().to_owned();
    for (name, value, status) in [("if-none-match", &*tag, 304), ("x-status", "204", 204)] {
        for method in ["GET", "HEAD"] {
            let (told, headers, body) = over_http2(&gateway, method, path, &[(name, value)]).await;
            assert_eq!((told.as_u16(), &*body), (status, &b""[..]), "{method}");
            let length: Option<&HeaderValue> = headers.get(header::CONTENT_LENGTH);
            assert_eq!(length, None, "{method} {status}");
        }
        let head = over_http1(&gateway, path, &format!("{name}: {value}")).await;
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{head}");
        assert!(!head.contains("content-length"), "{head}");
    }
    let head = over_http1(&gateway, path, "accept: */*").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("content-length"), "{head}");
    gateway.stop().await;
    server.stop().await;
}
