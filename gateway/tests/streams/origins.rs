//! Whose pages may open a WebSocket or send a body without a media type: browsers let every page do it, and send cookies along.

use futures_util::{SinkExt, StreamExt};
use http::Response;
use pulpo_gateway::{reply::Sockets, surface::SurfaceOptions};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};
use tonic::{Code, body::Body};

use super::{
    Form, call, collecting, is_refused, lines, options, post, reply, service, sockets::served_by,
    surface,
};

/// The status of a handshake with these headers, of which `{host}` is the server's address; and the reason where it is refused.
async fn handshake(
    origins: &[&str],
    path: &str,
    headers: &[(&'static str, &str)],
) -> (u16, Option<String>) {
    let answering = service(|_| async { reply(lines(1), Code::Ok) });
    let options = SurfaceOptions {
        origins: origins.iter().map(|origin| (*origin).to_owned()).collect(),
        ..options()
    };
    let address = served_by(surface(options), answering, Sockets::default()).await;
    let mut request = format!("ws://{address}{path}")
        .into_client_request()
        .unwrap();
    for (name, value) in headers {
        let value = value.replace("{host}", &address.to_string());
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((_, response)) => (response.status().as_u16(), None),
        Err(Error::Http(response)) => {
            let status = response.status().as_u16();
            let body = response.into_body().unwrap_or_default();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            (status, body["reason"].as_str().map(str::to_owned))
        }
        Err(other) => panic!("{other}"),
    }
}

const FOREIGN: &str = "https://evil.example";

#[tokio::test]
async fn pages_of_other_origins_open_no_socket() {
    // A stream by GET, one that is only a socket, and one that a page could not post without asking.
    for path in ["/v1/logs/a:watch", "/v1/logs/a:chat", "/v1/logs/a:append"] {
        for origin in [
            FOREIGN,
            "null",
            "http://{host}.evil.example",
            "http://127.0.0.1",
        ] {
            let refused = handshake(&[], path, &[("origin", origin)]).await;
            let expected = (403, Some("FOREIGN_ORIGIN".to_owned()));
            assert_eq!(refused, expected, "{origin} {path}");
        }
        for headers in [&[][..], &[("origin", "http://{host}")]] {
            let opened = handshake(&[], path, headers).await;
            assert_eq!(opened, (101, None), "{headers:?} {path}");
        }
    }
}

#[tokio::test]
async fn listed_origins_and_those_of_a_proxys_host_open_sockets() {
    let path = "/v1/logs/a:watch";
    let app = "https://app.example";
    for (listed, headers, status) in [
        (&[app][..], &[("origin", app)][..], 101),
        (&[app], &[("origin", FOREIGN)], 403),
        (&["*"], &[("origin", FOREIGN)], 101),
        (&["*"], &[("origin", "null")], 101),
        (
            &[],
            &[("origin", app), ("x-forwarded-host", "app.example")],
            101,
        ),
        (
            &[],
            &[("origin", FOREIGN), ("x-forwarded-host", "app.example")],
            403,
        ),
    ] {
        let told = handshake(listed, path, headers).await;
        assert_eq!(told.0, status, "{listed:?} {headers:?}");
    }
}

#[tokio::test]
async fn what_is_no_socket_is_left_to_cors() {
    let watch = service(|_| async { reply(lines(1), Code::Ok) });
    let request = super::get("/v1/logs/a:watch", &[("origin", FOREIGN)]);
    let streamed = call(&surface(options()), watch, request).await;
    assert_eq!(streamed.status(), 200);
}

const BODY: &str = r#"{"count":7}"#;

/// What a POST becomes that has a body, perhaps its length, and these headers, but no media type.
async fn untyped(
    path: &str,
    body: &'static str,
    headers: &[(&'static str, &str)],
) -> (Response<Body>, Vec<Form>) {
    let (service, seen) = collecting::<Form>();
    let mut request = post(path, "", body);
    let all = request.headers_mut();
    all.remove("content-type");
    all.insert("host", "api.example".parse().unwrap());
    for (name, value) in headers {
        all.insert(*name, value.parse().unwrap());
    }
    let response = call(&surface(options()), service, request).await;
    let seen = seen.lock().unwrap().clone();
    (response, seen)
}

#[tokio::test]
async fn a_body_without_a_type_is_json_but_for_pages_of_other_origins() {
    // One message, and a stream of them.
    for path in ["/v1/forms/p", "/v1/forms/p:stream"] {
        let length = BODY.len().to_string();
        let own = ("origin", "https://api.example");
        for headers in [
            vec![],
            vec![own],
            vec![("sec-fetch-site", "same-origin"), own],
            vec![("sec-fetch-site", "none")],
            vec![("sec-fetch-site", "same-origin"), ("origin", FOREIGN)],
            vec![("content-type", "application/json"), ("origin", FOREIGN)],
        ] {
            let (response, seen) = untyped(path, BODY, &headers).await;
            assert_eq!(response.status(), 200, "{headers:?} {path}");
            assert_eq!(seen[0].count, 7, "{headers:?} {path}");
        }
        for headers in [
            vec![("origin", FOREIGN)],
            vec![("origin", "null")],
            vec![("sec-fetch-site", "cross-site")],
            vec![("sec-fetch-site", "same-site"), own],
            vec![("origin", FOREIGN), ("content-length", &length)],
        ] {
            let (response, seen) = untyped(path, BODY, &headers).await;
            is_refused(response, 415, "UNSUPPORTED_MEDIA_TYPE").await;
            assert!(seen.is_empty(), "{headers:?} {path}");
        }
        for headers in [
            vec![("origin", FOREIGN)],
            vec![("origin", FOREIGN), ("content-length", "0")],
        ] {
            let (response, _) = untyped(path, "", &headers).await;
            assert_eq!(response.status(), 200, "{headers:?} {path}");
        }
    }
}

#[tokio::test]
async fn what_a_socket_says_has_no_type_and_is_json() {
    let app = "https://app.example";
    let mut listing = options();
    listing.origins = vec![app.to_owned()];
    let (service, seen) = collecting::<Form>();
    let address = served_by(surface(listing), service, Sockets::default()).await;
    let mut request = format!("ws://{address}/v1/forms/p:stream")
        .into_client_request()
        .unwrap();
    let headers = request.headers_mut();
    headers.insert("origin", app.parse().unwrap());
    headers.insert("sec-fetch-site", "cross-site".parse().unwrap());
    let (mut socket, _) = connect_async(request).await.unwrap();
    for message in [BODY, ""] {
        socket.send(Message::text(message)).await.unwrap();
    }
    while socket.next().await.is_some_and(|message| message.is_ok()) {}
    assert_eq!(seen.lock().unwrap()[0].count, 7);
}
