//! The literal children of a trie node, by their decoded text.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::percent::DecodedBytes;

/// Up to this many, comparing one by one is faster than hashing: most texts differ in length already.
const FEW: usize = 6;

#[derive(Default)]
pub(super) struct Literals {
    children: Vec<(Box<str>, usize)>,
    /// All of `children`, once they are many. The keys are the surface's own, so nobody can choose them to collide.
    by_text: HashMap<Box<str>, usize, FixedState>,
}

impl Literals {
    /// Adds a child whose text is not there yet.
    pub(super) fn insert(&mut self, text: &str, child: usize) {
        self.children.push((text.into(), child));
        if self.children.len() > FEW {
            let missing = self.children.iter().skip(self.by_text.len());
            self.by_text.extend(missing.cloned());
        }
    }

    #[inline]
    pub(super) fn get(&self, text: &str) -> Option<usize> {
        if self.children.len() > FEW {
            return self.by_text.get(text).copied();
        }
        self.first(|other| other == text)
    }

    /// The child whose text a percent-encoded segment stands for. Escapes in literals are seldom, so all are compared;
    /// nothing has to be decoded into memory of its own.
    #[cold]
    pub(super) fn get_escaped(&self, segment: &str) -> Option<usize> {
        self.first(|text| text.len() < segment.len() && text.bytes().eq(DecodedBytes::new(segment)))
    }

    #[inline]
    fn first(&self, is_wanted: impl Fn(&str) -> bool) -> Option<usize> {
        let mut children = self.children.iter();
        children
            .find(|(text, _)| is_wanted(text))
            .map(|(_, child)| *child)
    }
}
