//! The router against a slow reference: every route is tried, and the written precedence picks among those that match.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use http::Method;
use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use pulpo_gateway::{
    router::{Lookup, Route, RouteFault, RouteMethod, Router},
    template::{Segment, Template},
};

#[derive(Debug, PartialEq)]
enum Outcome {
    Found(usize, Vec<String>),
    Allow(Vec<String>),
    NotFound,
}

/// How well one segment fits, best first. `End` is the end of a template at the end of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    End,
    Literal,
    One,
    Rest,
}

/// Verb first, then the segments from the left, then the method. The least is the best.
type Key = (usize, Vec<Fit>, usize);

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().unwrap().into_owned()
}

/// How the template fits the raw segments, or `None` if it does not.
fn fits(template: &Template, raw: &[&str]) -> Option<Vec<Fit>> {
    let mut fits = Vec::new();
    for (index, segment) in template.segments().iter().enumerate() {
        match (segment, raw.get(index)) {
            (Segment::Rest, _) => {
                fits.push(Fit::Rest);
                return Some(fits);
            }
            (Segment::Literal(text), Some(raw)) if decoded(raw) == **text => {
                fits.push(Fit::Literal)
            }
            (Segment::One, Some(raw)) if !raw.is_empty() => fits.push(Fit::One),
            _ => return None,
        }
    }
    fits.push(Fit::End);
    (raw.len() == template.segments().len()).then_some(fits)
}

fn values(template: &Template, raw: &[&str]) -> Vec<String> {
    let value = |variable: &pulpo_gateway::template::Variable| {
        let has_rest = template.segments()[variable.segments.clone()].contains(&Segment::Rest);
        let end = if has_rest {
            raw.len()
        } else {
            variable.segments.end
        };
        let parts = raw[variable.segments.start.min(end)..end]
            .iter()
            .map(|part| {
                if variable.is_multi {
                    decoded(&part.replace("%2F", "%252F").replace("%2f", "%252f"))
                } else {
                    decoded(part)
                }
            });
        parts.collect::<Vec<_>>().join("/")
    };
    template.variables().iter().map(value).collect()
}

fn reference(routes: &[(RouteMethod, Template)], method: &Method, path: &str) -> Outcome {
    let raw: Vec<&str> = match path {
        "/" => Vec::new(),
        _ => path.strip_suffix('/').unwrap_or(path)[1..]
            .split('/')
            .collect(),
    };
    let cut = raw.last().and_then(|last| last.rsplit_once(':'));
    let mut cut_raw = raw.clone();
    if let (Some(last), Some((before, _))) = (cut_raw.last_mut(), cut) {
        *last = before;
    }
    let mut best: Option<(Key, usize)> = None;
    let mut allow = Vec::new();
    for (index, (route_method, template)) in routes.iter().enumerate() {
        let (order, raw) = match (template.verb(), cut) {
            (None, _) => (1, &raw),
            (Some(verb), Some((_, sent))) if decoded(sent) == verb => (0, &cut_raw),
            (Some(_), _) => continue,
        };
        let Some(fits) = fits(template, raw) else {
            continue;
        };
        let rank = match route_method {
            RouteMethod::Only(only) if only == method => 0,
            RouteMethod::Only(only) if only == Method::GET && method == Method::HEAD => 1,
            RouteMethod::Any => 2,
            RouteMethod::Only(only) => {
                allow.push(only.to_string());
                if only == Method::GET {
                    allow.push("HEAD".to_owned());
                }
                continue;
            }
        };
        let key = (order, fits, rank);
        if best.as_ref().is_none_or(|(other, _)| key < *other) {
            best = Some((key, index));
        }
    }
    match best {
        Some(((order, ..), index)) => Outcome::Found(
            index,
            values(&routes[index].1, if order == 0 { &cut_raw } else { &raw }),
        ),
        None if allow.is_empty() => Outcome::NotFound,
        None => {
            allow.push("OPTIONS".to_owned());
            allow.sort();
            allow.dedup();
            Outcome::Allow(allow)
        }
    }
}

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

fn request_method() -> impl Strategy<Value = Method> {
    prop_oneof![
        Just(Method::GET),
        Just(Method::HEAD),
        Just(Method::POST),
        Just(Method::DELETE),
        Just(Method::OPTIONS)
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

proptest! {
    #[test]
    fn the_router_agrees_with_the_reference(
        candidates in prop::collection::vec((method(), template()), 1..14),
        requests in prop::collection::vec((request_method(), path()), 1..24),
    ) {
        let mut routes: Vec<(RouteMethod, Template)> = Vec::new();
        for (method, text) in candidates {
            let template = Template::parse(&text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
            if routes.iter().all(|(m, t)| shape(m, t) != shape(&method, &template)) {
                routes.push((method, template));
            }
        }
        let compiled = routes.iter().enumerate().map(|(target, (method, template))| Route {
            method: method.clone(),
            template: template.text().to_owned(),
            target,
        });
        let router = Router::new(compiled.collect()).unwrap_or_else(|faults| panic!("{faults:?}"));
        for (method, path) in requests {
            let outcome = match router.lookup(&method, &path) {
                Lookup::Match(found) => {
                    prop_assert!(found.captures.iter().enumerate().all(|(n, capture)| capture.variable == n));
                    Outcome::Found(found.target, found.captures.iter().map(|c| c.value.to_string()).collect())
                }
                Lookup::MethodNotAllowed { allow } => {
                    Outcome::Allow(allow.iter().map(ToString::to_string).collect())
                }
                Lookup::NotFound => Outcome::NotFound,
                Lookup::Malformed(fault) => panic!("{path}: {fault}"),
            };
            prop_assert_eq!(outcome, reference(&routes, &method, &path), "{} {}", method, path);
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
