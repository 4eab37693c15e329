//! Which segments the variables of a template take, and their values in a path.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::path::Reading;
use crate::{
    percent,
    template::{Segment, Template},
};

/// How many variables are captured without asking how many there are.
const USUAL: usize = 4;

/// The segments of the variables of a template, in their order.
#[derive(PartialEq, Eq)]
pub(super) struct Spans {
    /// The first ones, and empty ones behind them.
    usual: [Span; USUAL],
    /// How many of them there are.
    count: usize,
    others: Box<[Span]>,
}

impl Spans {
    pub(super) fn of(template: &Template) -> Self {
        let mut spans = template.variables().iter().map(|variable| {
            let segments = &variable.segments;
            let has_rest = template.segments().get(segments.end - 1) == Some(&Segment::Rest);
            // A template is shorter than a path may be, which is far less than `u16` holds.
            let end = if has_rest {
                u16::MAX
            } else {
                segments.end as u16
            };
            Span {
                start: segments.start as u16,
                end,
                is_multi: variable.is_multi,
            }
        });
        Self {
            usual: std::array::from_fn(|_| spans.next().unwrap_or_default()),
            count: template.variables().len().min(USUAL),
            others: spans.collect(),
        }
    }
}

/// The segments a variable takes, as far as the path has them.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Span {
    start: u16,
    end: u16,
    is_multi: bool,
}

impl Span {
    /// Where its segments lie in a path.
    #[inline]
    fn place(self, path: Reading<'_, '_>) -> Place {
        let end = usize::from(self.end).min(path.count());
        let place = path.range(usize::from(self.start)..end);
        // A path is shorter than `u16` counts.
        Place {
            start: place.start as u16,
            end: place.end as u16,
            is_multi: self.is_multi,
        }
    }
}

/// The values of the variables of a template in a path that matches it. They are decoded when they are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captures<'p> {
    path: &'p str,
    places: SmallVec<[Place; USUAL]>,
    is_escaped: bool,
}

/// Where the value of a variable lies in a path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    start: u16,
    end: u16,
    is_multi: bool,
}

impl<'p> Captures<'p> {
    #[inline]
    pub(super) fn of(spans: &Spans, path: Reading<'_, 'p>) -> Self {
        let mut usual = [Place::default(); USUAL];
        let own = spans.usual.iter().take(spans.count);
        for (place, span) in usual.iter_mut().zip(own) {
            *place = span.place(path);
        }
        let mut places = SmallVec::from_buf_and_len(usual, spans.count);
        if !spans.others.is_empty() {
            places.extend(spans.others.iter().map(|span| span.place(path)));
        }
        Self {
            path: path.text(),
            places,
            is_escaped: path.has_escape(),
        }
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
