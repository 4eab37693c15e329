//! What services are told of clients: the gateway's word, or that of a proxy it trusts, and never the client's own.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Version};
use tonic::Code;

use crate::{
    gateway::{Gateway, config, reflected},
    http2,
    messages::{framed, line, lines, reply},
    scripted::scripted,
    server::Server,
};

/// What proxies say of clients.
const CLAIMS: [&str; 11] = [
    "x-forwarded-client-cert",
    "x-forwarded-user",
    "x-forwarded-groups",
    "x-forwarded-email",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-host",
    "x-forwarded-for",
    "x-forwarded-proto",
    "forwarded",
    "x-real-ip",
];
const METHOD: &str = "/gateway.test.v1.StreamService/Read";

/// A server that answers, and the headers of the last call.
async fn listening() -> (Server, Arc<Mutex<HeaderMap>>) {
    let seen = Arc::new(Mutex::new(HeaderMap::new()));
    let kept = seen.clone();
    let server = scripted(move |request| {
        *kept.lock().unwrap() = request.headers().clone();
        async { reply(lines(1), Code::Ok) }
    })
    .await;
    (server, seen)
}

/// The status of a request that claims all of it, twice.
async fn claim(gateway: &Gateway, door: &str) -> u16 {
    let request = match door {
        "rest" => Request::get(gateway.url("/v1/lines/l")),
        _ => Request::post(gateway.url(METHOD)).header("content-type", door),
    };
    let mut request = request.version(Version::HTTP_2);
    for name in CLAIMS {
        request = request.header(name, "mallory").header(name, "root");
    }
    let body = match door {
        "rest" => Bytes::new(),
        "application/json" => Bytes::from_static(br#"{"log":"l"}"#),
        // The method takes another message; nobody looks into it here.
        _ => framed(&line(1)),
    };
    let reply = http2::ask(gateway.address, request.body(body).unwrap()).await;
    reply.status().as_u16()
}

const DOORS: [&str; 4] = [
    "rest",
    "application/json",
    "application/grpc",
    "application/grpc-web+proto",
];

#[tokio::test]
async fn clients_forward_nothing() {
    let (server, seen) = listening().await;
    let gateway = Gateway::start(config(reflected(&server.url()))).await;
    for door in DOORS {
        assert_eq!(claim(&gateway, door).await, 200, "{door}");
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        assert!(seen.contains_key("x-request-id"), "{door}");
        let claims: Vec<(&str, &str)> = seen
            .iter()
            .filter(|(name, _)| CLAIMS.contains(&name.as_str()))
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        assert_eq!(
            claims,
            [
                ("x-forwarded-for", "127.0.0.1"),
                ("x-forwarded-proto", "http")
            ],
            "{door}"
        );
    }
    gateway.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn what_a_trusted_proxy_forwards_is_passed_on() {
    let (server, seen) = listening().await;
    let mut told = config(reflected(&server.url()));
    told.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let gateway = Gateway::start(told).await;
    for door in DOORS {
        assert_eq!(claim(&gateway, door).await, 200, "{door}");
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        for name in CLAIMS.iter().filter(|name| name.starts_with("x-")) {
            let values: Vec<_> = seen.get_all(*name).iter().collect();
            assert_eq!(values[..2], ["mallory", "root"], "{door}: {name}");
        }
    }
    gateway.stop().await;
    server.stop().await;
}
