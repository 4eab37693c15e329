//! The path of a request: checked, split at its slashes, not yet decoded.
//!
//! The split comes before the decoding (`google/api/http.proto`, RFC 3986 section 2.2): an escaped slash never divides
//! segments. Nothing is allocated; offsets live in a fixed array on the stack.

use std::{borrow::Cow, ops::Range};

use memchr::memrchr;

use crate::percent::{self, PercentFault};

/// The longest path in bytes, as sent.
pub const MAX_PATH_BYTES: usize = 8_192;

/// The most segments a path may have.
pub const MAX_PATH_SEGMENTS: usize = 128;

/// Why a path cannot be looked up at all. The words are fit for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathFault {
    /// The path does not start with `/`.
    #[error("the path does not start with '/'")]
    NotAbsolute,
    /// Longer than [`MAX_PATH_BYTES`]; 414 in HTTP.
    #[error("the path is longer than {MAX_PATH_BYTES} bytes")]
    TooLong,
    /// More than [`MAX_PATH_SEGMENTS`]; 414 in HTTP.
    #[error("the path has more than {MAX_PATH_SEGMENTS} segments")]
    TooManySegments,
    /// An escape is broken or is not UTF-8.
    #[error("the path is malformed: {0}")]
    Percent(#[from] PercentFault),
}

/// A path split into segments.
pub(super) struct Path<'p> {
    /// Without the trailing slash.
    text: &'p str,
    /// Where each segment starts. `u16` holds every offset below `MAX_PATH_BYTES`.
    starts: [u16; MAX_PATH_SEGMENTS],
    count: usize,
    is_escaped: bool,
    has_colon: bool,
}

impl<'p> Path<'p> {
    /// A path yet to be split. The two are apart so that the array is filled where it lies: moving it out of a result
    /// takes longer than the split.
    pub(super) fn new(text: &'p str) -> Self {
        Self {
            text,
            starts: [0; MAX_PATH_SEGMENTS],
            count: 0,
            is_escaped: false,
            has_colon: false,
        }
    }

    pub(super) fn split(&mut self) -> Result<(), PathFault> {
        if !self.text.starts_with('/') {
            return Err(PathFault::NotAbsolute);
        }
        if self.text.len() > MAX_PATH_BYTES {
            return Err(PathFault::TooLong);
        }
        if self.text.len() == 1 {
            return Ok(());
        }
        self.text = self.text.strip_suffix('/').unwrap_or(self.text);
        self.start_segments()?;
        if self.is_escaped {
            percent::check(self.text)?;
        }
        Ok(())
    }

    /// Looks at eight bytes at a time: a path is mostly neither slashes nor escapes.
    fn start_segments(&mut self) -> Result<(), PathFault> {
        let (words, rest) = self.text.as_bytes().as_chunks();
        for (index, word) in words.iter().enumerate() {
            self.start_segments_in(u64::from_le_bytes(*word), index * 8)?;
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        self.start_segments_in(u64::from_le_bytes(last), words.len() * 8)
    }

    #[inline]
    fn start_segments_in(&mut self, word: u64, offset: usize) -> Result<(), PathFault> {
        self.is_escaped |= bytes_equal(word, b'%') != 0;
        self.has_colon |= bytes_equal(word, b':') != 0;
        let mut slashes = bytes_equal(word, b'/');
        while slashes != 0 {
            self.start_segment(offset + slashes.trailing_zeros() as usize / 8 + 1)?;
            slashes &= slashes - 1;
        }
        Ok(())
    }

    #[inline]
    fn start_segment(&mut self, at: usize) -> Result<(), PathFault> {
        let start = self
            .starts
            .get_mut(self.count)
            .ok_or(PathFault::TooManySegments)?;
        *start = u16::try_from(at).map_err(|_| PathFault::TooLong)?;
        self.count += 1;
        Ok(())
    }

    /// The path read without a verb.
    pub(super) fn whole(&self) -> Reading<'_, 'p> {
        Reading {
            path: self,
            end: self.text.len(),
        }
    }

    /// The path read without what looks like a verb, and that verb as it was sent. An escaped colon is not a verb's.
    #[inline]
    pub(super) fn cut_verb(&self) -> Option<(Reading<'_, 'p>, &'p str)> {
        if !self.has_colon {
            return None;
        }
        let last = self.whole().segment(self.count.checked_sub(1)?);
        let colon = memrchr(b':', last.as_bytes())?;
        let verb = last.get(colon + 1..)?;
        let end = self.text.len() - last.len() + colon;
        (!verb.is_empty()).then_some((Reading { path: self, end }, verb))
    }

    fn start(&self, index: usize) -> usize {
        self.starts
            .get(index)
            .map_or(self.text.len(), |start| usize::from(*start))
    }
}

/// The highest bit of every byte of a word that is `wanted`, and no other bit.
#[inline]
fn bytes_equal(word: u64, wanted: u8) -> u64 {
    const LOW: u64 = 0x7F7F_7F7F_7F7F_7F7F;
    let differing = word ^ u64::from_ne_bytes([wanted; 8]);
    // A carry into the highest bit tells that one of the seven below it is set; none goes further.
    !(((differing & LOW) + LOW) | differing | LOW)
}

/// A path as it is matched: whole, or with its verb cut off.
#[derive(Clone, Copy)]
pub(super) struct Reading<'q, 'p> {
    path: &'q Path<'p>,
    /// End of the last segment: the end of the path, or the colon of the verb.
    end: usize,
}

impl<'p> Reading<'_, 'p> {
    /// How many segments there are. The root has none.
    pub(super) fn count(&self) -> usize {
        self.path.count
    }

    /// A segment as it was sent.
    pub(super) fn segment(&self, index: usize) -> &'p str {
        self.raw(index..index + 1)
    }

    /// Whether a segment has to be decoded before it is compared.
    pub(super) fn is_escaped(&self, segment: &str) -> bool {
        self.path.is_escaped && segment.contains('%')
    }

    /// The decoded text of some neighbouring segments with the slashes between them. What lies behind the end of the
    /// path, as the segments of a `**` that matched nothing do, is empty.
    pub(super) fn value(&self, segments: Range<usize>, is_multi: bool) -> Cow<'p, str> {
        let raw = self.raw(segments);
        match (self.path.is_escaped, is_multi) {
            (false, _) => Cow::Borrowed(raw),
            (true, false) => percent::decode(raw),
            (true, true) => percent::decode_except_slash(raw),
        }
    }

    fn raw(&self, segments: Range<usize>) -> &'p str {
        let path = self.path;
        let last = segments.end.min(path.count);
        if segments.start >= last {
            return "";
        }
        let end = if last == path.count {
            self.end
        } else {
            path.start(last) - 1
        };
        path.text
            .get(path.start(segments.start)..end)
            .unwrap_or_default()
    }
}
