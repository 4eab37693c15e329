//! Path templates and paths: grammar, matching, precedence, values and allowed methods against the slow reference.

use http::Method;
use percent_encoding::percent_decode_str;
use pulpo_gateway::{
    router::{Lookup, MAX_PATH_BYTES, MAX_PATH_SEGMENTS, Route, RouteMethod, Router},
    template::Template,
};

use crate::reference::{self, Outcome, template};

const ROUTES_MAX: usize = 16;
const REQUESTS_MAX: usize = 16;

/// Input: lines. `+GET /template` is a route (`+*` one for any method), `GET /path` a request.
pub fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let mut routes: Vec<(RouteMethod, Template)> = Vec::new();
    let mut requests = Vec::new();
    for line in text.split('\n') {
        let Some((method, rest)) = line.split_once(' ') else {
            continue;
        };
        if let Some(method) = method.strip_prefix('+') {
            if let Some(template) = parse(rest).filter(|_| routes.len() < ROUTES_MAX) {
                let method = match method.parse() {
                    Ok(method) if method != "*" => RouteMethod::Only(method),
                    _ => RouteMethod::Any,
                };
                routes.push((method, template));
            }
        } else if let (Ok(method), true) = (method.parse::<Method>(), requests.len() < REQUESTS_MAX)
        {
            requests.push((method, rest));
        }
    }
    let mut distinct: Vec<(RouteMethod, Template)> = Vec::new();
    for (method, template) in routes {
        let is_new = distinct.iter().all(|(other_method, other)| {
            *other_method != method
                || other.segments() != template.segments()
                || other.verb() != template.verb()
        });
        let pair = [&distinct[..], &[(method.clone(), template.clone())]].concat();
        assert_eq!(compile(&pair).is_some(), is_new, "{}", template.text());
        if is_new {
            distinct.push((method, template));
        }
    }
    if let Some(router) = compile(&distinct) {
        for (method, path) in requests {
            request(&router, &distinct, &method, path);
        }
    }
}

/// Parses a template and holds the result against the reference's.
fn parse(text: &str) -> Option<Template> {
    let parsed = Template::parse(text);
    let expected = template::parse(text);
    let found = parsed.as_ref().ok().map(template::of);
    assert_eq!(found, expected, "{text:?}: {parsed:?}");
    parsed.ok()
}

fn compile(routes: &[(RouteMethod, Template)]) -> Option<Router<usize>> {
    let routes = routes
        .iter()
        .enumerate()
        .map(|(target, (method, template))| Route {
            method: method.clone(),
            template: template.text().to_owned(),
            target,
        });
    Router::new(routes.collect()).ok()
}

fn request(
    router: &Router<usize>,
    routes: &[(RouteMethod, Template)],
    method: &Method,
    path: &str,
) {
    let outcome = match router.lookup(method, path) {
        Lookup::Match(found) => Outcome::Found(
            found.target,
            found
                .captures
                .values()
                .map(|value| value.to_string())
                .collect(),
        ),
        Lookup::MethodNotAllowed { allow } => {
            Outcome::Allow(allow.iter().map(ToString::to_string).collect())
        }
        Lookup::NotFound => Outcome::NotFound,
        Lookup::Malformed(fault) => {
            assert!(!is_well_formed(path), "{path:?}: {fault}");
            return;
        }
    };
    assert!(is_well_formed(path), "{path:?} is malformed: {outcome:?}");
    assert_eq!(
        outcome,
        reference::lookup(routes, method, path),
        "{method} {path:?}"
    );
}

fn is_well_formed(path: &str) -> bool {
    let segments = match path {
        "/" => 0,
        _ => path.strip_suffix('/').unwrap_or(path).matches('/').count(),
    };
    path.starts_with('/')
        && path.len() <= MAX_PATH_BYTES
        && segments <= MAX_PATH_SEGMENTS
        && template::is_whole(path)
        && percent_decode_str(path).decode_utf8().is_ok()
}
