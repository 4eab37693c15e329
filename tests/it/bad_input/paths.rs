//! Paths and queries that do not fit, sent to every route.

use prost_reflect::Kind;

use super::{
    caller::World,
    routes::Route,
    rows::snapshot,
    shapes::{assert_error, invalid},
};

/// Nothing in a path may lead to a fault of ours; a route without a body may find that there is no such thing.
#[tokio::test]
async fn ids_nobody_has_are_refused() {
    let world = World::new().await;
    let before = snapshot(&world.app).await;
    let long = "x".repeat(3_000);
    let values = [
        "unknown",
        "0",
        "-1",
        "null",
        "%27%20OR%201=1",
        "%F0%9F%90%99",
        "a%2Fb",
        "..%2F..",
        "*",
        "{id}",
        "%25",
        ":",
        long.as_str(),
    ];
    for route in Route::all() {
        let body = route.takes_json().then_some(&b"{}"[..]);
        for parameter in route.parameters() {
            for value in values {
                let path = route.path(|name| {
                    if name == parameter {
                        value.to_owned()
                    } else {
                        world.parameter(name)
                    }
                });
                // A wallet can be funded for any agent that has one, and a policy changed to nothing.
                let answer = world
                    .call(&route, &path, &[("content-type", "application/json")], body)
                    .await;
                let what = format!("{} at {}", route.name(), &path[..path.len().min(120)]);
                assert_error(route.surface, &answer, &what);
                assert!(
                    matches!(answer.status, 400 | 401 | 403 | 404 | 414 | 422),
                    "{what}: {}",
                    answer.status
                );
            }
        }
    }
    assert_eq!(snapshot(&world.app).await, before);
    world.app.stop().await;
}

#[tokio::test]
async fn broken_escapes_and_nul_are_refused() {
    let world = World::new().await;
    let before = snapshot(&world.app).await;
    for route in Route::all() {
        let body = route.takes_json().then_some(&b"{}"[..]);
        let good = world.path(&route);
        let mut paths: Vec<String> = Vec::new();
        for parameter in route.parameters() {
            for value in [
                "%",
                "%2",
                "%zz",
                "%ff",
                "%C0%AF",
                "%ED%A0%80",
                "a%00b",
                "%00",
            ] {
                paths.push(route.path(|name| {
                    if name == parameter {
                        value.to_owned()
                    } else {
                        world.parameter(name)
                    }
                }));
            }
        }
        paths.extend(
            ["%zz", "%00", "%ff"].map(|end| format!("{}{end}", good.trim_end_matches('/'))),
        );
        for path in paths {
            let answer = world
                .call(&route, &path, &[("content-type", "application/json")], body)
                .await;
            let what = format!("{} at {path}", route.name());
            assert_error(route.surface, &answer, &what);
            // A word with something behind it may be the id of another route.
            let is_refused = matches!(answer.status, 400 | 401 | 404 | 405 | 422);
            assert!(is_refused, "{what}: {} {}", answer.status, answer.text());
        }
    }
    assert_eq!(snapshot(&world.app).await, before);
    world.app.stop().await;
}

#[tokio::test]
async fn queries_that_do_not_fit_are_refused_and_unknown_ones_ignored() {
    let world = World::new().await;
    let before = snapshot(&world.app).await;
    let mut tried = 0;
    for route in Route::all()
        .into_iter()
        .filter(|route| route.method == "GET")
    {
        let path = world.path(&route);
        let plain = world.call(&route, &path, &[], None).await;
        for query in ["unknown=1", "a", "&&", "=", "a=b=c"] {
            let answer = world
                .call(&route, &format!("{path}?{query}"), &[], None)
                .await;
            assert_eq!(
                answer.status,
                plain.status,
                "{} ?{query}: {}",
                route.name(),
                answer.text()
            );
        }
        for (name, field) in route.fields() {
            let number = matches!(
                field.kind(),
                Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64
            );
            let refused: &[&str] = if number {
                &[
                    "abc",
                    "1.5",
                    "99999999999999999999",
                    "%ff",
                    "%00",
                    "1%2000",
                    "null",
                    "true",
                ]
            } else {
                &["%ff", "%00"]
            };
            for value in refused {
                let what = format!("{} ?{name}={value}", route.name());
                let answer = world
                    .call(&route, &format!("{path}?{name}={value}"), &[], None)
                    .await;
                assert_error(route.surface, &answer, &what);
                assert_eq!(
                    answer.status,
                    invalid(route.surface),
                    "{what}: {}",
                    answer.text()
                );
                tried += 1;
            }
            let odd: &[&str] = if number {
                &["-1", "0", "2147483648", "9223372036854775807", ""]
            } else {
                &["", "%F0%9F%90%99"]
            };
            for value in odd {
                let what = format!("{} ?{name}={value}", route.name());
                let answer = world
                    .call(&route, &format!("{path}?{name}={value}"), &[], None)
                    .await;
                if answer.status != 200 {
                    assert_error(route.surface, &answer, &what);
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 20, "{tried}");
    assert_eq!(snapshot(&world.app).await, before);
    world.app.stop().await;
}
