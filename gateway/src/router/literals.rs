//! The literal children of a trie node, by their decoded text.
//!
//! A text of up to sixteen bytes is two numbers and its length, so finding a child compares integers in one cache line
//! instead of calling out to compare bytes; a longer text is compared only where those agree.

use smallvec::SmallVec;

use crate::percent::DecodedBytes;

/// Up to this many, comparing one by one is faster than hashing.
const FEW: usize = 6;

/// No child, in `Literals::table`.
const VACANT: u32 = u32::MAX;

/// The first eight bytes of a text, its last eight, and its length. Up to [`Key::WHOLE`] bytes that is all of it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    first: u64,
    last: u64,
    length: u32,
}

impl Key {
    /// The longest text a key says everything about.
    const WHOLE: usize = 16;

    #[inline]
    fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        // A path and a template are far shorter than 4 GiB.
        let length = bytes.len() as u32;
        if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            return Self {
                first: u64::from_le_bytes(*first),
                last: u64::from_le_bytes(*last),
                length,
            };
        }
        if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            return Self {
                first: u64::from(u32::from_le_bytes(*first)),
                last: u64::from(u32::from_le_bytes(*last)),
                length,
            };
        }
        let first = bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Self {
            first,
            last: 0,
            length,
        }
    }

    /// The keys hashed are the surface's own, so nobody can choose them to collide.
    #[inline]
    fn hash(self) -> usize {
        const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
        let mixed =
            (self.first ^ self.last.rotate_left(29) ^ u64::from(self.length)).wrapping_mul(ODD);
        (mixed >> 32) as usize
    }
}

#[derive(Clone, Copy)]
struct Child {
    key: Key,
    node: u32,
}

#[derive(Default)]
pub(super) struct Literals {
    children: SmallVec<[Child; 1]>,
    /// The texts of `children`.
    texts: Vec<Box<str>>,
    /// Once the children are many, their indices at the places their hashes say or next behind. Its size is a power of
    /// two and at least half of it is vacant, so a search ends soon.
    table: Box<[u32]>,
}

impl Literals {
    /// Adds a child whose text is not there yet.
    pub(super) fn insert(&mut self, text: &str, node: u32) {
        self.children.push(Child {
            key: Key::of(text),
            node,
        });
        self.texts.push(text.into());
        if self.children.len() > FEW {
            self.fill_table();
        }
    }

    fn fill_table(&mut self) {
        if self.table.len() >= 2 * self.children.len() {
            let newest = self.children.len() - 1;
            return self.place(newest);
        }
        self.table = vec![VACANT; (4 * self.children.len()).next_power_of_two()].into();
        for index in 0..self.children.len() {
            self.place(index);
        }
    }

    fn place(&mut self, index: usize) {
        let Some(child) = self.children.get(index) else {
            return;
        };
        let mask = self.table.len() - 1;
        let mut at = child.key.hash() & mask;
        while let Some(slot) = self.table.get_mut(at) {
            if *slot == VACANT {
                // As many as a surface has routes with segments each; `u32` holds them.
                *slot = index as u32;
                return;
            }
            at = (at + 1) & mask;
        }
    }

    #[inline]
    pub(super) fn get(&self, text: &str) -> Option<u32> {
        if self.children.is_empty() {
            return None;
        }
        let key = Key::of(text);
        if self.children.len() <= FEW {
            let mut children = self.children.iter().enumerate();
            return children
                .find(|(index, child)| child.key == key && self.is_text(*index, text))
                .map(|(_, child)| child.node);
        }
        let mask = self.table.len() - 1;
        let mut at = key.hash() & mask;
        loop {
            let index = *self.table.get(at)? as usize;
            // A vacant place is the number of no child.
            let child = self.children.get(index)?;
            if child.key == key && self.is_text(index, text) {
                return Some(child.node);
            }
            at = (at + 1) & mask;
        }
    }

    /// Whether the text of a child whose key is that of `text` is `text`.
    #[inline]
    fn is_text(&self, index: usize, text: &str) -> bool {
        text.len() <= Key::WHOLE || self.texts.get(index).is_some_and(|own| **own == *text)
    }

    /// The child whose text a percent-encoded segment stands for. Escapes in literals are seldom, so all are compared;
    /// nothing has to be decoded into memory of its own.
    #[cold]
    pub(super) fn get_escaped(&self, segment: &str) -> Option<u32> {
        let index = self.texts.iter().position(|text| {
            text.len() < segment.len() && text.bytes().eq(DecodedBytes::new(segment))
        })?;
        self.children.get(index).map(|child| child.node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of every length around the borders of a key, differing in one byte each, few and many.
    #[test]
    fn finds_each_text_and_no_other() {
        for count in [1, FEW, FEW + 1, 300] {
            let mut literals = Literals::default();
            let text = |n: usize| {
                let mut bytes = vec![b'a'; 1 + n % 40];
                let at = n / 40 % bytes.len();
                bytes[at] = b'b' + u8::try_from(n / 40).unwrap();
                String::from_utf8(bytes).unwrap()
            };
            let mut texts: Vec<String> = (0..count).map(text).collect();
            texts.sort();
            texts.dedup();
            for (node, text) in texts.iter().enumerate() {
                assert_eq!(literals.get(text), None, "{text}");
                literals.insert(text, node as u32);
            }
            for (node, text) in texts.iter().enumerate() {
                assert_eq!(literals.get(text), Some(node as u32), "{text}");
                assert_eq!(literals.get(&format!("{text}z")), None, "{text}");
                let escaped: String = text.bytes().map(|b| format!("%{b:02x}")).collect();
                assert_eq!(literals.get_escaped(&escaped), Some(node as u32), "{text}");
            }
            assert_eq!(literals.get(""), None);
        }
    }
}
