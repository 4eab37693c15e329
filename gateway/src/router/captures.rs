//! Which segments the variables of a template take, and their values in a path.

use std::{borrow::Cow, ops::Range};

use smallvec::SmallVec;

use super::{Capture, Captures, path::Reading};
use crate::template::{Segment, Template};

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

/// The values of the variables in a path that matches.
#[inline]
pub(super) fn captures<'p>(spans: &[Span], path: Reading<'_, 'p>) -> Captures<'p> {
    let mut captures = Captures::new();
    if path.has_escape() {
        captures.extend(decoded(spans, path));
        return captures;
    }
    for (variable, span) in spans.iter().enumerate() {
        captures.push(Capture {
            variable,
            value: Cow::Borrowed(path.raw(span.segments(path))),
        });
    }
    captures
}

/// Apart, so that values which need no decoding are not written twice.
#[cold]
fn decoded<'p>(spans: &[Span], path: Reading<'_, 'p>) -> Captures<'p> {
    let values = spans.iter().enumerate().map(|(variable, span)| Capture {
        variable,
        value: path.value(span.segments(path), span.is_multi),
    });
    values.collect()
}
