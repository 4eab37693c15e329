//! The router against a slow reference: every route is tried, and the written precedence picks among those that match.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod reference;

use http::Method;
use proptest::prelude::*;
use pulpo_gateway::{
    router::{Lookup, Route, RouteFault, RouteMethod, Router},
    template::{Segment, Template},
};
use reference::Outcome;

fn method() -> impl Strategy<Value = RouteMethod> {
    prop_oneof![
        3 => Just(RouteMethod::Only(Method::GET)),
        2 => Just(RouteMethod::Only(Method::POST)),
        1 => Just(RouteMethod::Only(Method::HEAD)),
        1 => Just(RouteMethod::Any),
    ]
}

/// Templates over a small alphabet, so that they meet often.
fn template() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        3 => Just("a".to_owned()),
        2 => Just("b".to_owned()),
        1 => Just("%C3%A9".to_owned()),
        1 => Just("a:v".to_owned()),
        2 => Just("*".to_owned()),
        2 => Just("{#}".to_owned()),
        1 => Just("{#=a}".to_owned()),
        1 => Just("{#=a/*}".to_owned()),
    ];
    let rest = prop_oneof![
        4 => Just(""),
        1 => Just("/**"),
        1 => Just("/{#=**}"),
        1 => Just("/{#=a/**}"),
    ];
    let verb = prop_oneof![4 => Just(""), 2 => Just(":v"), 1 => Just(":w")];
    let slash = prop_oneof![5 => Just(""), 1 => Just("/")];
    (prop::collection::vec(segment, 0..4), rest, verb, slash).prop_map(
        |(segments, rest, verb, slash)| {
            let path: String = segments
                .iter()
                .map(|segment| format!("/{segment}"))
                .collect::<String>()
                + rest;
            let text = if path.is_empty() {
                "/".to_owned()
            } else {
                path + verb + slash
            };
            // Each variable gets a name of its own.
            text.split('#')
                .enumerate()
                .map(|(n, part)| {
                    if n == 0 {
                        part.to_owned()
                    } else {
                        format!("f{n}{part}")
                    }
                })
                .collect()
        },
    )
}

fn path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        4 => Just("a"), 3 => Just("b"), 1 => Just("%61"), 1 => Just("%c3%a9"), 1 => Just("é"), 1 => Just("c"),
        1 => Just("x%2Fy%20z"), 1 => Just(""), 1 => Just("a:v"), 1 => Just("b:w"), 1 => Just(":v"), 1 => Just("c:u"),
        1 => Just("a:%76"), 1 => Just("a:v:v"), 1 => Just("%3Av"), 1 => Just("a:"),
    ];
    (
        prop::collection::vec(segment, 0..6),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(segments, slash)| {
            format!("/{}{}", segments.join("/"), if slash { "/" } else { "" })
        })
}

/// Literals that agree in their first or last eight or sixteen bytes, and some of every length around those.
const WORDS: [&str; 14] = [
    "v1",
    "v2",
    "wallets",
    "payments",
    "payments1",
    "payments-refunds",
    "payments-refunds1",
    "payments-refunds2",
    "payments-rejected",
    "organisation-memberships-of-users",
    "organisation-memberships-in-users",
    "caf%C3%A9",
    "a:v",
    "x",
];

/// Templates of many shapes over longer words: more segments, and more shapes for one number of them, than are indexed.
fn wide_template() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        3 => prop::sample::select(&WORDS[..4]).prop_map(str::to_owned),
        2 => prop::sample::select(&WORDS[..]).prop_map(str::to_owned),
        3 => Just("*".to_owned()),
    ];
    let rest = prop_oneof![6 => Just(""), 1 => Just("/**")];
    let verb = prop_oneof![4 => Just(""), 1 => Just(":v"), 1 => Just(":cancel")];
    let count = prop_oneof![5 => 1_usize..5, 1 => 5_usize..16];
    count
        .prop_flat_map(move |count| prop::collection::vec(segment.clone(), count))
        .prop_flat_map(move |segments| (Just(segments), rest.clone(), verb.clone()))
        .prop_map(|(segments, rest, verb)| format!("/{}{rest}{verb}", segments.join("/")))
}

/// What to change in a template to make a path of it: by segment, a word for a star, or another text for anything.
fn wide_path(template: &str, changes: &[(usize, usize)], tail: &str) -> String {
    let body = template.trim_start_matches('/');
    let mut segments: Vec<&str> = body.split('/').collect();
    for (segment, (word, kind)) in segments.iter_mut().zip(changes) {
        let other = match kind {
            0 => "",
            1 => "%70ayments",
            2 => "payments-refunds1-",
            _ => WORDS[word % WORDS.len()],
        };
        if *kind < 4 || segment.starts_with('*') {
            *segment = other;
        }
    }
    format!("/{}{tail}", segments.join("/"))
}

fn wide_method() -> impl Strategy<Value = RouteMethod> {
    let only = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::HEAD,
        Method::from_bytes(b"PURGE").unwrap(),
    ];
    prop_oneof![
        5 => prop::sample::select(only.to_vec()).prop_map(RouteMethod::Only),
        1 => Just(RouteMethod::Any),
    ]
}

fn request_method() -> impl Strategy<Value = Method> {
    prop_oneof![
        Just(Method::GET),
        Just(Method::HEAD),
        Just(Method::POST),
        Just(Method::DELETE),
        Just(Method::OPTIONS),
        Just(Method::PUT),
        Just(Method::from_bytes(b"PURGE").unwrap()),
    ]
}

/// What makes two templates match the same paths: the segments and the verb, not the names.
fn shape(method: &RouteMethod, template: &Template) -> (String, Vec<Segment>, Option<String>) {
    (
        method.to_string(),
        template.segments().to_vec(),
        template.verb().map(str::to_owned),
    )
}

fn compile(routes: &[(RouteMethod, Template)]) -> Router<usize> {
    let compiled = routes
        .iter()
        .enumerate()
        .map(|(target, (method, template))| Route {
            method: method.clone(),
            template: template.text().to_owned(),
            target,
        });
    Router::new(compiled.collect()).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// The candidates without those that match the same paths as one before them.
fn distinct(candidates: Vec<(RouteMethod, String)>) -> Vec<(RouteMethod, Template)> {
    let mut routes: Vec<(RouteMethod, Template)> = Vec::new();
    for (method, text) in candidates {
        let template = Template::parse(&text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
        if routes
            .iter()
            .all(|(m, t)| shape(m, t) != shape(&method, &template))
        {
            routes.push((method, template));
        }
    }
    routes
}

fn outcome(router: &Router<usize>, method: &Method, path: &str) -> Outcome {
    match router.lookup(method, path) {
        Lookup::Match(found) => {
            let values = found.captures.values().map(|value| value.to_string());
            Outcome::Found(found.target, values.collect())
        }
        Lookup::MethodNotAllowed { allow } => {
            Outcome::Allow(allow.iter().map(ToString::to_string).collect())
        }
        Lookup::NotFound => Outcome::NotFound,
        Lookup::Malformed(fault) => panic!("{path}: {fault}"),
    }
}

proptest! {
    #[test]
    fn the_router_agrees_with_the_reference(
        candidates in prop::collection::vec((method(), template()), 1..14),
        requests in prop::collection::vec((request_method(), path()), 1..24),
    ) {
        let routes = distinct(candidates);
        let router = compile(&routes);
        for (method, path) in requests {
            let expected = reference::lookup(&routes, &method, &path);
            prop_assert_eq!(outcome(&router, &method, &path), expected, "{} {}", method, path);
        }
    }

    #[test]
    fn the_router_agrees_with_the_reference_on_many_shapes(
        candidates in prop::collection::vec((wide_method(), wide_template()), 1..40),
        requests in prop::collection::vec(
            (
                request_method(),
                any::<prop::sample::Index>(),
                prop::collection::vec((0..WORDS.len(), 0_usize..40), 16),
                prop::sample::select(&["", "", "", "/", ":v", ":cancel", ":cancel/", ":", "/x", "/x:v", "//"][..]),
            ),
            1..40,
        ),
    ) {
        let routes = distinct(candidates);
        let router = compile(&routes);
        for (method, template, changes, tail) in requests {
            let path = wide_path(template.get(&routes).1.text(), &changes, tail);
            let expected = reference::lookup(&routes, &method, &path);
            prop_assert_eq!(outcome(&router, &method, &path), expected, "{} {}", method, path);
        }
    }

    #[test]
    fn ambiguity_is_found_exactly_where_shapes_are_equal(
        candidates in prop::collection::vec((method(), template()), 1..14),
    ) {
        let mut shapes = Vec::new();
        let mut expected = 0;
        for (method, text) in &candidates {
            let shape = shape(method, &Template::parse(text).unwrap());
            if shapes.contains(&shape) { expected += 1 } else { shapes.push(shape) }
        }
        let routes = candidates.into_iter().map(|(method, template)| Route { method, template, target: () });
        let faults = Router::new(routes.collect()).err().unwrap_or_default();
        let all_ambiguous = faults.iter().all(|fault| matches!(fault, RouteFault::Ambiguous { .. }));
        prop_assert!(all_ambiguous);
        prop_assert_eq!(faults.len(), expected);
    }

    #[test]
    fn the_grammar_agrees_with_the_reference(text in "/([ab*{}=.:/]|%2F|\\*\\*|\\{[ab]\\}|\\{[ab]=[ab*/]{1,4}\\}|/){0,12}") {
        let found = Template::parse(&text).ok();
        prop_assert_eq!(found.as_ref().map(reference::template::of), reference::template::parse(&text), "{}", text);
    }

    #[test]
    fn no_text_panics(template in "[/a*{}=.:%2F]{0,24}", path in "\\PC{0,24}", tail in "[/a:%2F]{0,24}") {
        let parsed = Template::parse(&template);
        let routes = vec![
            Route { method: RouteMethod::Any, template, target: 0 },
            Route { method: RouteMethod::Any, template: "/a/{r=**}:a".to_owned(), target: 1 },
        ];
        if let Ok(router) = Router::new(routes) {
            prop_assert!(parsed.is_ok());
            router.lookup(&Method::GET, &path);
            router.lookup(&Method::GET, &format!("/{tail}"));
        }
    }
}
