//! A slow reading of path templates and of their precedence: every route is tried, and the written rules pick among those
//! that match. Used by the router's tests and by its fuzz target.

pub(crate) mod template;

use http::Method;
use percent_encoding::percent_decode_str;
use pulpo_gateway::{
    router::RouteMethod,
    template::{Segment, Template},
};

/// What a lookup comes to.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// The route by its index, and the values of its variables.
    Found(usize, Vec<String>),
    /// No route for the method; the methods there are.
    Allow(Vec<String>),
    /// No route for the path.
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
    percent_decode_str(text).decode_utf8_lossy().into_owned()
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

/// The outcome for a path that is well-formed.
pub(crate) fn lookup(routes: &[(RouteMethod, Template)], method: &Method, path: &str) -> Outcome {
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
