//! Bodies that do not fit, sent to every route that takes one.

use prost_reflect::Kind;
use serde_json::{Value, json};

use super::{
    caller::{MAX_BODY_BYTES, World},
    routes::{Route, is_message, wrong_value},
    rows::snapshot,
    shapes::{assert_error, invalid},
    wire,
};

/// What must be given, by route.
const REQUIRED: &[(&str, &[&str])] = &[
    (
        "POST /api/v1/tenants/{tenant_id}/events",
        &["type", "externalId"],
    ),
    (
        "POST /api/v1/events",
        &["connectionId", "type", "externalId"],
    ),
    ("POST /api/v1/auth/register", &["email", "name", "password"]),
    ("POST /api/v1/auth/refresh", &["refresh_token"]),
    ("POST /api/v1/organizations/", &["name"]),
    (
        "PUT /api/v1/organizations/{org_id}/members/{user_id}/role",
        &["role"],
    ),
    ("POST /api/v1/organizations/{org_id}/invite", &["email"]),
    ("POST /pulse-api/policies", &["policy_name"]),
    ("POST /pulse-api/wallets/{agent_id}/fund", &["amount"]),
    ("POST /pulse-api/wallets/{agent_id}/withdraw", &["amount"]),
];

fn json_routes() -> Vec<Route> {
    let routes: Vec<Route> = Route::all().into_iter().filter(Route::takes_json).collect();
    assert!(routes.len() >= 15, "{}", routes.len());
    routes
}

#[tokio::test]
async fn what_is_no_json_object_is_refused_and_nothing_is_written() {
    let world = World::new().await;
    let before = snapshot(&world.app).await;
    let deep = format!("{}1{}", r#"{"a":"#.repeat(2_000), "}".repeat(2_000));
    let bodies: &[&[u8]] = &[
        b"{",
        b"{\"a\":",
        b"{\"a\" 1}",
        b"{'a': 1}",
        b"{} {}",
        b"{}x",
        b"[]",
        b"[{}]",
        b"7",
        b"-",
        b"\"text\"",
        b"true",
        b"nul",
        b"NaN",
        b"\xff\xfe{\x00}\x00",
        b"{\"a\": \"\xff\"}",
        b"{\"\xc3\": 1}",
        b"{\"a\": \"\\ud800\"}",
        b"{\"a\": \"\\x\"}",
        b"{\"a\": \"\x01\"}",
        b"{\"a\": 01}",
        b"{\"a\": +1}",
        b"<xml/>",
        b"a=b&c=d",
        b"\x00",
        b"\0{}",
        deep.as_bytes(),
    ];
    for route in json_routes() {
        for body in bodies {
            let what = format!(
                "{} with {:?}",
                route.name(),
                String::from_utf8_lossy(&body[..body.len().min(40)])
            );
            let answer = world.send(&route, body).await;
            assert_error(route.surface, &answer, &what);
            assert_eq!(
                answer.status,
                invalid(route.surface),
                "{what}: {}",
                answer.text()
            );
        }
    }
    assert_eq!(snapshot(&world.app).await, before);
    world.app.stop().await;
}

#[tokio::test]
async fn a_field_of_the_wrong_type_is_named() {
    let world = World::new().await;
    let before = snapshot(&world.app).await;
    let mut tried = 0;
    for route in json_routes() {
        for (name, field) in route.fields() {
            let mut wrong: Vec<Value> = wrong_value(&field).into_iter().collect();
            if matches!(field.kind(), Kind::String) && !field.is_list() {
                wrong.extend([json!({}), json!(["text"]), json!(true), json!("a\u{0}b")]);
            }
            if is_message(&field, "pulpo.type.v1.Decimal") {
                wrong.extend([json!("abc"), json!(""), json!(true), json!([1])]);
            }
            for value in wrong {
                let body = json!({ name.as_str(): value }).to_string();
                let what = format!("{} with {body}", route.name());
                let answer = world.send(&route, body.as_bytes()).await;
                assert_error(route.surface, &answer, &what);
                assert_eq!(
                    answer.status,
                    invalid(route.surface),
                    "{what}: {}",
                    answer.text()
                );
                assert!(answer.text().contains(&name), "{what}: {}", answer.text());
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "{tried}");
    assert_eq!(snapshot(&world.app).await, before);
    world.app.stop().await;
}

#[tokio::test]
async fn numbers_no_field_can_hold_are_refused() {
    let world = World::new().await;
    let before = snapshot(&world.app).await;
    let numbers = [
        "1e400",
        "-1e400",
        "1e-400",
        "99999999999999999999999999999999",
        "-0.001",
        "1.001",
        "-1",
        "1E+30",
    ];
    let mut tried = 0;
    for route in json_routes() {
        for (name, field) in route
            .fields()
            .into_iter()
            .filter(|(_, field)| is_message(field, "pulpo.type.v1.Decimal"))
        {
            for number in numbers {
                for body in [
                    format!(r#"{{"{name}":{number}}}"#),
                    format!(r#"{{"{name}":"{number}"}}"#),
                ] {
                    let what = format!("{} with {body}", route.name());
                    let answer = world.send(&route, body.as_bytes()).await;
                    assert_error(route.surface, &answer, &what);
                    assert!(field.json_name().len() > 1);
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 50, "{tried}");
    assert_eq!(snapshot(&world.app).await, before);
    world.app.stop().await;
}

#[tokio::test]
async fn a_missing_field_is_named() {
    let world = World::new().await;
    let before = snapshot(&world.app).await;
    let routes = json_routes();
    for (name, fields) in REQUIRED {
        let route = routes
            .iter()
            .find(|route| route.name() == *name)
            .unwrap_or_else(|| panic!("no route {name}"));
        for body in ["{}", "{\"unknown\": 1}", ""] {
            let what = format!("{name} with {body:?}");
            let answer = world.send(route, body.as_bytes()).await;
            assert_error(route.surface, &answer, &what);
            assert_eq!(
                answer.status,
                invalid(route.surface),
                "{what}: {}",
                answer.text()
            );
            for field in *fields {
                assert!(
                    answer.text().contains(field),
                    "{what}: no {field} in {}",
                    answer.text()
                );
            }
        }
    }
    assert_eq!(snapshot(&world.app).await, before);
    world.app.stop().await;
}

#[tokio::test]
async fn another_content_type_is_415() {
    let world = World::new().await;
    let before = snapshot(&world.app).await;
    for route in json_routes() {
        for content_type in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/xml",
            "multipart/form-data",
            "jsonp",
            "\u{e9}",
        ] {
            let what = format!("{} as {content_type}", route.name());
            let answer = world
                .call(
                    &route,
                    &world.path(&route),
                    &[("content-type", content_type)],
                    Some(b"{\"a\":1}"),
                )
                .await;
            assert_error(route.surface, &answer, &what);
            assert_eq!(answer.status, 415, "{what}: {}", answer.text());
        }
    }
    assert_eq!(snapshot(&world.app).await, before);
    world.app.stop().await;
}

#[tokio::test]
async fn a_body_that_is_too_long_is_413() {
    let world = World::new().await;
    let before = snapshot(&world.app).await;
    let routes = Route::all()
        .into_iter()
        .filter(|route| route.takes_json() || route.is_raw());
    for route in routes {
        // Announced: refused without reading it.
        let what = format!("{} with a long body", route.name());
        let headers = [
            ("content-type", "application/json"),
            ("content-length", "1000000000"),
        ];
        let answer = world
            .call(&route, &world.path(&route), &headers, None)
            .await;
        assert_error(route.surface, &answer, &what);
        assert_eq!(answer.status, 413, "{what}: {}", answer.text());
        // Not announced: refused once it is longer than allowed.
        let mut chunks = Vec::new();
        for _ in 0..=(MAX_BODY_BYTES / 1024) {
            chunks.extend_from_slice(format!("400\r\n{}\r\n", " ".repeat(1024)).as_bytes());
        }
        let (name, value) = world.credential(&route.schemes);
        let headers = [
            (name, value.as_str()),
            ("content-type", "application/json"),
            ("transfer-encoding", "chunked"),
        ];
        let mut request = wire::request(&route.method, &world.path(&route), &headers, None);
        request.extend_from_slice(&chunks);
        let answer = wire::exchange(world.address(route.surface), &request).await;
        assert_error(route.surface, &answer, &what);
        assert_eq!(answer.status, 413, "{what}: {}", answer.text());
    }
    assert_eq!(snapshot(&world.app).await, before);
    world.app.stop().await;
}
