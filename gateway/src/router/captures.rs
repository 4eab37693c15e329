//! Which segments the variables of a template take, and their values in a path.

use std::{borrow::Cow, ops::Range};

use smallvec::SmallVec;

use super::path::Reading;
use crate::{
    percent,
    template::{Segment, Template},
};

/// The segments of the variables of a template, in their order.
pub(super) type Spans = SmallVec<[Span; 4]>;

/// The segments a variable takes.
#[derive(Clone, Copy)]
pub(super) struct Span {
    start: u16,
    /// None for a variable that ends in `**`.
    end: Option<u16>,
    is_multi: bool,
}

impl Span {
    #[inline]
    fn segments(&self, path: Reading<'_, '_>) -> Range<usize> {
        let end = self.end.map_or(path.count(), usize::from);
        usize::from(self.start)..end
    }
}

pub(super) fn spans(template: &Template) -> Spans {
    let variables = template.variables().iter();
    variables
        .map(|variable| {
            let segments = &variable.segments;
            let has_rest = template.segments().get(segments.end - 1) == Some(&Segment::Rest);
            // A template is shorter than a path may be, which is far less than `u16` holds.
            Span {
                start: segments.start as u16,
                end: (!has_rest).then_some(segments.end as u16),
                is_multi: variable.is_multi,
            }
        })
        .collect()
}

/// The values of the variables of a template in a path that matches it. They are decoded when they are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captures<'p> {
    path: &'p str,
    places: SmallVec<[Place; 4]>,
    is_escaped: bool,
}

/// Where the value of a variable lies in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    start: u16,
    end: u16,
    is_multi: bool,
}

impl<'p> Captures<'p> {
    #[inline]
    pub(super) fn of(spans: &[Span], path: Reading<'_, 'p>) -> Self {
        let place = |span: &Span| {
            let place = path.range(span.segments(path));
            // A path is shorter than `u16` counts.
            Place {
                start: place.start as u16,
                end: place.end as u16,
                is_multi: span.is_multi,
            }
        };
        let mut captures = Self {
            path: path.text(),
            places: SmallVec::new(),
            is_escaped: path.has_escape(),
        };
        for span in spans {
            captures.places.push(place(span));
        }
        captures
    }

    /// The values in the order of [`Template::variables`], percent-decoded. What lies behind the end of the path, as the
    /// segments of a `**` that matched nothing do, is empty.
    pub fn values(&self) -> impl Iterator<Item = Cow<'p, str>> {
        self.places.iter().map(|place| {
            let place_in_path = usize::from(place.start)..usize::from(place.end);
            let raw = self.path.get(place_in_path).unwrap_or_default();
            match (self.is_escaped, place.is_multi) {
                (false, _) => Cow::Borrowed(raw),
                (true, false) => percent::decode(raw),
                (true, true) => percent::decode_except_slash(raw),
            }
        })
    }
}
