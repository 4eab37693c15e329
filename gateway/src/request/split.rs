//! Takes JSON values out of a stream that arrives in pieces of any size: one a line, the elements of one array, or simply
//! one after the other.
//!
//! Only the ends of values are found here, in time linear in the input; whether a value is well-formed is the codec's to say.

use bytes::{Buf, Bytes, BytesMut};

/// How values stand in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One a line; empty lines are skipped.
    Lines,
    /// The elements of an array, or values one after the other: the first character tells.
    Values,
}

/// Why a stream cannot be taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SplitFault {
    #[error("a value is longer than {limit} bytes")]
    TooLong { limit: usize },
    #[error("a comma or the end of the array is missing")]
    NoComma,
    #[error("a value is missing before or after a comma")]
    NoValue,
    #[error("something follows the end of the array")]
    Trailing,
    #[error("a bracket closes what was not opened")]
    Unopened,
    #[error("the stream ends within a value or the array")]
    Cut,
}

/// Where the scanner stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first character.
    Start,
    /// Between values of a sequence.
    Between,
    /// In an array; whether a value or a comma comes next, and whether `]` may.
    Element {
        may_end: bool,
    },
    Comma,
    /// In an object, array or string.
    Nested,
    /// In a number or a word.
    Scalar,
    /// Behind the array.
    End,
}

/// Takes values out of pieces. After each [`push`](Self::push), call [`next`](Self::next) until it has no more.
#[derive(Debug)]
pub(crate) struct Splitter {
    layout: Layout,
    limit: usize,
    state: State,
    is_array: bool,
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    piece: Bytes,
    /// The start of a value whose end has not come.
    partial: BytesMut,
}

impl Splitter {
    /// `limit` is the most bytes of one value.
    pub(crate) fn new(layout: Layout, limit: usize) -> Self {
        Self {
            layout,
            limit,
            state: State::Start,
            is_array: false,
            depth: 0,
            in_string: false,
            is_escaped: false,
            piece: Bytes::new(),
            partial: BytesMut::new(),
        }
    }

    /// The next piece of the stream. The one before has been used up.
    pub(crate) fn push(&mut self, piece: Bytes) {
        debug_assert!(
            self.piece.is_empty(),
            "next was not called until it had no more"
        );
        self.piece = piece;
    }

    /// The next whole value; none until more pieces have come.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, SplitFault> {
        match self.layout {
            Layout::Lines => self.next_line(),
            Layout::Values => self.next_value(),
        }
    }

    /// The last value, when the stream has ended.
    pub(crate) fn finish(&mut self) -> Result<Option<Bytes>, SplitFault> {
        let is_whole = match self.layout {
            Layout::Lines => true,
            Layout::Values => match self.state {
                State::Start | State::Between | State::End => true,
                State::Scalar => !self.is_array,
                State::Element { .. } | State::Comma | State::Nested => false,
            },
        };
        if !is_whole {
            return Err(SplitFault::Cut);
        }
        let rest = std::mem::take(&mut self.partial).freeze();
        self.state = State::End;
        Ok((!rest.trim_ascii().is_empty()).then_some(rest))
    }

    fn next_line(&mut self) -> Result<Option<Bytes>, SplitFault> {
        loop {
            let Some(end) = memchr::memchr(b'\n', &self.piece) else {
                self.keep(self.piece.len())?;
                return Ok(None);
            };
            let line = self.cut(end)?;
            self.piece.advance(1);
            if !line.trim_ascii().is_empty() {
                return Ok(Some(line));
            }
        }
    }

    fn next_value(&mut self) -> Result<Option<Bytes>, SplitFault> {
        while let Some(&byte) = self.piece.first() {
            let is_space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
            match self.state {
                State::Nested | State::Scalar => {
                    let end = match self.state {
                        State::Nested => self.nested_end()?,
                        _ => self.scalar_end(),
                    };
                    let Some(end) = end else {
                        self.keep(self.piece.len())?;
                        return Ok(None);
                    };
                    self.state = match self.is_array {
                        true => State::Comma,
                        false => State::Between,
                    };
                    return self.cut(end).map(Some);
                }
                _ if is_space => self.piece.advance(1),
                State::Start if byte == b'[' => {
                    self.is_array = true;
                    self.state = State::Element { may_end: true };
                    self.piece.advance(1);
                }
                State::Start | State::Between => self.begin(byte)?,
                State::Element { may_end: true } if byte == b']' => {
                    self.state = State::End;
                    self.piece.advance(1);
                }
                State::Element { .. } => self.begin(byte)?,
                State::Comma => {
                    self.state = match byte {
                        b',' => State::Element { may_end: false },
                        b']' => State::End,
                        _ => return Err(SplitFault::NoComma),
                    };
                    self.piece.advance(1);
                }
                State::End => return Err(SplitFault::Trailing),
            }
        }
        Ok(None)
    }

    /// A value begins with this character, which stays where it is.
    fn begin(&mut self, byte: u8) -> Result<(), SplitFault> {
        self.state = match byte {
            b',' => return Err(SplitFault::NoValue),
            b']' if self.is_array => return Err(SplitFault::NoValue),
            b']' | b'}' => return Err(SplitFault::Unopened),
            b'{' | b'[' | b'"' => State::Nested,
            _ => State::Scalar,
        };
        (self.depth, self.in_string, self.is_escaped) = (0, false, false);
        Ok(())
    }

    /// The end, in this piece, of the object, array or string that has begun.
    fn nested_end(&mut self) -> Result<Option<usize>, SplitFault> {
        let mut at = 0;
        while let Some(rest) = self.piece.get(at..).filter(|rest| !rest.is_empty()) {
            if self.in_string {
                if self.is_escaped {
                    self.is_escaped = false;
                    at += 1;
                    continue;
                }
                let Some(found) = memchr::memchr2(b'"', b'\\', rest) else {
                    return Ok(None);
                };
                at += found + 1;
                if rest.get(found) == Some(&b'\\') {
                    self.is_escaped = true;
                    continue;
                }
                self.in_string = false;
                if self.depth == 0 {
                    return Ok(Some(at));
                }
                continue;
            }
            match rest.first() {
                Some(b'"') => self.in_string = true,
                Some(b'{' | b'[') => self.depth += 1,
                Some(b'}' | b']') => {
                    self.depth = self.depth.checked_sub(1).ok_or(SplitFault::Unopened)?;
                    if self.depth == 0 {
                        return Ok(Some(at + 1));
                    }
                }
                _ => {}
            }
            at += 1;
        }
        Ok(None)
    }

    fn scalar_end(&self) -> Option<usize> {
        self.piece.iter().position(|b| {
            matches!(
                b,
                b' ' | b'\t' | b'\n' | b'\r' | b',' | b']' | b'}' | b'{' | b'[' | b'"'
            )
        })
    }

    /// Cuts a value that ends here off the piece, with what was kept of it.
    fn cut(&mut self, end: usize) -> Result<Bytes, SplitFault> {
        if self.partial.is_empty() {
            if end > self.limit {
                return Err(SplitFault::TooLong { limit: self.limit });
            }
            return Ok(self.piece.split_to(end));
        }
        self.keep(end)?;
        Ok(std::mem::take(&mut self.partial).freeze())
    }

    /// Keeps the start of a value whose end is in a later piece.
    fn keep(&mut self, length: usize) -> Result<(), SplitFault> {
        if self.partial.len() + length > self.limit {
            return Err(SplitFault::TooLong { limit: self.limit });
        }
        self.partial.extend_from_slice(&self.piece.split_to(length));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out when the text comes in pieces of this size.
    fn split(layout: Layout, text: &str, size: usize) -> Result<Vec<String>, SplitFault> {
        let mut splitter = Splitter::new(layout, 40);
        let mut found = Vec::new();
        for piece in text.as_bytes().chunks(size) {
            splitter.push(Bytes::copy_from_slice(piece));
            while let Some(value) = splitter.next()? {
                found.push(value);
            }
        }
        found.extend(splitter.finish()?);
        Ok(found
            .iter()
            .map(|value| String::from_utf8(value.to_vec()).unwrap())
            .collect())
    }

    fn check(layout: Layout, text: &str, expected: Result<&[&str], SplitFault>) {
        let expected = expected.map(|values| values.iter().map(ToString::to_string).collect());
        for size in 1..=text.len().max(1) {
            assert_eq!(
                split(layout, text, size),
                expected,
                "{text:?} in pieces of {size}"
            );
        }
    }

    #[test]
    fn lines_are_values() {
        check(
            Layout::Lines,
            "{\"a\":1}\n\n \r\n[1,\"\\n\"]\n2",
            Ok(&["{\"a\":1}", "[1,\"\\n\"]", "2"]),
        );
        check(Layout::Lines, "", Ok(&[]));
        let long = "1".repeat(41);
        check(Layout::Lines, &long, Err(SplitFault::TooLong { limit: 40 }));
        check(
            Layout::Lines,
            &(long + "\n"),
            Err(SplitFault::TooLong { limit: 40 }),
        );
    }

    #[test]
    fn elements_of_an_array_are_values() {
        let text = " [ {\"a]\":\"}\\\"\"} , 1,\"x\\\\\" ,[[],{}],true ] \n";
        let values: &[&str] = &["{\"a]\":\"}\\\"\"}", "1", "\"x\\\\\"", "[[],{}]", "true"];
        check(Layout::Values, text, Ok(values));
        check(Layout::Values, "[]", Ok(&[]));
        check(Layout::Values, "[1 2]", Err(SplitFault::NoComma));
        check(Layout::Values, "[1,]", Err(SplitFault::NoValue));
        check(Layout::Values, "[,1]", Err(SplitFault::NoValue));
        check(Layout::Values, "[1] 2", Err(SplitFault::Trailing));
        check(Layout::Values, "[1", Err(SplitFault::Cut));
        check(Layout::Values, "[{\"a\":1", Err(SplitFault::Cut));
        check(Layout::Values, "[", Err(SplitFault::Cut));
    }

    #[test]
    fn values_may_simply_follow_each_other() {
        check(
            Layout::Values,
            "{\"a\":[1]}{}\n\"x\" 1 2\ttrue",
            Ok(&["{\"a\":[1]}", "{}", "\"x\"", "1", "2", "true"]),
        );
        check(Layout::Values, "  ", Ok(&[]));
        check(Layout::Values, "}", Err(SplitFault::Unopened));
        check(Layout::Values, "1,2", Err(SplitFault::NoValue));
        check(Layout::Values, "{", Err(SplitFault::Cut));
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(40));
        check(
            Layout::Values,
            &long,
            Err(SplitFault::TooLong { limit: 40 }),
        );
    }
}
