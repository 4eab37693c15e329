//! Texts as numbers, so that comparing and hashing them takes neither loops nor branches.

/// The first fifteen bytes of a text, padded with zeros, and its length. Up to [`Key::WHOLE`] bytes that is all of it.
#[derive(Clone, Copy, Default)]
pub(super) struct Key(u128);

impl Key {
    /// The longest text a key says everything about.
    pub(super) const WHOLE: usize = 15;

    /// The key of the text of this length at the start of some bytes, as a number whose lowest byte is the first.
    #[inline]
    pub(super) fn new(bytes: u128, length: usize) -> Self {
        // What to keep, by length: a load instead of a branch.
        const KEPT: [u128; Key::WHOLE + 1] = {
            let mut kept = [0; Key::WHOLE + 1];
            let mut length = 1;
            while length <= Key::WHOLE {
                kept[length] = kept[length - 1] << 8 | 0xFF;
                length += 1;
            }
            kept
        };
        let kept = KEPT.get(length.min(Self::WHOLE)).copied();
        let text = bytes & kept.unwrap_or_default();
        // Longer texts are compared themselves, so their lengths may be cut short.
        Self(text | u128::from(length.min(255) as u8) << (8 * Self::WHOLE))
    }

    pub(super) fn of(text: &str) -> Self {
        let mut padded = [0; 16];
        for (to, from) in padded.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        Self::new(u128::from_le_bytes(padded), text.len())
    }

    /// A hash that is to be added to others. What is hashed are a surface's own literals, which nobody chooses to collide.
    #[inline]
    pub(super) fn hash(self, position: usize) -> u64 {
        let mixed = self.0 as u64 ^ ((self.0 >> 64) as u64).rotate_left(29);
        mixed.wrapping_mul(ODD.rotate_left(5 * position as u32) | 1)
    }

    /// Zero for the same key.
    #[inline]
    pub(super) fn difference(self, other: Self) -> u128 {
        self.0 ^ other.0
    }
}

/// Spreads what is multiplied by it over the upper bits.
pub(super) const ODD: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of every length around the borders of a key, alike but for one byte, and none with what lies behind it.
    #[test]
    fn a_key_is_the_text_up_to_its_whole_length() {
        let texts = (0..=Key::WHOLE).flat_map(|length| {
            let plain = vec![b'a'; length];
            let changed = (0..length).map(move |at| {
                let mut text = vec![b'a'; length];
                text[at] = 0;
                text
            });
            std::iter::once(plain).chain(changed)
        });
        let texts: Vec<String> = texts.map(|text| String::from_utf8(text).unwrap()).collect();
        for one in &texts {
            let mut behind = [b'/'; 16];
            behind[..one.len()].copy_from_slice(one.as_bytes());
            let read = Key::new(u128::from_le_bytes(behind), one.len());
            for other in &texts {
                let differs = read.difference(Key::of(other)) != 0;
                assert_eq!(differs, one != other, "{one:?} {other:?}");
            }
        }
        let long = Key::of(&"a".repeat(Key::WHOLE + 1));
        assert!(texts.iter().all(|text| long.difference(Key::of(text)) != 0));
    }
}
