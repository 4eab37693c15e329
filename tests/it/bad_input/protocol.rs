//! What HTTP itself asks of every surface: 404, 405, 406, HEAD, OPTIONS, CORS.

use std::collections::{BTreeMap, BTreeSet};

use pulpo::contract::SurfaceName;

use super::{caller::World, routes::Route, rows::snapshot, shapes::assert_error, wire};
use crate::support::TestApp;

#[tokio::test]
async fn what_is_not_there_is_404() {
    let world = World::new().await;
    for surface in SurfaceName::ALL {
        let routes = Route::all();
        let route = routes
            .iter()
            .find(|r| r.surface == surface && !r.schemes.is_empty());
        let Some(route) = route.or_else(|| routes.iter().find(|r| r.surface == surface)) else {
            continue;
        };
        for path in [
            "/",
            "//",
            "/nothing",
            "/api",
            "/api/v1/nothing/at/all",
            "/pulse-api/nothing",
            "/v2/integrations/",
        ] {
            for method in ["GET", "POST", "DELETE", "BREW"] {
                let what = format!("{} {method} {path}", surface.as_str());
                let answer = world.call_as(route, method, path, &[], Some(b"{}")).await;
                assert_error(surface, &answer, &what);
                assert_eq!(answer.status, 404, "{what}: {}", answer.text());
            }
        }
        let long = format!("/{}", "x".repeat(20_000));
        let answer = world.call(route, &long, &[], None).await;
        assert_error(surface, &answer, "a long path");
        assert!(matches!(answer.status, 404 | 414), "{}", answer.status);
        assert!(
            answer.body.len() < 2_000,
            "the path is not repeated in full"
        );
    }
    world.app.stop().await;
}

#[tokio::test]
async fn another_method_is_405_and_options_tells_which() {
    let world = World::new().await;
    let before = snapshot(&world.app).await;
    let routes = Route::all();
    let mut methods: BTreeMap<(&'static str, &str), BTreeSet<&str>> = BTreeMap::new();
    for route in &routes {
        methods
            .entry((route.surface.as_str(), &route.template))
            .or_default()
            .insert(&route.method);
    }
    for route in &routes {
        let known = &methods[&(route.surface.as_str(), route.template.as_str())];
        let path = world.path(route);
        let is_allowed =
            |allow: &str, method: &str| allow.split(", ").any(|allowed| allowed == method);
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "BREW"] {
            if known.contains(method) {
                continue;
            }
            let what = format!("{method} {path}");
            let answer = world.call_as(route, method, &path, &[], Some(b"{}")).await;
            // A static path of another route may be an id of this one.
            if answer.status == 404 {
                continue;
            }
            assert_error(route.surface, &answer, &what);
            assert_eq!(answer.status, 405, "{what}: {}", answer.text());
            let allow = answer.header("allow");
            assert!(
                known.iter().all(|method| is_allowed(allow, method)),
                "{what}: {allow}"
            );
            assert!(!is_allowed(allow, method), "{what}: {allow}");
        }
        let options = world.call_as(route, "OPTIONS", &path, &[], None).await;
        assert!(
            matches!(options.status, 200 | 204),
            "OPTIONS {path}: {}",
            options.status
        );
        let allow = options.header("allow");
        assert!(
            known.iter().all(|method| is_allowed(allow, method)),
            "OPTIONS {path}: {allow:?}"
        );
    }
    assert_eq!(snapshot(&world.app).await, before);
    world.app.stop().await;
}

#[tokio::test]
async fn a_reply_nobody_accepts_is_406() {
    let world = World::new().await;
    for route in Route::all()
        .into_iter()
        .filter(|route| !route.template.ends_with("/metrics"))
    {
        let path = world.path(&route);
        for accept in ["text/html", "image/png, text/plain"] {
            let answer = world
                .call(
                    &route,
                    &path,
                    &[("accept", accept)],
                    route.takes_json().then_some(b""),
                )
                .await;
            let what = format!("{} as {accept}", route.name());
            assert_error(route.surface, &answer, &what);
            assert_eq!(answer.status, 406, "{what}: {}", answer.text());
        }
        if route.method == "GET" {
            for accept in [
                "*/*",
                "application/json",
                "text/html, application/*;q=0.1",
                "application/problem+json",
            ] {
                let answer = world.call(&route, &path, &[("accept", accept)], None).await;
                assert_ne!(answer.status, 406, "{} as {accept}", route.name());
            }
        }
    }
    world.app.stop().await;
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let world = World::new().await;
    for route in Route::all()
        .into_iter()
        .filter(|route| route.method == "GET")
    {
        let path = world.path(&route);
        let get = world.call(&route, &path, &[], None).await;
        let head = world.call_as(&route, "HEAD", &path, &[], None).await;
        assert_eq!(
            (head.status, head.body.len()),
            (get.status, 0),
            "{}",
            route.name()
        );
        assert_eq!(
            head.header("content-type"),
            get.header("content-type"),
            "{}",
            route.name()
        );
        // Metrics change from one reply to the next.
        if !route.template.ends_with("/metrics") && get.status == 200 {
            assert_eq!(
                head.header("content-length"),
                get.body.len().to_string(),
                "{}",
                route.name()
            );
        }
    }
    world.app.stop().await;
}

#[tokio::test]
async fn browsers_may_call_from_the_configured_origins_only() {
    const ORIGIN: &str = "https://app.example.com";
    let app = TestApp::builder()
        .config(|config| config.http.cors_origins = vec![ORIGIN.to_owned()])
        .start()
        .await;
    let world = World::of(app).await;
    for route in Route::all() {
        let path = world.path(&route);
        for (origin, is_allowed) in [(ORIGIN, true), ("https://evil.example.com", false)] {
            let headers = [
                ("origin", origin),
                ("access-control-request-method", route.method.as_str()),
                (
                    "access-control-request-headers",
                    "authorization, content-type",
                ),
            ];
            // A browser sends no credential with it.
            let preflight = wire::request("OPTIONS", &path, &headers, None);
            let answer = wire::exchange(world.address(route.surface), &preflight).await;
            let what = format!("{} from {origin}", route.name());
            assert!(
                matches!(answer.status, 200 | 204),
                "{what}: {}",
                answer.status
            );
            if is_allowed {
                assert_eq!(
                    answer.header("access-control-allow-origin"),
                    origin,
                    "{what}"
                );
                let methods = answer.header("access-control-allow-methods");
                assert!(methods.contains(&route.method), "{what}: {methods}");
                let headers = answer
                    .header("access-control-allow-headers")
                    .to_ascii_lowercase();
                assert!(
                    headers.contains("authorization") && headers.contains("content-type"),
                    "{what}: {headers}"
                );
            } else {
                assert_eq!(answer.header("access-control-allow-origin"), "", "{what}");
            }
        }
    }
    // Scripts may read errors as well.
    let refused = app_error(&world, ORIGIN).await;
    assert_eq!(refused.header("access-control-allow-origin"), ORIGIN);
    assert!(
        refused
            .header("access-control-expose-headers")
            .contains("x-request-id")
    );
    world.app.stop().await;
}

async fn app_error(world: &World, origin: &str) -> wire::Answer {
    let request = wire::request("GET", "/pulse-api/wallets", &[("origin", origin)], None);
    let answer = wire::exchange(world.address(SurfaceName::Pay), &request).await;
    assert_eq!(answer.status, 401);
    answer
}
