//! The search for what ends or interrupts a string: the innermost loop of reading and of printing text.

use wide::u8x16;

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The first quote, backslash or control byte at or after `at`, or the end.
#[inline(always)]
pub(super) fn special(text: &[u8], at: usize) -> usize {
    // Most strings end within sixteen bytes.
    match chunk(text, at) {
        Some(next) => match specials_of_16(next) {
            0 => special_further(text, at + 16),
            hits => at + hits.trailing_zeros() as usize,
        },
        None => special_in_rest(text, at),
    }
}

#[inline(always)]
fn chunk<const N: usize>(text: &[u8], at: usize) -> Option<&[u8; N]> {
    text.get(at..).and_then(|rest| rest.first_chunk())
}

/// Sixteen bytes a step, and after a few such steps sixty-four.
fn special_further(text: &[u8], mut at: usize) -> usize {
    let wide_from = at + 32;
    while let Some(next) = chunk(text, at) {
        let hits = specials_of_16(next);
        if hits != 0 {
            return at + hits.trailing_zeros() as usize;
        }
        at += 16;
        if at >= wide_from {
            while chunk(text, at).is_some_and(is_plain_64) {
                at += 64;
            }
        }
    }
    special_in_rest(text, at)
}

/// Fewer than sixteen bytes are left, so the last ones are looked at together with those before them.
fn special_in_rest(text: &[u8], mut at: usize) -> usize {
    if at >= text.len() {
        return at;
    }
    if let Some(last) = text.last_chunk() {
        let hits = specials_of_16(last) >> (at + 16 - text.len());
        return match hits {
            0 => text.len(),
            _ => at + hits.trailing_zeros() as usize,
        };
    }
    if let Some(next) = chunk(text, at) {
        match specials_of_8(u64::from_le_bytes(*next)) {
            0 => at += 8,
            hits => return at + (hits.trailing_zeros() / 8) as usize,
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

/// One bit a byte, the lowest for the first.
#[inline(always)]
pub(super) fn specials_of_16(chunk: &[u8; 16]) -> u32 {
    special_lanes(u8x16::new(*chunk)).to_bitmask()
}

#[inline(always)]
fn is_plain_64(wide: &[u8; 64]) -> bool {
    let (quarters, _) = wide.as_chunks();
    let hits = quarters
        .iter()
        .map(|quarter| special_lanes(u8x16::new(*quarter)));
    hits.fold(u8x16::splat(0), |all, some| all | some)
        .to_bitmask()
        == 0
}

/// All ones where the byte is one.
#[inline(always)]
fn special_lanes(bytes: u8x16) -> u8x16 {
    // With this bit turned the quote comes next to the control bytes, and nothing else comes there: one comparison less.
    let turned = bytes ^ u8x16::splat(2);
    turned.simd_eq(turned.min(u8x16::splat(0x20))) | bytes.simd_eq(u8x16::splat(b'\\'))
}

/// The high bit of each byte that is one, and perhaps of some after the first.
#[inline(always)]
fn specials_of_8(word: u64) -> u64 {
    let quote = word ^ (LOW * 0x22);
    let backslash = word ^ (LOW * 0x5c);
    // A byte below its subtrahend borrows into its high bit; borrows only reach bytes above the first hit.
    let hits = (quote.wrapping_sub(LOW) & !quote)
        | (backslash.wrapping_sub(LOW) & !backslash)
        | (word.wrapping_sub(LOW * 0x20) & !word);
    hits & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte at every place of texts of every length around the steps, behind every start.
    #[test]
    fn every_place_is_found() {
        for length in (0..70).chain(95..99).chain(126..150) {
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
                for length in [8, 16, 64] {
                    let mut text = vec![b'a'; length];
                    text[length - 7] = first;
                    text[length - 6] = second;
                    let slow = text.iter().position(|&byte| !is_plain(byte));
                    assert_eq!(
                        special(&text, 0),
                        slow.unwrap_or(length),
                        "{first} {second}"
                    );
                }
            }
        }
    }
}
