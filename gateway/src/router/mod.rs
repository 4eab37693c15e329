//! From method and path to a route: the compiled table of one surface.
//!
//! What it promises:
//!
//! - A request is answered by the most specific route of its method. Segment by segment from the left, a literal beats
//!   `*` and `*` beats `**`; of two routes of the same shape the one for the method itself beats, for HEAD, that for
//!   GET, and both beat the one for any method. A match is found if there is one.
//! - A last segment `x:verb` is read as a verb first and as ordinary text if no route with that verb answers.
//! - One trailing slash is equal to none, in a template and in a path; a `**` does not see it either. An empty segment
//!   matches neither a literal nor `*`. A `**` takes whatever follows, empty segments too.
//! - Values are percent-decoded after the split: wholly for a variable of one segment, all but `%2F` for one of several
//!   (see `google/api/http.proto`).
//! - A lookup takes bounded time and allocates nothing but the values that had to be decoded. `index` and `trie` say why.
//!
//! `path` splits the path, `index` finds the usual route at once, and `trie` finds all others by these rules.

mod captures;
mod index;
mod key;
mod literals;
mod path;
mod trie;

pub use captures::Captures;
use http::Method;
pub use path::{MAX_PATH_BYTES, MAX_PATH_SEGMENTS, PathFault};

use crate::{
    percent::DecodedBytes,
    template::{Template, TemplateFault},
};
use captures::Spans;
use index::{Index, Indexed, NotIndexed};
use path::{Path, Reading, Room};
use trie::{NO_VERB, Query, Trie};

/// There is room at once for one segment less; a path with more of them is split again in a larger room.
const USUAL_SEGMENTS: usize = 16;

/// The most routes one surface may have.
pub const MAX_ROUTES: usize = 20_000;

/// The methods a route answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteMethod {
    /// This one; HEAD too if it is GET.
    Only(Method),
    /// Every method: the custom kind `*` of `google.api.http`.
    Any,
}

impl std::fmt::Display for RouteMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Only(method) => method.fmt(f),
            Self::Any => f.write_str("*"),
        }
    }
}

/// A route to be compiled.
#[derive(Debug, Clone)]
pub struct Route<T> {
    /// The methods it answers.
    pub method: RouteMethod,
    /// Its path template.
    pub template: String,
    /// What a lookup returns.
    pub target: T,
}

/// Why a set of routes is no router.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteFault {
    /// A path template is wrong.
    #[error("{method} {template}: {fault}")]
    Template {
        /// The route's method.
        method: RouteMethod,
        /// The route's template.
        template: String,
        /// What is wrong with it.
        fault: TemplateFault,
    },
    /// Two routes answer the same requests.
    #[error("{method} {first} and {method} {second} match the same paths")]
    Ambiguous {
        /// The method of both.
        method: RouteMethod,
        /// The template that came first.
        first: String,
        /// The template that came later.
        second: String,
        /// The places of both among the routes.
        places: [usize; 2],
    },
    /// More than [`MAX_ROUTES`].
    #[error("a surface has at most {MAX_ROUTES} routes, here are {count}")]
    TooMany {
        /// How many there are.
        count: usize,
    },
}

/// A route that answers a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match<'r, 'p, T> {
    /// The route's target.
    pub target: T,
    /// The route's template, for example as the name of the route in traces.
    pub template: &'r Template,
    /// The values of its variables.
    pub captures: Captures<'p>,
}

/// What a lookup finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup<'r, 'p, T> {
    /// A route for the method and the path.
    Match(Match<'r, 'p, T>),
    /// Routes for the path, but none for the method.
    MethodNotAllowed {
        /// The methods the path has, for the `Allow` header: HEAD where there is GET, and always OPTIONS, which the
        /// caller answers from this list.
        allow: Vec<Method>,
    },
    /// No route for the path.
    NotFound,
    /// A path that cannot be looked up.
    Malformed(PathFault),
}

/// What a lookup reads of a route: little, so that the routes of a surface stay in the cache.
struct Compiled<T> {
    target: T,
    /// Number of its spans.
    spans: u16,
}

/// The compiled routes of a surface.
pub struct Router<T> {
    routes: Vec<Compiled<T>>,
    /// Of each route.
    templates: Vec<Template>,
    /// Each once: most routes have their variables where many others have them.
    spans: Vec<Spans>,
    trie: Trie,
    index: Index,
    /// The verbs in use, sorted; a verb's number is its index plus one.
    verbs: Vec<Box<str>>,
}

impl<T: Copy> Router<T> {
    /// Compiles routes.
    ///
    /// # Errors
    /// Every fault of every route, not only the first.
    pub fn new(routes: Vec<Route<T>>) -> Result<Self, Vec<RouteFault>> {
        if routes.len() > MAX_ROUTES {
            return Err(vec![RouteFault::TooMany {
                count: routes.len(),
            }]);
        }
        let mut faults = Vec::new();
        let mut parsed = Vec::with_capacity(routes.len());
        for (place, route) in routes.into_iter().enumerate() {
            let Route {
                method,
                template,
                target,
            } = route;
            match Template::parse(&template) {
                Ok(template) => parsed.push((place, method, template, target)),
                Err(fault) => faults.push(RouteFault::Template {
                    method,
                    template,
                    fault,
                }),
            }
        }
        let mut verbs: Vec<Box<str>> = parsed
            .iter()
            .filter_map(|(_, _, template, _)| template.verb().map(Into::into))
            .collect();
        verbs.sort_unstable();
        verbs.dedup();
        let mut router = Self {
            routes: Vec::with_capacity(parsed.len()),
            templates: Vec::with_capacity(parsed.len()),
            spans: Vec::new(),
            trie: Trie::new(),
            index: Index::default(),
            verbs,
        };
        let mut answers = Vec::with_capacity(parsed.len());
        let mut places = Vec::with_capacity(parsed.len());
        for (place, method, template, target) in parsed {
            let verb = router.verb(&template);
            let second = template.text().to_owned();
            match router.insert(&method, verb, template, target) {
                Ok(()) => {
                    answers.push((method, verb));
                    places.push(place);
                }
                Err(other) => faults.push(RouteFault::Ambiguous {
                    method,
                    first: router.text(other),
                    second,
                    places: [places.get(other).copied().unwrap_or_default(), place],
                }),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let indexed = router.templates.iter().zip(&answers).enumerate();
        router.index = Index::new(indexed.map(|(route, (template, (method, verb)))| Indexed {
            segments: template.segments(),
            verb: *verb,
            method,
            route,
        }));
        Ok(router)
    }

    fn verb(&self, template: &Template) -> u16 {
        let index = template.verb().and_then(|verb| {
            self.verbs
                .binary_search_by(|other| (**other).cmp(verb))
                .ok()
        });
        index.and_then(verb_number).unwrap_or(NO_VERB)
    }

    /// Takes a route, or tells the place of the one that answers the same requests.
    fn insert(
        &mut self,
        method: &RouteMethod,
        verb: u16,
        template: Template,
        target: T,
    ) -> Result<(), usize> {
        let segments = template.segments();
        self.trie
            .insert(segments, verb, method, self.routes.len())?;
        let own = Spans::of(&template);
        let known = self.spans.iter().position(|spans| *spans == own);
        let spans = known.unwrap_or_else(|| {
            self.spans.push(own);
            self.spans.len() - 1
        });
        // There are no more of them than routes, which `MAX_ROUTES` keeps within `u16`.
        let spans = spans as u16;
        self.routes.push(Compiled { target, spans });
        self.templates.push(template);
        Ok(())
    }

    fn text(&self, route: usize) -> String {
        let template = self.templates.get(route);
        template.map_or_else(String::new, |template| template.text().to_owned())
    }

    /// Finds the route for a method and a path. The path is that of the request target: percent-encoded, without query.
    pub fn lookup<'r, 'p>(&'r self, method: &Method, path: &'p str) -> Lookup<'r, 'p, T> {
        let (mut usual, mut most);
        usual = Room::<USUAL_SEGMENTS>::new();
        let split = match Path::split(path, &mut usual) {
            Err(PathFault::TooManySegments) => {
                most = Room::<{ MAX_PATH_SEGMENTS + 1 }>::new();
                Path::split(path, &mut most)
            }
            split => split,
        };
        let path = match split {
            Ok(path) => path,
            Err(fault) => return Lookup::Malformed(fault),
        };
        let with_verb = self
            .cut_known_verb(&path)
            .map(|(path, verb)| Query { path, verb, method });
        let plain = Query {
            path: path.whole(),
            verb: NO_VERB,
            method,
        };
        let mut query = with_verb.as_ref().unwrap_or(&plain);
        let mut found = self.find(query);
        if found.is_none() && query.verb != NO_VERB {
            query = &plain;
            found = self.find(query);
        }
        if let Some(found) = found.and_then(|route| self.answer(route, query.path)) {
            return Lookup::Match(found);
        }
        let mut methods = Vec::new();
        for query in with_verb.iter().chain([&plain]) {
            self.trie.methods(query, &mut methods);
        }
        if methods.is_empty() {
            Lookup::NotFound
        } else {
            Lookup::MethodNotAllowed {
                allow: allow(&methods),
            }
        }
    }

    #[inline]
    fn find(&self, query: &Query<'_, '_>) -> Option<usize> {
        let indexed = self.index.find(query);
        indexed.unwrap_or_else(|NotIndexed| self.trie.find(query))
    }

    #[inline]
    fn answer<'p>(&self, route: usize, path: Reading<'_, 'p>) -> Option<Match<'_, 'p, T>> {
        let Compiled { target, spans } = self.routes.get(route)?;
        Some(Match {
            target: *target,
            template: self.templates.get(route)?,
            captures: Captures::of(self.spans.get(usize::from(*spans))?, path),
        })
    }

    /// The path without its verb and the verb's number, if the path ends in a verb that some route has.
    fn cut_known_verb<'q, 'p>(&self, path: &'q Path<'q, 'p>) -> Option<(Reading<'q, 'p>, u16)> {
        if self.verbs.is_empty() {
            return None;
        }
        let (cut, verb) = path.cut_verb()?;
        let index = self
            .verbs
            .binary_search_by(|other| match verb.contains('%') {
                true => other.bytes().cmp(DecodedBytes::new(verb)),
                false => (**other).cmp(verb),
            })
            .ok()?;
        Some((cut, verb_number(index)?))
    }
}

/// Zero is [`NO_VERB`]. `MAX_ROUTES` keeps the numbers within `u16`.
fn verb_number(index: usize) -> Option<u16> {
    u16::try_from(index + 1).ok()
}

/// The value of `Allow`, each method once, in an order that does not depend on that of the routes.
fn allow(methods: &[&RouteMethod]) -> Vec<Method> {
    let mut allow = vec![Method::OPTIONS];
    for method in methods {
        // A route for any method would have matched; it is never among these.
        let RouteMethod::Only(method) = method else {
            continue;
        };
        allow.push(method.clone());
        if *method == Method::GET {
            allow.push(Method::HEAD);
        }
    }
    allow.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    allow.dedup();
    allow
}
