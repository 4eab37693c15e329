//! The path of a request: checked, split at its slashes, not yet decoded.
//!
//! The split comes before the decoding (`google/api/http.proto`, RFC 3986 section 2.2): an escaped slash never divides
//! segments. Nothing is allocated; offsets live in a fixed array on the stack.

use std::{borrow::Cow, ops::Range};

use memchr::memrchr;

use super::key::Key;
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

/// How many bytes are looked at together.
const BLOCK: usize = 64;

/// The longest path that is copied, so that any sixteen bytes that start in it can be read at once.
const SHORT: usize = 2 * BLOCK;

/// A path split into segments.
pub(super) struct Path<'p> {
    /// Without the trailing slash.
    text: &'p str,
    /// The text and zeros, if it is short.
    padded: [u8; SHORT + 16],
    /// Where each segment starts, and where one more would. `u16` holds every offset up to `MAX_PATH_BYTES`.
    starts: [u16; MAX_PATH_SEGMENTS + 1],
    count: usize,
    is_escaped: bool,
    has_colon: bool,
    /// Whether a segment other than the last is empty.
    has_gap: bool,
}

impl<'p> Path<'p> {
    /// A path yet to be split. The two are apart so that the array is filled where it lies: moving it out of a result
    /// takes longer than the split.
    #[inline]
    pub(super) fn new(text: &'p str) -> Self {
        Self {
            text,
            padded: [0; SHORT + 16],
            starts: [0; MAX_PATH_SEGMENTS + 1],
            count: 0,
            is_escaped: false,
            has_colon: false,
            has_gap: false,
        }
    }

    pub(super) fn split(&mut self) -> Result<(), PathFault> {
        if !self.text.starts_with('/') {
            return Err(PathFault::NotAbsolute);
        }
        if self.text.len() > MAX_PATH_BYTES {
            return Err(PathFault::TooLong);
        }
        if self.text.len() > 1 {
            self.text = self.text.strip_suffix('/').unwrap_or(self.text);
            self.start_segments()?;
        }
        if let Some(start) = self.starts.get_mut(self.count) {
            *start = self.text.len() as u16 + 1;
        }
        if self.is_escaped {
            percent::check(self.text)?;
        }
        Ok(())
    }

    /// Two blocks that overlap cover every length between one of them and both, without a loop.
    fn start_segments(&mut self) -> Result<(), PathFault> {
        let bytes = self.text.as_bytes();
        if let Some(padded) = self.padded.get_mut(..bytes.len())
            && bytes.len() <= SHORT
        {
            padded.copy_from_slice(bytes);
        }
        match bytes.len() {
            ..16 => self.add(&Marks::of(self.padded.first_chunk()), 0),
            16..32 => self.add(&Marks::of_both::<16>(bytes), 0),
            32..=64 => self.add(&Marks::of_both::<32>(bytes), 0),
            65..=SHORT => {
                self.add(&Marks::of(bytes.first_chunk()), 0)?;
                let mut last = Marks::of(bytes.last_chunk());
                // What the first block has as well.
                last.slashes >>= SHORT - bytes.len();
                self.add(&last, BLOCK)
            }
            _ => self.start_segments_of_long(bytes),
        }
    }

    #[cold]
    fn start_segments_of_long(&mut self, bytes: &[u8]) -> Result<(), PathFault> {
        for (index, chunk) in bytes.chunks(BLOCK).enumerate() {
            let mut block = [0; BLOCK];
            block
                .iter_mut()
                .zip(chunk)
                .for_each(|(to, from)| *to = *from);
            self.add(&Marks::of(Some(&block)), index * BLOCK)?;
        }
        Ok(())
    }

    #[inline]
    fn add(&mut self, marks: &Marks, offset: usize) -> Result<(), PathFault> {
        self.is_escaped |= marks.has_percent;
        self.has_colon |= marks.has_colon;
        let mut slashes = marks.slashes;
        let before = self.text.as_bytes().get(offset.wrapping_sub(1));
        let touching = slashes << 1 | u64::from(before == Some(&b'/'));
        self.has_gap |= slashes & touching != 0;
        let mut count = self.count;
        while slashes != 0 {
            let at = offset + slashes.trailing_zeros() as usize + 1;
            match self.starts.get_mut(count) {
                Some(start) if count < MAX_PATH_SEGMENTS => *start = at as u16,
                _ => return Err(PathFault::TooManySegments),
            }
            count += 1;
            slashes &= slashes - 1;
        }
        self.count = count;
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

    /// Where the segment starts; behind the end if there are less segments.
    #[inline]
    fn start(&self, index: usize) -> usize {
        let start = self.starts.get(index.min(self.count));
        start.copied().unwrap_or_default().into()
    }
}

/// What a block of a path has.
#[derive(Default)]
struct Marks {
    /// A bit for every slash.
    slashes: u64,
    has_percent: bool,
    has_colon: bool,
}

impl Marks {
    /// Of nothing if there is no block.
    #[inline]
    fn of(block: Option<&[u8; BLOCK]>) -> Self {
        let block = block.unwrap_or(&[0; BLOCK]);
        let has = |wanted| equal(block, wanted).fold(0, |any, word| any | word) != 0;
        Self {
            slashes: equal(block, b'/').rev().fold(0, |slashes, word| {
                // One bit of each byte, no two alike; their sum is the highest byte of the product.
                let bits = (word & 0x8040_2010_0804_0201).wrapping_mul(0x0101_0101_0101_0101) >> 56;
                slashes << 8 | bits
            }),
            has_percent: has(b'%'),
            has_colon: has(b':'),
        }
    }

    /// Of at least `N` bytes and at most twice as many: the first `N` and the last, which may overlap, make one block.
    #[inline]
    fn of_both<const N: usize>(bytes: &[u8]) -> Self {
        let mut block = [0; BLOCK];
        let (halves, _) = block.as_chunks_mut::<N>();
        if let ([first, last, ..], Some(own_first), Some(own_last)) =
            (halves, bytes.first_chunk(), bytes.last_chunk())
        {
            *first = *own_first;
            *last = *own_last;
        }
        let mut marks = Self::of(Some(&block));
        let first = marks.slashes & ((1 << N) - 1);
        marks.slashes = first | marks.slashes >> N << (bytes.len() - N);
        marks
    }
}

/// Eight bytes as a number each, all of whose bits tell whether it is `wanted`. The compiler makes vectors of it.
#[inline]
fn equal(block: &[u8; BLOCK], wanted: u8) -> impl DoubleEndedIterator<Item = u64> {
    let equal = block.map(|byte| if byte == wanted { u8::MAX } else { 0 });
    let words: [u64; BLOCK / 8] = std::array::from_fn(|word| {
        let bytes = equal.get(8 * word..).and_then(<[u8]>::first_chunk);
        u64::from_le_bytes(*bytes.unwrap_or(&[0; 8]))
    });
    words.into_iter()
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
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.path.count
    }

    /// Whether every segment has a [`Self::key`] and is what it stands for: the path is short, nothing is
    /// escaped and no segment empty.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        let path = self.path;
        let is_last_empty = path.count > 0 && path.start(path.count - 1) == self.end;
        path.text.len() <= SHORT && !(path.is_escaped | path.has_gap | is_last_empty)
    }

    /// The bytes of a segment of a plain path, as [`Key`] has them.
    #[inline]
    pub(super) fn key(&self, index: usize) -> Key {
        let start = |index| usize::from(self.path.starts.get(index).copied().unwrap_or_default());
        let (from, next) = (start(index), start(index + 1));
        let length = self.end.min(next.wrapping_sub(1)).wrapping_sub(from);
        let bytes = self.path.padded.get(from..).and_then(<[u8]>::first_chunk);
        Key::new(bytes.unwrap_or(&[0; 16]), length)
    }

    /// Where some neighbouring segments lie. What starts behind the end of the path ends before it starts.
    #[inline]
    fn range(&self, segments: Range<usize>) -> Range<usize> {
        // The end of the reading is in the last segment.
        let end = (self.path.start(segments.end) - 1).min(self.end);
        self.path.start(segments.start)..end
    }

    /// A segment as it was sent.
    pub(super) fn segment(&self, index: usize) -> &'p str {
        self.raw(index..index + 1)
    }

    /// Whether a segment has to be decoded before it is compared.
    pub(super) fn is_escaped(&self, segment: &str) -> bool {
        self.path.is_escaped && segment.contains('%')
    }

    /// Whether there is an escape anywhere.
    #[inline]
    pub(super) fn has_escape(&self) -> bool {
        self.path.is_escaped
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

    /// Some neighbouring segments as they were sent.
    #[inline]
    pub(super) fn raw(&self, segments: Range<usize>) -> &'p str {
        self.path.text.get(self.range(segments)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every length around the borders of blocks, with something at each place.
    #[test]
    fn paths_of_every_length_are_split_everywhere() {
        for length in 2..=3 * BLOCK {
            for at in 1..length {
                for mark in ["/", "//", ":", "%41"] {
                    let mut text = format!("/{}", "a".repeat(length - 1));
                    text.replace_range(at..(at + mark.len()).min(length), mark);
                    let mut path = Path::new(&text);
                    path.split().unwrap();
                    let text = text.strip_suffix('/').unwrap_or(&text);
                    let expected: Vec<&str> = text.split('/').skip(1).collect();
                    let reading = path.whole();
                    let found: Vec<&str> =
                        (0..reading.count()).map(|n| reading.segment(n)).collect();
                    assert_eq!(found, expected, "{text}");
                    assert_eq!(reading.has_escape(), text.contains('%'), "{text}");
                    assert_eq!(path.has_colon, text.contains(':'), "{text}");
                    let is_plain = text.len() <= SHORT
                        && !text.contains('%')
                        && expected.iter().all(|segment| !segment.is_empty());
                    assert_eq!(reading.is_plain(), is_plain, "{text}");
                    for (n, segment) in expected.iter().enumerate().filter(|_| is_plain) {
                        assert_eq!(reading.key(n).difference(Key::of(segment)), 0, "{text}");
                    }
                }
            }
        }
    }
}
