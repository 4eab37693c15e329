//! What organisations may hold of something there is only so much of: slots of workers.
//!
//! However much one of them has waiting, the others find room: of `n` that hold slots each may have as many as if there were
//! `n + 1`. So one alone has half, and there is always something free for the next.

use std::{collections::HashMap, hash::Hash};

/// How many slots each organisation holds.
#[derive(Debug)]
pub struct Shares<'a> {
    held: HashMap<&'a str, usize>,
    share: usize,
}

impl<'a> Shares<'a> {
    /// Of so many slots, each of these is held by the organisation it names.
    pub fn new(slots: usize, holders: impl Iterator<Item = &'a str>) -> Self {
        let held = tally(holders);
        let share = slots / (held.len().max(1) + 1);
        Self {
            held,
            share: share.max(1),
        }
    }

    /// How many each may hold; one at least.
    pub fn share(&self) -> usize {
        self.share
    }

    /// Who holds how many.
    pub fn held(&self) -> impl Iterator<Item = (&'a str, usize)> {
        self.held.iter().map(|(org_id, held)| (*org_id, *held))
    }
}

/// How often each comes.
pub fn tally<T: Eq + Hash>(items: impl Iterator<Item = T>) -> HashMap<T, usize> {
    let mut tally = HashMap::new();
    for item in items {
        *tally.entry(item).or_default() += 1;
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each takes as much as it may, in turn; the next one always finds something, until there are as many as slots.
    #[test]
    fn there_is_always_room_for_the_next() {
        const SLOTS: usize = 16;
        let mut held: Vec<String> = Vec::new();
        for org_id in ('a'..).take(4).map(String::from) {
            let shares = Shares::new(SLOTS, held.iter().map(String::as_str));
            let free = SLOTS - held.len();
            assert!(free > 0, "{org_id}");
            let room = shares.share().min(free);
            held.extend(std::iter::repeat_n(org_id, room));
        }
        let one = Shares::new(SLOTS, ["a"; 3].into_iter());
        assert_eq!(one.share(), 8);
        assert_eq!(Vec::from_iter(one.held()), [("a", 3)]);
        assert_eq!(Shares::new(1, std::iter::empty()).share(), 1);
        assert_eq!(Shares::new(2, ["a", "b"].into_iter()).share(), 1);
    }
}
