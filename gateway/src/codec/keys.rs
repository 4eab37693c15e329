//! Which keys a map has had: duplicates are errors in JSON and unusual on the wire.

use std::borrow::Cow;
use std::collections::HashSet;

use foldhash::fast::RandomState;

use super::value::Value;

/// Maps up to this size need no allocation.
const INLINE: usize = 8;

/// A map key by value, however it was written.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Key<'a> {
    Number(Value),
    Text(Cow<'a, [u8]>),
}

/// The keys seen so far. Clients choose them, so the hash is seeded at random.
pub(super) struct Keys<'a> {
    few: [Option<Key<'a>>; INLINE],
    count: usize,
    many: Option<HashSet<Key<'a>, RandomState>>,
}

impl<'a> Keys<'a> {
    pub(super) fn new() -> Self {
        Keys {
            few: [const { None }; INLINE],
            count: 0,
            many: None,
        }
    }

    /// `false` when the key was there already.
    pub(super) fn insert(&mut self, key: Key<'a>) -> bool {
        if let Some(many) = &mut self.many {
            return many.insert(key);
        }
        if self.few[..self.count]
            .iter()
            .flatten()
            .any(|seen| *seen == key)
        {
            return false;
        }
        if let Some(slot) = self.few.get_mut(self.count) {
            *slot = Some(key);
            self.count += 1;
        } else {
            let mut many: HashSet<_, _> = self.few.iter_mut().filter_map(Option::take).collect();
            many.insert(key);
            self.many = Some(many);
        }
        true
    }
}
