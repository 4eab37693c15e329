//! The routes by the literals of their templates: one probe of a hash table instead of one step for each segment.
//!
//! A **shape** says which segments of a template are literals, which are `*`, and whether a `**` ends it. For each number
//! of segments a path may have, the shapes that can match are listed in the order of precedence. A lookup takes the
//! segments of the path that are literals in a shape, hashes them, and compares the entry it finds with them, so a hash
//! alone decides nothing. The entries of one shape differ in their literals, so at most one of them matches: the first
//! shape with an entry that answers the method is what the trie would have found by backtracking.
//!
//! **Why.** What a walk through a trie costs is waiting: each node is loaded from where the one before it points, and
//! each segment has its own branches to mispredict. Here the segments are read independently of one another and without
//! branches on what they contain.
//!
//! **Bounds.** What would make this long or large is left to the trie, which is always right: more than [`MAX_SHAPES`]
//! shapes for a number of segments, more than [`MAX_SEGMENTS`], escapes, empty segments, methods of no standard.

use std::collections::HashSet;

use http::Method;

use super::{
    RouteMethod,
    key::{Key, ODD},
    trie::Query,
};
use crate::template::Segment;

/// The most segments of a path that is looked up here.
const MAX_SEGMENTS: usize = 12;

/// How many keys are always compared.
const FOUR: usize = 4;

/// The most shapes that are tried for a path.
const MAX_SHAPES: usize = 8;

/// How many methods have a number.
const METHODS: usize = 9;

/// No entry in a slot, no route for a method. `MAX_ROUTES` keeps the numbers of both below it.
const VACANT: u16 = u16::MAX;

/// A query that the trie has to answer.
#[derive(Debug)]
pub(super) struct NotIndexed;

/// A route as it is added to the index.
pub(super) struct Indexed<'t> {
    pub(super) segments: &'t [Segment],
    pub(super) verb: u16,
    pub(super) method: &'t RouteMethod,
    pub(super) route: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    /// A bit for each segment that is a literal.
    literals: u32,
    /// Two bits for each segment from the left: 1 for a literal, 2 for `*`, 3 for `**`, and 0 behind the end. No other
    /// shape has the same, and of those that match one path the least has precedence.
    rank: u32,
    /// How many segments there are before the `**`, if there is one.
    segments: usize,
    has_rest: bool,
}

impl Shape {
    fn of(segments: &[Segment]) -> Self {
        let mut shape = Self {
            literals: 0,
            rank: 0,
            segments: 0,
            has_rest: false,
        };
        for (at, segment) in segments.iter().enumerate() {
            let digit = match segment {
                Segment::Literal(_) => {
                    shape.literals |= 1 << at;
                    1
                }
                Segment::One => 2,
                Segment::Rest => 3,
            };
            shape.rank |= digit << (2 * (MAX_SEGMENTS - at));
            shape.has_rest = *segment == Segment::Rest;
            shape.segments += usize::from(*segment != Segment::Rest);
        }
        shape
    }

    fn matches(&self, segments: usize) -> bool {
        self.segments == segments || self.has_rest && self.segments < segments
    }

    /// What an entry has beside its literals.
    #[inline]
    fn with(self, verb: u16) -> u64 {
        u64::from(self.rank) << 16 | u64::from(verb)
    }
}

/// All that most lookups compare, in two lines of a cache.
#[repr(align(128))]
struct Entry {
    /// Shape and verb.
    form: u64,
    /// The first literals, and empty ones behind them, so that comparing most of them takes no loop.
    first: [Key; FOUR],
    /// By number of the method.
    routes: [u16; METHODS],
    /// The literals behind the first, if there are any.
    others: Box<[Key]>,
    /// All literals if one is longer than its key.
    texts: Box<[Box<str>]>,
}

impl Entry {
    #[inline]
    fn has_keys(&self, first: &[Key; FOUR], others: impl Iterator<Item = Key>) -> bool {
        let mut pairs = self.others.iter().zip(others);
        let pairs_of_first = self.first.iter().zip(first);
        let differs = pairs_of_first.fold(0, |sum, (own, other)| sum | own.difference(*other));
        differs == 0 && pairs.all(|(own, other)| own.difference(other) == 0)
    }

    /// Whether the literals are the same when their keys are.
    #[cold]
    fn has_texts<'a>(&self, shape: Shape, text: impl Fn(usize) -> &'a str) -> bool {
        let mut pairs = self.texts.iter().zip(ones(shape.literals));
        pairs.all(|(own, at)| **own == *text(at))
    }
}

/// The index of one surface.
#[derive(Default)]
pub(super) struct Index {
    /// By number of segments, in the order of precedence; none where there are too many.
    shapes: Vec<Option<Vec<Shape>>>,
    entries: Vec<Entry>,
    /// Numbers of entries, at the places their hashes say or next behind. Its size is a power of two and at least three
    /// quarters of it are vacant, so a search ends soon.
    slots: Box<[u16]>,
}

impl Index {
    pub(super) fn new<'t>(routes: impl Iterator<Item = Indexed<'t>>) -> Self {
        let mut routes: Vec<Indexed<'t>> = routes
            .filter(|route| {
                // A `**` comes on top.
                let fixed = route.segments.iter().filter(|s| **s != Segment::Rest);
                fixed.count() <= MAX_SEGMENTS
            })
            .collect();
        // What is for any method takes what the others left.
        routes.sort_by_key(|route| *route.method == RouteMethod::Any);
        let forms: HashSet<_> = routes.iter().map(|r| (r.segments, r.verb)).collect();
        let mut index = Self {
            shapes: Vec::new(),
            entries: Vec::with_capacity(forms.len()),
            slots: vec![VACANT; (8 * forms.len()).next_power_of_two()].into(),
        };
        let mut shapes: Vec<Shape> = routes.iter().map(|r| Shape::of(r.segments)).collect();
        shapes.sort_by_key(|shape| shape.rank);
        shapes.dedup();
        index.shapes = (0..=MAX_SEGMENTS)
            .map(|segments| {
                let matching = shapes.iter().filter(|shape| shape.matches(segments));
                let matching: Vec<Shape> = matching.copied().collect();
                (matching.len() <= MAX_SHAPES).then_some(matching)
            })
            .collect();
        for route in &routes {
            index.insert(route);
        }
        index
    }

    fn insert(&mut self, route: &Indexed<'_>) {
        let shape = Shape::of(route.segments);
        let text = |at: usize| match route.segments.get(at) {
            Some(Segment::Literal(text)) => &**text,
            _ => "",
        };
        let found = self.entry(shape, route.verb, |at| Key::of(text(at)), text);
        let number = found.unwrap_or_else(|slot| {
            let number = self.entries.len();
            if let Some(slot) = self.slots.get_mut(slot) {
                *slot = number as u16;
            }
            let texts = ones(shape.literals).map(text);
            let mut keys: Vec<Key> = texts.clone().map(Key::of).collect();
            let others = keys.split_off(FOUR.min(keys.len())).into();
            keys.resize(FOUR, Key::default());
            let is_long = texts.clone().any(|text| text.len() > Key::WHOLE);
            self.entries.push(Entry {
                form: shape.with(route.verb),
                first: keys.first_chunk().copied().unwrap_or_default(),
                routes: [VACANT; METHODS],
                others,
                texts: texts.filter(|_| is_long).map(Box::from).collect(),
            });
            number
        });
        let Some(entry) = self.entries.get_mut(number) else {
            return;
        };
        let own = route.route as u16;
        match route.method {
            RouteMethod::Only(method) => {
                if let Some(place) = number_of(method).and_then(|at| entry.routes.get_mut(at)) {
                    *place = own;
                }
                if *method == Method::GET {
                    fill(entry.routes.get_mut(HEAD), own);
                }
            }
            RouteMethod::Any => fill(entry.routes.iter_mut(), own),
        }
    }

    /// The route that answers the query, by number.
    #[inline]
    pub(super) fn find(&self, query: &Query<'_, '_>) -> Result<Option<usize>, NotIndexed> {
        let path = query.path;
        let Some(Some(shapes)) = self.shapes.get(path.count()) else {
            return Err(NotIndexed);
        };
        let method = number_of(query.method).ok_or(NotIndexed)?;
        if !path.is_plain() {
            return Err(NotIndexed);
        }
        for shape in shapes {
            let key = |at| path.key(at);
            let entry = self.entry(*shape, query.verb, key, |at| path.segment(at));
            let route = entry
                .ok()
                .and_then(|entry| self.entries.get(entry)?.routes.get(method));
            if let Some(route) = route.filter(|route| **route != VACANT) {
                return Ok(Some(*route as usize));
            }
        }
        Ok(None)
    }

    /// The entry with these literals, or the slot where it would be.
    #[inline]
    fn entry<'a>(
        &self,
        shape: Shape,
        verb: u16,
        key: impl Fn(usize) -> Key,
        text: impl Fn(usize) -> &'a str,
    ) -> Result<usize, usize> {
        let form = shape.with(verb);
        let mut hash = form.wrapping_mul(ODD);
        let mut places = ones(shape.literals);
        // The others are read again where they are compared: keeping few keeps them in registers.
        let mut first = [Key::default(); FOUR];
        for (literal, at) in first.iter_mut().zip(&mut places) {
            *literal = key(at);
            hash = hash.wrapping_add(literal.hash(at));
        }
        for at in places.clone() {
            hash = hash.wrapping_add(key(at).hash(at));
        }
        hash = (hash ^ hash >> 32).wrapping_mul(ODD);
        let mask = self.slots.len() - 1;
        let mut slot = (hash >> 32) as usize & mask;
        loop {
            let number = self.slots.get(slot).copied().unwrap_or(VACANT) as usize;
            let Some(entry) = self.entries.get(number) else {
                return Err(slot);
            };
            if entry.form == form
                && entry.has_keys(&first, places.clone().map(&key))
                && (entry.texts.is_empty() || entry.has_texts(shape, &text))
            {
                return Ok(number);
            }
            slot = (slot + 1) & mask;
        }
    }
}

fn fill<'r>(places: impl IntoIterator<Item = &'r mut u16>, route: u16) {
    for place in places {
        if *place == VACANT {
            *place = route;
        }
    }
}

/// The places of the bits that are set, from the lowest.
#[inline]
fn ones(mut bits: u32) -> impl Iterator<Item = usize> + Clone {
    std::iter::from_fn(move || {
        let lowest = bits.trailing_zeros();
        bits &= bits.checked_sub(1)?;
        Some(lowest as usize)
    })
}

/// The number of HEAD.
const HEAD: usize = 1;

#[inline]
fn number_of(method: &Method) -> Option<usize> {
    Some(match *method {
        Method::GET => 0,
        Method::HEAD => HEAD,
        Method::POST => 2,
        Method::PUT => 3,
        Method::PATCH => 4,
        Method::DELETE => 5,
        Method::OPTIONS => 6,
        Method::CONNECT => 7,
        Method::TRACE => 8,
        _ => return None,
    })
}
