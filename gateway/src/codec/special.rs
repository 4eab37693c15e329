//! The search for what ends or interrupts a string: the innermost loop of reading and of printing text.

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The first quote, backslash or control byte at or after `at`, or the end.
#[inline(always)]
pub(super) fn special(text: &[u8], at: usize) -> usize {
    // Most strings end within eight bytes or a few more.
    match text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        Some(chunk) => match special_of_8(chunk) {
            Some(offset) => at + offset,
            None => special_further(text, at + 8),
        },
        None => special_further(text, at),
    }
}

/// Eight bytes a step, and after a few such steps thirty-two.
fn special_further(text: &[u8], mut at: usize) -> usize {
    let wide_from = at + 24;
    while let Some(chunk) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        if let Some(offset) = special_of_8(chunk) {
            return at + offset;
        }
        at += 8;
        if at >= wide_from {
            while let Some(wide) = text.get(at..).and_then(|rest| rest.first_chunk::<32>()) {
                if has_special(wide) {
                    break;
                }
                at += 32;
            }
        }
    }
    while text.get(at).is_some_and(|&byte| is_plain(byte)) {
        at += 1;
    }
    at
}

fn is_plain(byte: u8) -> bool {
    byte != b'"' && byte != b'\\' && byte >= 0x20
}

/// Byte by byte without a branch and into an array, which the compiler turns into vector instructions.
#[inline]
fn has_special(wide: &[u8; 32]) -> bool {
    let mut found = [0u8; 32];
    for (found, &byte) in found.iter_mut().zip(wide) {
        *found = u8::from(byte == b'"') | u8::from(byte == b'\\') | u8::from(byte < 0x20);
    }
    found != [0; 32]
}

#[inline(always)]
fn special_of_8(chunk: &[u8; 8]) -> Option<usize> {
    let word = u64::from_le_bytes(*chunk);
    let quote = word ^ (LOW * 0x22);
    let backslash = word ^ (LOW * 0x5c);
    // A byte below its subtrahend borrows into its high bit; borrows only reach bytes above the first hit.
    let hits = (quote.wrapping_sub(LOW) & !quote)
        | (backslash.wrapping_sub(LOW) & !backslash)
        | (word.wrapping_sub(LOW * 0x20) & !word);
    let hits = hits & HIGH;
    (hits != 0).then_some((hits.trailing_zeros() / 8) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte at every place of texts of every length around the steps, behind every start.
    #[test]
    fn every_place_is_found() {
        for length in (0..70).chain(95..99) {
            for byte in [
                b'"', b'\\', 0, 0x1f, 0x20, b'!', 0x7f, 0x80, 0xa2, 0xdc, 0xff,
            ] {
                for place in 0..length {
                    let mut text = vec![b'a'; length];
                    text[place] = byte;
                    for start in [0, 1, 7, 8, 9, 33] {
                        let from = start.min(length);
                        let slow = text[from..].iter().position(|&byte| !is_plain(byte));
                        let expected = slow.map_or(length, |offset| from + offset);
                        assert_eq!(
                            special(&text, from),
                            expected,
                            "{byte} at {place} of {length}"
                        );
                    }
                }
            }
        }
    }

    /// A byte below its subtrahend must not hide or invent hits beside it.
    #[test]
    fn neighbours_do_not_disturb_one_another() {
        for first in 0..=255u8 {
            for second in 0..=255u8 {
                let chunk = [b'a', first, second, b'a', b'a', b'a', b'a', b'a'];
                let expected = chunk.iter().position(|&byte| !is_plain(byte));
                assert_eq!(special_of_8(&chunk), expected, "{first} {second}");
            }
        }
    }
}
