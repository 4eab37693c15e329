//! Stepping over values that are not taken apart: ignored members, and free JSON carried as it is.
//!
//! Free JSON is often the longest part of a text, so this is one loop over what is left of it. Text written by programs has
//! names and values shorter than sixteen bytes, no white space and no escapes: that is looked for first, a token and what
//! follows it at once. The rest is left to the scanner.

use super::fault::{Problem, Read};
use super::number::usual_number_length;
use super::scan::{Scanner, after_space, first};
use super::special::{special, specials_of_16};

impl<'a> Scanner<'a> {
    /// Steps over any value; `depth` more levels are allowed in it.
    pub(super) fn skip(&mut self, depth: u32) -> Read<()> {
        if !matches!(self.peek(), b'{' | b'[') {
            return self.skip_scalar();
        }
        let levels_max = depth.min(Nest::MAX);
        let mut nest = Nest::new();
        let mut values_left = self.values_left;
        let mut rest = self.rest();
        'values: loop {
            if nest.in_object() {
                rest = match after_usual_name(rest) {
                    Some(value) => value,
                    None => self.after_name(rest)?,
                };
            }
            let next = first(rest);
            if let open @ (b'{' | b'[') = next {
                if nest.levels >= levels_max {
                    return self.fault_at(rest, Problem::TooDeep);
                }
                nest.push(open);
                rest = after_space(&rest[1..]);
                if first(rest) != nest.close() {
                    values_left = self.one_less(values_left, rest)?;
                    continue;
                }
            } else {
                rest = match after_usual_scalar(next, rest) {
                    Some(after) => after,
                    None => self.after_scalar(rest)?,
                };
            }
            loop {
                if let Some(value) = after_usual_comma(rest) {
                    rest = value;
                    break;
                }
                rest = after_space(rest);
                let next = first(rest);
                if next == b',' {
                    rest = after_space(&rest[1..]);
                    break;
                }
                if next != nest.close() {
                    return self.fault_at(rest, Problem::Syntax(nest.comma_or_close()));
                }
                rest = &rest[1..];
                if nest.pop() {
                    break 'values;
                }
            }
            values_left = self.one_less(values_left, rest)?;
        }
        self.at = self.json.len() - rest.len();
        self.values_left = values_left;
        Ok(())
    }

    /// A member or element that begins where `rest` does is counted, before it is read.
    #[inline(always)]
    fn one_less(&self, values_left: u32, rest: &[u8]) -> Read<u32> {
        match values_left.checked_sub(1) {
            Some(left) => Ok(left),
            None => self.too_many(rest),
        }
    }

    /// What follows a name, its colon and white space.
    #[inline(never)]
    fn after_name(&mut self, rest: &[u8]) -> Read<&'a [u8]> {
        self.at = self.json.len() - rest.len();
        if self.peek() != b'"' {
            return self.fault(Problem::Syntax("a quoted name"));
        }
        self.skip_string()?;
        self.colon()?;
        Ok(self.rest())
    }

    #[inline(never)]
    fn after_scalar(&mut self, rest: &[u8]) -> Read<&'a [u8]> {
        self.at = self.json.len() - rest.len();
        self.skip_scalar()?;
        Ok(self.rest())
    }

    fn skip_scalar(&mut self) -> Read<()> {
        match self.peek() {
            b'"' => self.skip_string(),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => self.number("a value").map(drop),
        }
    }

    fn skip_string(&mut self) -> Read<()> {
        let end = special(self.json, self.at + 1);
        if self.json.get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(());
        }
        self.escaped(&mut |_| {})
    }
}

/// Bytes that show a string of up to fifteen bytes with its quotes, and what follows it.
type Window = [u8; 20];

/// What follows a short name without escapes, its colon and at most one space.
#[inline(always)]
fn after_usual_name(rest: &[u8]) -> Option<&[u8]> {
    let window: &Window = rest.first_chunk()?;
    let end = short_string_end(window)?;
    if window[0] != b'"' || window[end..end + 2] != *b"\":" {
        None
    } else if window[end + 2] > b' ' {
        rest.get(end + 2..)
    } else if window[end + 2] == b' ' && window[end + 3] > b' ' {
        rest.get(end + 3..)
    } else {
        None
    }
}

/// What follows a literal, a short string without escapes or a short number. `next` is the first byte.
#[inline(always)]
fn after_usual_scalar(next: u8, rest: &[u8]) -> Option<&[u8]> {
    match next {
        b'"' => {
            let window: &Window = rest.first_chunk()?;
            let Some(end) = short_string_end(window) else {
                return after_long_string(rest);
            };
            if window[end] == b'"' {
                rest.get(end + 1..)
            } else {
                None
            }
        }
        b'f' | b'n' | b't' => after_literal(rest),
        _ => rest.get(usual_number_length(next, rest.first_chunk()?)?..),
    }
}

/// The same for a string that does not end within sixteen bytes.
#[inline(never)]
fn after_long_string(rest: &[u8]) -> Option<&[u8]> {
    let end = special(rest, 17);
    if rest.get(end) == Some(&b'"') {
        rest.get(end + 1..)
    } else {
        None
    }
}

/// Where, after a quote, the first byte is that ends or interrupts a string, if it is among the next sixteen.
#[inline(always)]
fn short_string_end(window: &Window) -> Option<usize> {
    let hits = specials_of_16(window[1..].first_chunk()?);
    // The mask changes nothing; it tells the compiler that the place is within the window.
    (hits != 0).then(|| 1 + (hits.trailing_zeros() as usize & 15))
}

#[inline(always)]
fn after_literal(rest: &[u8]) -> Option<&[u8]> {
    let word = |text: &[u8; 4]| u32::from_le_bytes(*text);
    let (start, after) = rest.split_first_chunk()?;
    let start = word(start);
    if start == word(b"true") || start == word(b"null") {
        Some(after)
    } else if start == word(b"fals") && first(after) == b'e' {
        after.get(1..)
    } else {
        None
    }
}

/// What follows a comma, unless that is white space.
#[inline(always)]
fn after_usual_comma(rest: &[u8]) -> Option<&[u8]> {
    match *rest {
        [b',', next, ..] if next > b' ' => rest.get(1..),
        _ => None,
    }
}

/// Which objects and arrays a value is in.
struct Nest {
    levels: u32,
    /// The innermost of them, one bit each below the highest 1: an array is 1, and the innermost of all is the lowest.
    inner: u64,
    outer: Outer,
}

impl Nest {
    const MAX: u32 = 256;
    /// No level: not an object's either.
    const EMPTY: u64 = 1;

    fn new() -> Self {
        Nest {
            levels: 0,
            inner: Self::EMPTY,
            outer: Outer {
                full: [0; 4],
                length: 0,
            },
        }
    }

    /// There are fewer levels than [`Nest::MAX`].
    #[inline(always)]
    fn push(&mut self, open: u8) {
        if self.inner >> 63 == 1 {
            self.outer.keep(self.inner);
            self.inner = Self::EMPTY;
        }
        self.inner = self.inner << 1 | u64::from(open == b'[');
        self.levels += 1;
    }

    /// There is a level; whether there is none any more.
    #[inline(always)]
    fn pop(&mut self) -> bool {
        self.levels -= 1;
        self.inner >>= 1;
        if self.inner != Self::EMPTY {
            return false;
        }
        match self.outer.last() {
            Some(full) => self.inner = full,
            None => return true,
        }
        false
    }

    #[inline(always)]
    fn in_object(&self) -> bool {
        self.inner & 1 == 0
    }

    /// The bracket that ends the innermost one.
    #[inline(always)]
    fn close(&self) -> u8 {
        if self.in_object() { b'}' } else { b']' }
    }

    #[inline(always)]
    fn comma_or_close(&self) -> &'static str {
        if self.in_object() {
            "',' or '}'"
        } else {
            "',' or ']'"
        }
    }
}

/// What `inner` was whenever it was full.
struct Outer {
    full: [u64; 4],
    length: usize,
}

impl Outer {
    #[cold]
    fn keep(&mut self, full: u64) {
        self.full[self.length % 4] = full;
        self.length += 1;
    }

    #[cold]
    fn last(&mut self) -> Option<u64> {
        self.length = self.length.checked_sub(1)?;
        Some(self.full[self.length % 4])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The opening and closing brackets of so many levels, objects and arrays by turns that differ from level to level.
    fn brackets(levels: usize) -> (String, Vec<u8>) {
        let is_object = |level: usize| level * level % 7 < 3;
        let open = (0..levels).map(|level| if is_object(level) { "{\"a\":" } else { "[" });
        let close = (0..levels).map(|level| if is_object(level) { b'}' } else { b']' });
        (open.collect(), close.rev().collect())
    }

    fn skipped(text: &[u8], depth: u32) -> Result<usize, (usize, Problem)> {
        let mut scanner = Scanner::new(text, false, u32::MAX);
        match scanner.skip(depth) {
            Ok(()) => Ok(scanner.at),
            Err(fault) => Err((fault.offset, fault.problem)),
        }
    }

    #[test]
    fn brackets_are_matched_on_every_level() {
        for levels in 1..=256 {
            let (open, close) = brackets(levels);
            let text = [open.as_bytes(), b"0", &close].concat();
            assert_eq!(skipped(&text, 1000), Ok(text.len()));
            for place in open.len() + 1..text.len() {
                let mut other = text.clone();
                other[place] ^= b'}' ^ b']';
                let expected = if text[place] == b'}' {
                    "',' or '}'"
                } else {
                    "',' or ']'"
                };
                assert_eq!(
                    skipped(&other, 1000),
                    Err((place, Problem::Syntax(expected)))
                );
            }
        }
        let (open, _) = brackets(257);
        let last = open.rfind(['{', '[']).map(|at| (at, Problem::TooDeep));
        assert_eq!(skipped(open.as_bytes(), 1000).err(), last);
    }
}
