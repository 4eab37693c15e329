//! The trie behind the router: one node for each distinct beginning of a template. It answers what the index leaves, and
//! what methods a path has.
//!
//! **Order.** At each segment the literal child is tried before the `*` child, and that before the `**` that ends here;
//! what fails is taken back, so a route is found if there is one.
//!
//! **Time.** Backtracking cannot run away. A node stands for one sequence of literals and stars, so there is one way
//! from the root to it and a search enters it at most once, always at the same depth. A search therefore costs at most
//! one child lookup for every node as deep as the path is long: it is linear in the size of the surface and does not
//! grow with what a client sends. In practice it touches one or two nodes a segment.

use http::Method;

use super::{RouteMethod, literals::Literals, path::Reading};
use crate::template::Segment;

/// Stands for "no verb" among verb numbers.
pub(super) const NO_VERB: u16 = 0;

/// Number of the root node.
const ROOT: usize = 0;

/// What is looked for.
pub(super) struct Query<'q, 'p> {
    pub(super) path: Reading<'q, 'p>,
    pub(super) verb: u16,
    pub(super) method: &'q Method,
}

/// A route at the place where its template ends.
struct Ending {
    verb: u16,
    method: RouteMethod,
    route: usize,
}

#[derive(Default)]
struct Node {
    literals: Literals,
    one: Option<u32>,
    /// Routes whose template ends exactly here.
    exact: Vec<Ending>,
    /// Routes whose template ends here with `**`.
    rest: Vec<Ending>,
}

pub(super) struct Trie {
    nodes: Vec<Node>,
}

impl Trie {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Node::default()],
        }
    }

    /// Adds a route. An earlier route of the same shape, verb and method is the error: which of the two would answer a
    /// request is not decided.
    pub(super) fn insert(
        &mut self,
        segments: &[Segment],
        verb: u16,
        method: &RouteMethod,
        route: usize,
    ) -> Result<(), usize> {
        let mut at = ROOT;
        let mut is_rest = false;
        for segment in segments {
            match segment {
                Segment::Literal(text) => at = self.literal_child(at, text),
                Segment::One => at = self.one_child(at),
                Segment::Rest => is_rest = true,
            }
        }
        let Some(node) = self.nodes.get_mut(at) else {
            return Ok(());
        };
        let endings = if is_rest {
            &mut node.rest
        } else {
            &mut node.exact
        };
        if let Some(other) = endings
            .iter()
            .find(|ending| ending.verb == verb && ending.method == *method)
        {
            return Err(other.route);
        }
        endings.push(Ending {
            verb,
            method: method.clone(),
            route,
        });
        Ok(())
    }

    fn literal_child(&mut self, parent: usize, text: &str) -> usize {
        let child = self.nodes.len();
        let Some(node) = self.nodes.get_mut(parent) else {
            return parent;
        };
        if let Some(existing) = node.literals.get(text) {
            return existing as usize;
        }
        // `MAX_ROUTES` of `MAX_PATH_SEGMENTS` each keep the numbers of nodes within `u32`.
        node.literals.insert(text, child as u32);
        self.nodes.push(Node::default());
        child
    }

    fn one_child(&mut self, parent: usize) -> usize {
        let child = self.nodes.len();
        let Some(node) = self.nodes.get_mut(parent) else {
            return parent;
        };
        if let Some(existing) = node.one {
            return existing as usize;
        }
        node.one = Some(child as u32);
        self.nodes.push(Node::default());
        child
    }

    /// The route that answers the query, by number.
    pub(super) fn find(&self, query: &Query<'_, '_>) -> Option<usize> {
        self.find_below(self.nodes.get(ROOT)?, 0, query)
    }

    fn find_below(&self, node: &Node, depth: usize, query: &Query<'_, '_>) -> Option<usize> {
        if depth == query.path.count() {
            return pick(&node.exact, query).or_else(|| pick(&node.rest, query));
        }
        let (literal, one) = self.children(node, depth, query.path);
        literal
            .and_then(|child| self.find_below(child, depth + 1, query))
            .or_else(|| one.and_then(|child| self.find_below(child, depth + 1, query)))
            .or_else(|| pick(&node.rest, query))
    }

    /// Adds the methods of all routes that match path and verb. For the answer 405, off the hot path.
    pub(super) fn methods<'t>(&'t self, query: &Query<'_, '_>, found: &mut Vec<&'t RouteMethod>) {
        if let Some(root) = self.nodes.get(ROOT) {
            self.methods_below(root, 0, query, found);
        }
    }

    fn methods_below<'t>(
        &'t self,
        node: &'t Node,
        depth: usize,
        query: &Query<'_, '_>,
        found: &mut Vec<&'t RouteMethod>,
    ) {
        let mut add = |endings: &'t [Ending]| {
            let of_verb = endings.iter().filter(|ending| ending.verb == query.verb);
            found.extend(of_verb.map(|ending| &ending.method));
        };
        add(&node.rest);
        if depth == query.path.count() {
            return add(&node.exact);
        }
        let (literal, one) = self.children(node, depth, query.path);
        for child in [literal, one].into_iter().flatten() {
            self.methods_below(child, depth + 1, query, found);
        }
    }

    /// The two children that a segment leads to. An empty one leads nowhere: `//` is nobody's id.
    fn children(
        &self,
        node: &Node,
        depth: usize,
        path: Reading<'_, '_>,
    ) -> (Option<&Node>, Option<&Node>) {
        let segment = path.segment(depth);
        if segment.is_empty() {
            return (None, None);
        }
        let literal = if path.is_escaped(segment) {
            node.literals.get_escaped(segment)
        } else {
            node.literals.get(segment)
        };
        (
            literal.and_then(|child| self.nodes.get(child as usize)),
            node.one.and_then(|child| self.nodes.get(child as usize)),
        )
    }
}

/// The best of the routes that end at one place: the method itself, then GET for HEAD, then any method.
#[inline]
fn pick(endings: &[Ending], query: &Query<'_, '_>) -> Option<usize> {
    let (mut get, mut any) = (None, None);
    for ending in endings {
        if ending.verb != query.verb {
            continue;
        }
        match &ending.method {
            RouteMethod::Only(method) if method == query.method => return Some(ending.route),
            RouteMethod::Only(Method::GET) => get = Some(ending.route),
            RouteMethod::Only(_) => {}
            RouteMethod::Any => any = Some(ending.route),
        }
    }
    get.filter(|_| *query.method == Method::HEAD).or(any)
}
