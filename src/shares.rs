//! What organisations may hold of something there is only so much of: slots of workers.
//!
//! However much one of them has waiting, the next finds room: nobody takes more than half of what is free, and nobody takes
//! any more who holds as much as is free. So one alone has half of the slots, two a third each, and as soon as somebody
//! comes who has none, those who have most take none until it has.

use std::collections::HashMap;

/// How many slots each organisation holds, and how many are free.
#[derive(Debug)]
pub struct Shares<'a> {
    free: usize,
    held: HashMap<&'a str, usize>,
}

impl<'a> Shares<'a> {
    /// So many slots are free; each of these is held by the organisation it names.
    pub fn new(free: usize, holders: impl Iterator<Item = &'a str>) -> Self {
        let mut held = HashMap::new();
        for org_id in holders {
            *held.entry(org_id).or_default() += 1;
        }
        Self { free, held }
    }

    /// How many may be taken at once, by whomever; none when none is free.
    pub fn at_once(&self) -> usize {
        self.free.div_ceil(2)
    }

    /// How many more an organisation may take that holds none.
    pub fn room_of_new(&self) -> usize {
        self.at_once()
    }

    /// Those that may take none.
    pub fn full(&self) -> impl Iterator<Item = &'a str> {
        let full = self.rooms().filter(|(_, room)| *room == 0);
        full.map(|(org_id, _)| org_id)
    }

    /// How many more those may take that hold some.
    pub fn rooms(&self) -> impl Iterator<Item = (&'a str, usize)> {
        let room = |held: usize| self.free.saturating_sub(held) / 2;
        self.held
            .iter()
            .map(move |(org_id, held)| (*org_id, room(*held)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOTS: usize = 16;

    /// Takes what it may, as often as it may; how much it has then.
    fn take(held: &mut Vec<String>, org_id: &str) -> usize {
        loop {
            let shares = Shares::new(SLOTS - held.len(), held.iter().map(String::as_str));
            let room = shares.rooms().find(|(id, _)| *id == org_id);
            let room = room.map_or(shares.room_of_new(), |(_, room)| room);
            let taken = room.min(shares.at_once());
            held.extend(std::iter::repeat_n(org_id.to_owned(), taken));
            if taken == 0 {
                return held.iter().filter(|id| *id == org_id).count();
            }
        }
    }

    #[test]
    fn there_is_room_for_the_next() {
        let mut held = Vec::new();
        let all = ["a", "b", "c", "d", "e"];
        assert_eq!(all.map(|id| take(&mut held, id)), [8, 4, 2, 1, 1]);
    }

    #[test]
    fn those_who_want_all_the_time_end_with_as_much() {
        let mut held = Vec::new();
        take(&mut held, "a");
        take(&mut held, "b");
        // The oldest ends, and both want what is free.
        for _ in 0..100 {
            held.remove(0);
            take(&mut held, "a");
            take(&mut held, "b");
        }
        let of = |id: &str| held.iter().filter(|one| *one == id).count();
        assert!((4..=6).contains(&of("a")), "{held:?}");
        assert!((4..=6).contains(&of("b")), "{held:?}");
        assert!(held.len() < SLOTS);
    }

    #[test]
    fn a_single_slot_is_for_anybody() {
        let one = Shares::new(1, std::iter::empty());
        assert_eq!((one.at_once(), one.room_of_new()), (1, 1));
        let none = Shares::new(0, ["a"].into_iter());
        assert_eq!((none.at_once(), none.room_of_new()), (0, 0));
        assert_eq!(Vec::from_iter(none.rooms()), [("a", 0)]);
        assert_eq!(Vec::from_iter(none.full()), ["a"]);
    }
}
