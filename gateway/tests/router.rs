//! What the router promises, by example.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use http::Method;
use pulpo_gateway::{
    percent::PercentFault,
    router::{
        Lookup, MAX_PATH_BYTES, MAX_PATH_SEGMENTS, MAX_ROUTES, PathFault, Route, RouteFault,
        RouteMethod, Router,
    },
    template::TemplateFaultReason,
};

fn route(text: &'static str) -> Route<&'static str> {
    let (method, template) = text.split_once(' ').unwrap();
    let method = match method {
        "*" => RouteMethod::Any,
        name => RouteMethod::Only(name.parse().unwrap()),
    };
    Route {
        method,
        template: template.to_owned(),
        target: text,
    }
}

fn router(routes: &[&'static str]) -> Router<&'static str> {
    Router::new(routes.iter().copied().map(route).collect())
        .unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// Looks `METHOD path` up and writes the outcome as text.
fn answer(router: &Router<&'static str>, request: &str) -> String {
    let (method, path) = request.split_once(' ').unwrap();
    match router.lookup(&method.parse().unwrap(), path) {
        Lookup::Match(found) => {
            let variables = found.template.variables().iter();
            let captures = variables
                .zip(found.captures.values())
                .map(|(variable, value)| format!(" {}={value}", variable.field));
            format!("{}{}", found.target, captures.collect::<String>())
        }
        Lookup::MethodNotAllowed { allow } => {
            format!(
                "405 {}",
                allow
                    .iter()
                    .map(Method::as_str)
                    .collect::<Vec<_>>()
                    .join(",")
            )
        }
        Lookup::NotFound => "404".to_owned(),
        Lookup::Malformed(fault) => format!("400 {fault}"),
    }
}

fn check(routes: &[&'static str], cases: &[(&str, &str)]) {
    let router = router(routes);
    for (request, expected) in cases {
        assert_eq!(answer(&router, request), *expected, "{request}");
    }
}

#[test]
fn examples_of_http_proto() {
    check(
        &[
            "GET /v1/{name=messages/*}",
            "GET /v1/messages/{message_id}/{sub.subfield}",
            "GET /v1/users/{user_id}/messages/{message_id}",
            "PATCH /v1/messages/{message_id}",
            "POST /v1/{name=shelves/*/books/*}:publish",
            "GET /v2/{name=files/**}",
        ],
        &[
            (
                "GET /v1/messages/123456",
                "GET /v1/{name=messages/*} name=messages/123456",
            ),
            (
                "GET /v1/messages/123456/foo",
                "GET /v1/messages/{message_id}/{sub.subfield} message_id=123456 sub.subfield=foo",
            ),
            (
                "GET /v1/users/me/messages/123456",
                "GET /v1/users/{user_id}/messages/{message_id} user_id=me message_id=123456",
            ),
            (
                "PATCH /v1/messages/123456",
                "PATCH /v1/messages/{message_id} message_id=123456",
            ),
            (
                "POST /v1/shelves/1/books/2:publish",
                "POST /v1/{name=shelves/*/books/*}:publish name=shelves/1/books/2",
            ),
            ("GET /v2/files", "GET /v2/{name=files/**} name=files"),
            (
                "GET /v2/files/a/b.txt",
                "GET /v2/{name=files/**} name=files/a/b.txt",
            ),
            ("GET /v1", "404"),
            ("GET /v2/other/a", "404"),
        ],
    );
}

#[test]
fn literals_beat_one_segment_and_that_beats_the_rest() {
    check(
        &[
            "GET /v1/users/me",
            "GET /v1/users/{id}",
            "GET /v1/users/**",
            "GET /v1/{any}/me/x",
            "GET /v1/users/{id}/posts",
            "GET /v1/users",
        ],
        &[
            ("GET /v1/users/me", "GET /v1/users/me"),
            ("GET /v1/users/you", "GET /v1/users/{id} id=you"),
            ("GET /v1/users/me/posts", "GET /v1/users/{id}/posts id=me"),
            ("GET /v1/users/me/x", "GET /v1/users/**"),
            ("GET /v1/others/me/x", "GET /v1/{any}/me/x any=others"),
            ("GET /v1/users", "GET /v1/users"),
            ("GET /v1/users/", "GET /v1/users"),
        ],
    );
}

#[test]
fn methods_choose_among_the_routes_of_a_path() {
    check(
        &[
            "POST /v1/users/me",
            "GET /v1/users/{id}",
            "* /v1/users/{id}",
            "* /v1/any",
            "GET /v1/any",
            "HEAD /v1/own",
            "GET /v1/own",
        ],
        &[
            ("GET /v1/users/me", "GET /v1/users/{id} id=me"),
            ("HEAD /v1/users/me", "GET /v1/users/{id} id=me"),
            ("POST /v1/users/me", "POST /v1/users/me"),
            ("DELETE /v1/users/me", "* /v1/users/{id} id=me"),
            ("GET /v1/any", "GET /v1/any"),
            ("HEAD /v1/any", "GET /v1/any"),
            ("PURGE /v1/any", "* /v1/any"),
            ("OPTIONS /v1/any", "* /v1/any"),
            ("HEAD /v1/own", "HEAD /v1/own"),
        ],
    );
}

#[test]
fn a_known_path_lists_its_methods() {
    check(
        &[
            "GET /v1/a",
            "POST /v1/a",
            "DELETE /v1/{id}",
            "PURGE /v1/{id}",
            "POST /v1/{id}:run",
            "PUT /v1/b/**",
        ],
        &[
            ("PATCH /v1/a", "405 DELETE,GET,HEAD,OPTIONS,POST,PURGE"),
            ("OPTIONS /v1/a", "405 DELETE,GET,HEAD,OPTIONS,POST,PURGE"),
            ("GET /v1/z", "405 DELETE,OPTIONS,PURGE"),
            ("GET /v1/z:run", "405 DELETE,OPTIONS,POST,PURGE"),
            ("GET /v1/b", "405 DELETE,OPTIONS,PURGE,PUT"),
            ("GET /v1/b/c/d", "405 OPTIONS,PUT"),
            ("GET /v2", "404"),
            ("OPTIONS /v2", "404"),
        ],
    );
}

#[test]
fn a_verb_goes_first_and_is_text_otherwise() {
    check(
        &[
            "POST /v1/{id}:cancel",
            "GET /v1/{id}",
            "POST /v1/jobs:run",
            "GET /v1/files/**",
            "GET /v1/files/{path=**}:stat",
            "POST /v1/{id}:a%20b",
        ],
        &[
            ("POST /v1/7:cancel", "POST /v1/{id}:cancel id=7"),
            ("POST /v1/7:cancel/", "POST /v1/{id}:cancel id=7"),
            ("POST /v1/a:b:cancel", "POST /v1/{id}:cancel id=a:b"),
            ("GET /v1/7:cancel", "GET /v1/{id} id=7:cancel"),
            ("GET /v1/7:other", "GET /v1/{id} id=7:other"),
            ("GET /v1/7:", "GET /v1/{id} id=7:"),
            ("GET /v1/7%3Acancel", "GET /v1/{id} id=7:cancel"),
            ("POST /v1/7%3Acancel", "405 GET,HEAD,OPTIONS"),
            ("POST /v1/7:%63ancel", "POST /v1/{id}:cancel id=7"),
            ("POST /v1/7:a%20b", "POST /v1/{id}:a%20b id=7"),
            ("POST /v1/jobs:run", "POST /v1/jobs:run"),
            ("POST /v1/:cancel", "405 GET,HEAD,OPTIONS"),
            (
                "GET /v1/files/a/b:stat",
                "GET /v1/files/{path=**}:stat path=a/b",
            ),
            ("GET /v1/files:stat", "GET /v1/files/{path=**}:stat path="),
            ("GET /v1/files/a:stat/b", "GET /v1/files/**"),
        ],
    );
}

#[test]
fn a_trailing_slash_is_none_and_an_empty_segment_is_no_id() {
    check(
        &[
            "GET /",
            "GET /v1/{id}/",
            "GET /v1/x/{id}/y",
            "GET /w/{rest=**}",
        ],
        &[
            ("GET /", "GET /"),
            ("GET //", "404"),
            ("GET /v1/a", "GET /v1/{id}/ id=a"),
            ("GET /v1/a/", "GET /v1/{id}/ id=a"),
            ("GET /v1//", "404"),
            ("GET /v1/a//", "404"),
            ("GET /v1/x//y", "404"),
            ("GET //v1/a", "404"),
            ("GET /w", "GET /w/{rest=**} rest="),
            ("GET /w/", "GET /w/{rest=**} rest="),
            ("GET /w/a/", "GET /w/{rest=**} rest=a"),
            ("GET /w/https://x//y", "GET /w/{rest=**} rest=https://x//y"),
        ],
    );
}

#[test]
fn escapes_are_decoded_after_the_split() {
    check(
        &[
            "GET /v1/{id}",
            "GET /v1/a%20b/c",
            "GET /v2/{name=x/*}",
            "GET /v3/{path=**}",
            "GET /v1/caf%C3%A9",
        ],
        &[
            ("GET /v1/a%2Fb%20c", "GET /v1/{id} id=a/b c"),
            ("GET /v1/a%20b/c", "GET /v1/a%20b/c"),
            ("GET /v1/%61%20b/%63", "GET /v1/a%20b/c"),
            ("GET /%76%31/x", "GET /v1/{id} id=x"),
            ("GET /v1/caf%c3%a9", "GET /v1/caf%C3%A9"),
            ("GET /v1/café", "GET /v1/caf%C3%A9"),
            ("GET /v1/a+b", "GET /v1/{id} id=a+b"),
            ("GET /v1/a%252Fb", "GET /v1/{id} id=a%2Fb"),
            (
                "GET /v2/x/a%2Fb%2fc%20d",
                "GET /v2/{name=x/*} name=x/a%2Fb%2fc d",
            ),
            ("GET /v2%2Fx/a", "404"),
            (
                "GET /v3/a/b%2Fc/%E2%82%AC",
                "GET /v3/{path=**} path=a/b%2Fc/€",
            ),
        ],
    );
}

#[test]
fn malformed_paths_are_refused_whatever_the_routes_are() {
    let router = router(&["GET /v1/{id}"]);
    let malformed = |path: &str| match router.lookup(&Method::GET, path) {
        Lookup::Malformed(fault) => fault,
        other => panic!("{path}: {other:?}"),
    };
    assert_eq!(malformed("*"), PathFault::NotAbsolute);
    assert_eq!(malformed(""), PathFault::NotAbsolute);
    assert_eq!(
        malformed("/v1/a%"),
        PathFault::Percent(PercentFault::Escape { position: 5 })
    );
    assert_eq!(
        malformed("/elsewhere/%GG"),
        PathFault::Percent(PercentFault::Escape { position: 11 })
    );
    assert_eq!(
        malformed("/v1/%C3/%A9"),
        PathFault::Percent(PercentFault::Utf8 { position: 4 })
    );
    assert_eq!(
        malformed("/v1/%FF").to_string(),
        "the path is malformed: the escape at byte 4 does not decode to UTF-8"
    );
}

#[test]
fn size_is_limited() {
    let router = router(&["GET /**"]);
    let is_match = |path: &str| matches!(router.lookup(&Method::GET, path), Lookup::Match(_));
    let long = format!("/{}", "a".repeat(MAX_PATH_BYTES - 1));
    assert!(is_match(&long));
    assert_eq!(
        router.lookup(&Method::GET, &(long + "a")),
        Lookup::Malformed(PathFault::TooLong)
    );
    let deep = "/a".repeat(MAX_PATH_SEGMENTS);
    assert!(is_match(&deep));
    assert_eq!(
        router.lookup(&Method::GET, &(deep + "/a")),
        Lookup::Malformed(PathFault::TooManySegments)
    );
    let many = (0..=MAX_ROUTES).map(|n| Route {
        method: RouteMethod::Any,
        template: format!("/{n}"),
        target: n,
    });
    assert!(
        matches!(Router::new(many.collect()).err().as_deref(), Some([RouteFault::TooMany { count }]) if *count == MAX_ROUTES + 1)
    );
}

#[test]
fn every_fault_of_a_surface_is_listed() {
    let texts = [
        "GET /v1/{id}",
        "GET /v1/{",
        "GET /v1/{name}",
        "POST /v1/{name}",
        "* /v1/{name}",
        "GET /v1/*/",
        "GET /v1/{id}:run",
        "GET /v1/*:run",
        "GET /v1/a/**",
        "GET /v1/{x=a/**}",
        "GET /v1/%61/{r=**}",
        "GET v1",
        "HEAD /v1/{id}",
        "GET /v1/{x=*}/{y=**}",
    ];
    let faults = Router::new(texts.into_iter().map(route).collect())
        .err()
        .unwrap();
    let listed: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        listed,
        [
            "GET /v1/{: at byte 5: a variable names a field: identifiers separated by dots",
            "GET v1: at byte 0: a path template starts with '/'",
            "GET /v1/{id} and GET /v1/{name} match the same paths",
            "GET /v1/{id} and GET /v1/*/ match the same paths",
            "GET /v1/{id}:run and GET /v1/*:run match the same paths",
            "GET /v1/a/** and GET /v1/{x=a/**} match the same paths",
            "GET /v1/a/** and GET /v1/%61/{r=**} match the same paths",
        ]
    );
    assert!(
        matches!(&faults[0], RouteFault::Template { fault, .. } if fault.reason == TemplateFaultReason::FieldPath)
    );
}

#[test]
fn a_full_binary_tree_of_wildcards_is_searched_in_bounded_time() {
    // Each of 12 levels branches into `a` and `*`, and only the very last template could end in `z`: the worst a
    // surface can ask for. The search has to visit the tree once, not once for each subset.
    let routes = (0..1_u32 << 12).map(|bits| {
        let segments = (0..12).map(|level| if bits >> level & 1 == 0 { "/a" } else { "/*" });
        Route {
            method: RouteMethod::Only(Method::GET),
            template: segments.collect::<String>() + "/y",
            target: bits,
        }
    });
    let router = Router::new(routes.collect()).ok().unwrap();
    assert_eq!(
        router.lookup(&Method::GET, &("/a".repeat(12) + "/z")),
        Lookup::NotFound
    );
    assert_eq!(
        router.lookup(&Method::GET, &"/a".repeat(MAX_PATH_SEGMENTS)),
        Lookup::NotFound
    );
    assert!(
        matches!(router.lookup(&Method::GET, &("/a".repeat(12) + "/y")), Lookup::Match(found) if found.target == 0)
    );
}
