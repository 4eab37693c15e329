//! What is around the messages: deadlines, headers, redirects, entity tags, problem details.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::stream;
use http::{HeaderMap, Request};
use pulpo_gateway::surface::{Deadlines, SurfaceOptions};
use tonic::{Code, body::Body};

use super::{
    Line, Service, call, collecting, failing, framed, get, is_refused, line, lines, options, reply,
    service, surface, text,
};

/// A service that answers with one line, and the headers it saw.
fn seeing() -> (Service, Arc<Mutex<HeaderMap>>) {
    let seen = Arc::new(Mutex::new(HeaderMap::new()));
    let kept = seen.clone();
    let seeing = service(move |request| {
        *kept.lock().unwrap() = request.headers().clone();
        async move { reply(lines(1), Code::Ok) }
    });
    (seeing, seen)
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_deadline() {
    let bounded = SurfaceOptions {
        deadlines: Deadlines {
            default: Some(Duration::from_secs(10)),
            cap: Some(Duration::from_secs(20)),
        },
        ..options()
    };
    let surface = surface(bounded);
    for (asked, seconds) in [(None, 10), (Some("3"), 3), (Some("3000"), 20)] {
        let never = service(|_| std::future::pending());
        let headers: Vec<_> = asked
            .map(|asked| ("x-server-timeout", asked))
            .into_iter()
            .collect();
        let before = tokio::time::Instant::now();
        let response = call(&surface, never, get("/v1/lines/a", &headers)).await;
        is_refused(response, 504, "DEADLINE_EXCEEDED").await;
        assert_eq!(before.elapsed(), Duration::from_secs(seconds));
    }
    // A stream ends where its client asked for it, in its own framing.
    let silent = service(|_| async {
        reply(
            futures_util::StreamExt::chain(lines(1), stream::pending()),
            Code::Ok,
        )
    });
    let headers = [("grpc-timeout", "5S"), ("accept", "application/x-ndjson")];
    let body = text(call(&surface, silent, get("/v1/logs/a:watch", &headers)).await).await;
    assert!(
        body.ends_with("\"reason\":\"DEADLINE_EXCEEDED\"}\n"),
        "{body}"
    );
    // One that always has more ends in time too.
    let tireless = service(|_| async {
        let lines = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Some((framed(&line(1)), ()))
        });
        let ready = futures_util::StreamExt::flat_map(lines, |line| stream::iter(vec![line; 100]));
        reply(ready, Code::Ok)
    });
    let before = tokio::time::Instant::now();
    let body = text(call(&surface, tireless, get("/v1/logs/a:watch", &headers)).await).await;
    assert!(body.ends_with("\"reason\":\"DEADLINE_EXCEEDED\"}\n"));
    assert_eq!(before.elapsed(), Duration::from_secs(5));
    let bad = get("/v1/lines/a", &[("x-server-timeout", "soon")]);
    is_refused(call(&surface, seeing().0, bad).await, 400, "INVALID_HEADER").await;
}

#[tokio::test]
async fn the_service_is_told_the_deadline_and_the_listed_headers() {
    let mut renaming = options();
    renaming
        .metadata
        .requests
        .rename("x-old-name", "new-name")
        .unwrap();
    let (seeing, seen) = seeing();
    let headers = [
        ("grpc-timeout", "5S"),
        ("x-old-name", "1"),
        ("x-other", "2"),
        ("cookie", "3"),
        (
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ),
        ("data-bin", "AAE="),
    ];
    call(&surface(renaming), seeing, get("/v1/lines/a", &headers)).await;
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen["grpc-timeout"], "5000000u");
    assert_eq!(
        (&seen["new-name"], &seen["x-other"]),
        (&"1".parse().unwrap(), &"2".parse().unwrap())
    );
    assert!(seen.contains_key("traceparent") && seen.contains_key("data-bin"));
    assert!(!seen.contains_key("cookie") && !seen.contains_key("x-old-name"));
    let bad = get("/v1/lines/a", &[("data-bin", "%")]);
    is_refused(
        call(&surface(options()), seeing_nothing(), bad).await,
        400,
        "INVALID_HEADER",
    )
    .await;
}

fn seeing_nothing() -> Service {
    service(|_| async { unreachable!() })
}

/// `gateway.test.v1.Place`, which has its address where a Line has its log.
fn place(address: &str) -> Service {
    let place = framed(&Line {
        log: address.into(),
        ..Line::default()
    });
    service(move |_| {
        let place = place.clone();
        async move { reply(stream::iter([place]), Code::Ok) }
    })
}

#[tokio::test]
async fn a_method_may_send_clients_elsewhere() {
    let surface = surface(options());
    let response = call(
        &surface,
        place("https://a.example/?x=1"),
        get("/v1/visit/a", &[]),
    )
    .await;
    assert_eq!(response.status(), 303);
    assert_eq!(response.headers()["location"], "https://a.example/?x=1");
    assert_eq!(text(response).await, "");
    let broken = call(
        &surface,
        place("a\r\nset-cookie: b"),
        get("/v1/visit/a", &[]),
    )
    .await;
    is_refused(broken, 500, "BROKEN_REPLY").await;
}

#[tokio::test]
async fn a_reply_without_an_address_is_an_ordinary_one() {
    let surface = surface(options());
    let asked = |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path);
        request.body(Body::empty()).unwrap()
    };
    for (method, path, with, without) in [
        ("GET", "/v1/visit/a", 303, 200),
        ("GET", "/v1/go/a", 302, 200),
        ("POST", "/v1/make/a", 302, 201),
    ] {
        let sent = call(&surface, place("/there"), asked(method, path)).await;
        assert_eq!(sent.status(), with, "{path}");
        let kept = call(&surface, place(""), asked(method, path)).await;
        assert_eq!(kept.status(), without, "{path}");
        assert!(!kept.headers().contains_key("location"));
        assert_eq!(kept.headers()["content-type"], "application/json");
        assert_eq!(text(kept).await, "{}");
    }
}

#[tokio::test]
async fn no_content_has_none() {
    for (method, path, status) in [
        ("DELETE", "/v1/logs/a", 204),
        ("POST", "/v1/logs/a:reset", 205),
    ] {
        let line = service(|_| async { reply(lines(1), Code::Ok) });
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Body::empty()).unwrap();
        let response = call(&surface(options()), line, request).await;
        assert_eq!(response.status(), status);
        assert!(!response.headers().contains_key("content-type"));
        assert_eq!(text(response).await, "");
    }
}

#[tokio::test]
async fn a_reply_the_client_has_is_not_sent_again() {
    let tagging = surface(SurfaceOptions {
        has_entity_tags: true,
        ..options()
    });
    let read = || service(|_| async { reply(lines(1), Code::Ok) });
    let first = call(&tagging, read(), get("/v1/lines/a", &[])).await;
    let tag = first.headers()["etag"].to_str().unwrap().to_owned();
    let again = call(
        &tagging,
        read(),
        get("/v1/lines/a", &[("if-none-match", &tag)]),
    )
    .await;
    assert_eq!(
        (
            again.status().as_u16(),
            again.headers()["etag"].to_str().unwrap()
        ),
        (304, &*tag)
    );
    assert_eq!(text(again).await, "");
    let changed = service(|_| async { reply(stream::iter([framed(&line(2))]), Code::Ok) });
    let other = call(
        &tagging,
        changed,
        get("/v1/lines/a", &[("if-none-match", &tag)]),
    )
    .await;
    assert_eq!(other.status(), 200);
    assert_ne!(other.headers()["etag"], *tag);
}

#[tokio::test]
async fn errors_are_problem_details_for_who_asks() {
    let asking = surface(SurfaceOptions {
        has_problem_json: true,
        ..options()
    });
    let asked = [("accept", "application/json, application/problem+json")];
    let response = call(
        &asking,
        collecting::<Line>().0,
        get("/v1/lines/a?from=x", &asked),
    )
    .await;
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let body: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(body["type"], "about:blank");
    assert_eq!(
        (&body["title"], &body["status"]),
        (&"Bad Request".into(), &400.into())
    );
    assert_eq!(
        (&body["instance"], &body["reason"]),
        (&"/v1/lines/a".into(), &"INVALID_PARAMETER".into())
    );
    assert_eq!(body["errors"][0]["field"], "from");
    let plain = call(
        &asking,
        collecting::<Line>().0,
        get("/v1/lines/a?from=x", &[("accept", "*/*")]),
    )
    .await;
    assert_eq!(plain.headers()["content-type"], "application/json");
}

#[tokio::test]
async fn what_the_accept_header_decides_is_said() {
    let varies = |response: &http::Response<Body>| {
        let on = response.headers().get_all("vary").iter();
        on.filter(|on| *on == "accept").count()
    };
    let usual = surface(options());
    let asking = surface(SurfaceOptions {
        has_problem_json: true,
        ..options()
    });
    let answering = || service(|_| async { reply(lines(1), Code::Ok) });
    for (path, count) in [
        ("/v1/logs/a:watch", 1),
        // The method's framing, bytes as they are, and one message.
        ("/v1/logs/a:feed", 0),
        ("/v1/files/a", 0),
        ("/v1/lines/a", 0),
    ] {
        for accept in ["*/*", "application/json", "text/event-stream, */*"] {
            let request = || get(path, &[("accept", accept)]);
            let response = call(&usual, answering(), request()).await;
            let is_taken = response.status() == 200;
            assert_eq!(
                varies(&response),
                if is_taken { count } else { 0 },
                "{path}"
            );
            let missing = service(|_| async { failing() });
            let refused = call(&asking, missing, request()).await;
            assert_eq!(varies(&refused), 1, "{path} {accept}");
        }
    }
    for path in ["/v1/nowhere", "/v1/logs/a:chat"] {
        let plain = call(&asking, answering(), get(path, &[])).await;
        assert_eq!(varies(&plain), 1, "{path}");
        let alone = call(&usual, answering(), get(path, &[])).await;
        assert_eq!(varies(&alone), 0, "{path}");
    }
}
