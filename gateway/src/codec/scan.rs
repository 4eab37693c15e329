//! A strict JSON scanner (RFC 8259) over text that is known to be UTF-8.
//!
//! Strings without escapes are borrowed. Nothing is parsed twice, and nothing is allocated but for keys with escapes.

use std::borrow::Cow;

use wide::u8x16;

use super::fault::{Problem, Read, fault};
use super::number::number_length;
use super::special::special;

pub(super) struct Scanner<'a> {
    pub(super) json: &'a [u8],
    pub(super) at: usize,
    /// How many more members and elements there may be.
    pub(super) values_left: u32,
    values_max: u32,
    refuse_nul: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(json: &'a [u8], refuse_nul: bool, values_max: u32) -> Self {
        Scanner {
            json,
            at: 0,
            values_left: values_max,
            values_max,
            refuse_nul,
        }
    }

    /// The next byte, 0 at the end: no JSON token starts with it.
    #[inline]
    pub(super) fn peek(&self) -> u8 {
        self.json.get(self.at).copied().unwrap_or(0)
    }

    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.json.get(self.at..).unwrap_or_default()
    }

    #[inline(always)]
    pub(super) fn space(&mut self) {
        // Text written by programs mostly has none.
        if self.peek() <= b' ' {
            self.at = self.json.len() - after_some_space(self.rest()).len();
        }
    }

    pub(super) fn fault<T>(&self, problem: Problem) -> Read<T> {
        fault(self.at, problem)
    }

    /// The fault for a value of another type, or for what is no value at all.
    #[cold]
    pub(super) fn unexpected<T>(&self, expected: &'static str) -> Read<T> {
        match self.peek() {
            b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                self.fault(Problem::Type { expected })
            }
            _ => self.fault(Problem::Syntax("a value")),
        }
    }

    /// Steps into an object or array; `false` when it is empty, and then it is left again.
    #[inline]
    pub(super) fn enter(&mut self, open: u8, expected: &'static str) -> Read<bool> {
        if self.peek() != open {
            return self.unexpected(expected);
        }
        self.at += 1;
        self.space();
        // '}' and ']' are two above '{' and '['.
        if self.peek() == open + 2 {
            self.at += 1;
            return Ok(false);
        }
        self.count()?;
        Ok(true)
    }

    /// One more member or element. It is counted before it is read, at every level.
    #[inline(always)]
    fn count(&mut self) -> Read<()> {
        match self.values_left.checked_sub(1) {
            Some(left) => {
                self.values_left = left;
                Ok(())
            }
            None => self.too_many(self.rest()),
        }
    }

    /// The fault of one more than are allowed, which begins where `rest` does.
    #[cold]
    pub(super) fn too_many<T>(&self, rest: &[u8]) -> Read<T> {
        let limit = self.values_max;
        self.fault_at(rest, Problem::TooMany { limit })
    }

    /// The fault of what begins where `rest` does.
    #[cold]
    pub(super) fn fault_at<T>(&self, rest: &[u8], problem: Problem) -> Read<T> {
        fault(self.json.len() - rest.len(), problem)
    }

    /// After an element: `true` when another one follows, `false` when the object or array was left.
    #[inline(always)]
    pub(super) fn more(&mut self, open: u8) -> Read<bool> {
        self.space();
        let next = self.peek();
        if next == b',' {
            self.at += 1;
            self.space();
            self.count()?;
            Ok(true)
        } else if next == open + 2 {
            self.at += 1;
            Ok(false)
        } else {
            self.fault(Problem::Syntax(if open == b'{' {
                "',' or '}'"
            } else {
                "',' or ']'"
            }))
        }
    }

    #[inline]
    pub(super) fn colon(&mut self) -> Read<()> {
        self.space();
        if self.peek() != b':' {
            return self.fault(Problem::Syntax("':'"));
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    #[inline]
    pub(super) fn literal(&mut self, word: &[u8]) -> Read<()> {
        if !self.rest().starts_with(word) {
            return self.fault(Problem::Syntax("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    #[inline]
    pub(super) fn bool(&mut self) -> Read<bool> {
        match self.peek() {
            b't' => self.literal(b"true").map(|()| true),
            b'f' => self.literal(b"false").map(|()| false),
            _ => self.unexpected("true or false"),
        }
    }

    #[inline]
    pub(super) fn number(&mut self, expected: &'static str) -> Read<&'a [u8]> {
        if !matches!(self.peek(), b'-' | b'0'..=b'9') {
            return self.unexpected(expected);
        }
        let rest = self.rest();
        match number_length(rest) {
            Some(length) => {
                self.at += length;
                Ok(&rest[..length])
            }
            None => self.fault(Problem::Syntax("a number")),
        }
    }

    /// An object's key.
    #[inline]
    pub(super) fn key(&mut self) -> Read<Cow<'a, [u8]>> {
        if self.peek() != b'"' {
            return self.fault(Problem::Syntax("a quoted name"));
        }
        self.string("a string")
    }

    #[inline]
    pub(super) fn string(&mut self, expected: &'static str) -> Read<Cow<'a, [u8]>> {
        if let Some(plain) = self.plain_string(expected)? {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = Vec::new();
        self.unescape(&mut text)?;
        Ok(Cow::Owned(text))
    }

    /// A string without escapes; of one with escapes nothing is taken.
    #[inline(always)]
    pub(super) fn plain_string(&mut self, expected: &'static str) -> Read<Option<&'a [u8]>> {
        if self.peek() != b'"' {
            return self.unexpected(expected);
        }
        let start = self.at + 1;
        let end = special(self.json, start);
        if self.json.get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(Some(&self.json[start..end]));
        }
        Ok(None)
    }

    /// Appends the content of the string that starts here.
    pub(super) fn unescape(&mut self, out: &mut Vec<u8>) -> Read<()> {
        self.escaped(&mut |piece| out.extend_from_slice(piece))
    }

    pub(super) fn escaped(&mut self, take: &mut impl FnMut(&[u8])) -> Read<()> {
        let mut start = self.at + 1;
        loop {
            let end = special(self.json, start);
            take(&self.json[start..end]);
            self.at = end;
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.at += 1;
                    let mut buffer = [0; 4];
                    take(self.escape()?.encode_utf8(&mut buffer).as_bytes());
                    start = self.at;
                }
                _ if end >= self.json.len() => return self.fault(Problem::Syntax("'\"'")),
                _ => {
                    return self.fault(Problem::Syntax(
                        "control characters in strings to be escaped",
                    ));
                }
            }
        }
    }

    /// The character after a backslash.
    fn escape(&mut self) -> Read<char> {
        let escape = self.peek();
        let character = match escape {
            b'"' | b'\\' | b'/' => char::from(escape),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return self.fault(Problem::Syntax("an escape")),
        };
        self.at += 1;
        Ok(character)
    }

    fn unicode_escape(&mut self) -> Read<char> {
        let start = self.at - 1;
        let mut code = self.hex()?;
        if (0xd800..0xdc00).contains(&code) && self.rest().starts_with(b"\\u") {
            self.at += 1;
            let low = self.hex()?;
            if (0xdc00..0xe000).contains(&low) {
                code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            }
        }
        match char::from_u32(code) {
            Some('\0') if self.refuse_nul => fault(start, Problem::Nul),
            Some(character) => Ok(character),
            None => fault(start, Problem::Syntax("surrogates in pairs")),
        }
    }

    /// `u` and four hexadecimal digits.
    fn hex(&mut self) -> Read<u32> {
        let mut code = 0;
        for offset in 1..5 {
            match self
                .json
                .get(self.at + offset)
                .and_then(|&digit| char::from(digit).to_digit(16))
            {
                Some(digit) => code = code << 4 | digit,
                None => return self.fault(Problem::Syntax("four hexadecimal digits")),
            }
        }
        self.at += 5;
        Ok(code)
    }

    /// Nothing but white space may follow the outermost value.
    pub(super) fn end(&mut self) -> Read<()> {
        self.space();
        if self.at < self.json.len() {
            self.fault(Problem::Syntax("the end of the text"))
        } else {
            Ok(())
        }
    }
}

/// The next byte, 0 at the end: no JSON token starts with it.
#[inline(always)]
pub(super) fn first(rest: &[u8]) -> u8 {
    rest.first().copied().unwrap_or(0)
}

/// Text written by programs mostly has no white space.
#[inline(always)]
pub(super) fn after_space(rest: &[u8]) -> &[u8] {
    if first(rest) > b' ' {
        return rest;
    }
    after_some_space(rest)
}

/// Where there is some, it often is a line break and many spaces.
#[inline(never)]
fn after_some_space(mut rest: &[u8]) -> &[u8] {
    while let Some(chunk) = rest.first_chunk() {
        let bytes = u8x16::new(*chunk);
        let is = |byte| bytes.simd_eq(u8x16::splat(byte));
        let spaces = is(b' ') | is(b'\n') | is(b'\r') | is(b'\t');
        let length = (!spaces.to_bitmask()).trailing_zeros() as usize;
        rest = &rest[length..];
        if length < 16 {
            return rest;
        }
    }
    while let [b' ' | b'\n' | b'\r' | b'\t', after @ ..] = rest {
        rest = after;
    }
    rest
}
