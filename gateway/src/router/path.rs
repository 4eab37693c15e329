//! The path of a request: checked, split at its slashes, not yet decoded.
//!
//! The split comes before the decoding (`google/api/http.proto`, RFC 3986 section 2.2): an escaped slash never divides
//! segments. Nothing is allocated; offsets live in a fixed array on the stack.

use std::ops::Range;

use memchr::memrchr;
use wide::u8x16;

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

/// How many bytes are compared together.
const LANE: usize = 16;

/// How many bytes are marked together.
const BLOCK: usize = 4 * LANE;

/// How many starts of segments are taken from a block without asking how many there are.
const USUAL: usize = 8;

/// What a path is split in: room for the starts of `N - 1` segments and one more.
pub(super) struct Room<const N: usize> {
    starts: [u16; N],
    /// The path and zeros, if it is shorter than this.
    padded: [u8; LANE],
}

impl<const N: usize> Room<N> {
    #[inline]
    pub(super) fn new() -> Self {
        Self {
            starts: [0; N],
            padded: [0; LANE],
        }
    }
}

/// A path split into segments.
pub(super) struct Path<'q, 'p> {
    /// Without the trailing slash.
    text: &'p str,
    /// The text, with zeros behind it if it is shorter than a lane.
    bytes: &'q [u8],
    /// Where each segment starts, and where one more would. `u16` holds every offset up to `MAX_PATH_BYTES`.
    starts: &'q [u16],
    count: usize,
    is_escaped: bool,
    has_colon: bool,
    /// Whether a segment other than the last is empty.
    has_gap: bool,
}

impl<'q, 'p: 'q> Path<'q, 'p> {
    /// Splits a path in a room, which may be too small for it.
    #[inline]
    pub(super) fn split<const N: usize>(
        text: &'p str,
        room: &'q mut Room<N>,
    ) -> Result<Self, PathFault> {
        if !text.starts_with('/') {
            return Err(PathFault::NotAbsolute);
        }
        if text.len() > MAX_PATH_BYTES {
            return Err(PathFault::TooLong);
        }
        // The root has no segments.
        let (text, is_root) = match text.strip_suffix('/') {
            Some("") => (text, true),
            Some(cut) => (cut, false),
            None => (text, false),
        };
        let Room { starts, padded } = room;
        let mut bytes = text.as_bytes();
        if let Some(own) = padded.get_mut(..bytes.len()) {
            own.copy_from_slice(bytes);
            bytes = padded;
        }
        let mut marked = Marked::default();
        if !is_root {
            marked.mark(bytes, starts)?;
        }
        if let Some(start) = starts.get_mut(marked.count) {
            *start = text.len() as u16 + 1;
        }
        if marked.is_escaped {
            percent::check(text)?;
        }
        Ok(Self {
            text,
            bytes,
            starts,
            count: marked.count,
            is_escaped: marked.is_escaped,
            has_colon: marked.has_colon,
            has_gap: marked.has_gap,
        })
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

/// What was found in the bytes of a path.
#[derive(Default)]
struct Marked {
    count: usize,
    is_escaped: bool,
    has_colon: bool,
    has_gap: bool,
}

impl Marked {
    /// Looks through at least a lane of bytes, and writes where their segments start.
    #[inline]
    fn mark(&mut self, bytes: &[u8], starts: &mut [u16]) -> Result<(), PathFault> {
        let mut is_behind_slash = false;
        for from in (0..bytes.len()).step_by(BLOCK) {
            let block = Block::of(bytes, from);
            self.is_escaped |= block.has_percent;
            self.has_colon |= block.has_colon;
            let touching = block.slashes << 1 | u64::from(is_behind_slash);
            self.has_gap |= block.slashes & touching != 0;
            is_behind_slash = block.slashes >> (BLOCK - 1) != 0;
            self.start_segments(block.slashes, from, starts)?;
        }
        Ok(())
    }

    #[inline]
    fn start_segments(
        &mut self,
        mut slashes: u64,
        from: usize,
        starts: &mut [u16],
    ) -> Result<(), PathFault> {
        let found = slashes.count_ones() as usize;
        let room = starts.get_mut(self.count..).unwrap_or_default();
        // The last place is for the end.
        if found >= room.len() {
            return Err(PathFault::TooManySegments);
        }
        self.count += found;
        let mut next = || {
            let start = from + slashes.trailing_zeros() as usize + 1;
            slashes &= slashes.wrapping_sub(1);
            start as u16
        };
        let rest = match room.split_first_chunk_mut::<USUAL>() {
            // What is written too much is written over, or never read.
            Some((usual, rest)) => {
                *usual = std::array::from_fn(|_| next());
                rest.get_mut(..found.saturating_sub(USUAL))
            }
            None => room.get_mut(..found),
        };
        for start in rest.unwrap_or_default() {
            *start = next();
        }
        Ok(())
    }
}

/// What a block of a path has.
struct Block {
    /// A bit for every slash.
    slashes: u64,
    has_percent: bool,
    has_colon: bool,
}

impl Block {
    /// Of up to 64 bytes. The lanes that would go beyond the end overlap the ones before: a block of any length is looked
    /// at without a branch.
    #[inline]
    fn of(bytes: &[u8], from: usize) -> Self {
        let (mut slashes, mut percents, mut colons) = (0, u8x16::ZERO, u8x16::ZERO);
        let last = bytes.len().saturating_sub(LANE);
        for lane in 0..BLOCK / LANE {
            let at = last.min(from + lane * LANE);
            let lane = bytes.get(at..).and_then(<[u8]>::first_chunk);
            let lane = u8x16::new(*lane.unwrap_or(&[0; LANE]));
            let own = lane.simd_eq(u8x16::splat(b'/')).to_bitmask();
            slashes |= u64::from(own).rotate_left(at.wrapping_sub(from) as u32);
            percents |= lane.simd_eq(u8x16::splat(b'%'));
            colons |= lane.simd_eq(u8x16::splat(b':'));
        }
        // A lane that begins before the block leaves what is not of the block beyond its end.
        let length = BLOCK.min(bytes.len().saturating_sub(from));
        Self {
            slashes: slashes & u64::MAX.unbounded_shr((BLOCK - length) as u32),
            has_percent: percents.any(),
            has_colon: colons.any(),
        }
    }
}

/// A path as it is matched: whole, or with its verb cut off.
#[derive(Clone, Copy)]
pub(super) struct Reading<'q, 'p> {
    path: &'q Path<'q, 'p>,
    /// End of the last segment: the end of the path, or the colon of the verb.
    end: usize,
}

impl<'p> Reading<'_, 'p> {
    /// How many segments there are. The root has none.
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.path.count
    }

    /// Whether every segment has a [`Self::key`] and is what it stands for: nothing is escaped and no segment empty.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        let path = self.path;
        let is_last_empty = path.count > 0 && path.start(path.count - 1) == self.end;
        !(path.is_escaped | path.has_gap | is_last_empty)
    }

    /// The bytes of a segment of a plain path, as [`Key`] has them.
    #[inline]
    pub(super) fn key(&self, index: usize) -> Key {
        let start = |index| usize::from(self.path.starts.get(index).copied().unwrap_or_default());
        let (from, next) = (start(index), start(index + 1));
        let length = self.end.min(next.wrapping_sub(1)).wrapping_sub(from);
        // Of a segment near the end, the lane that ends with the path has all.
        let bytes = self.path.bytes;
        let at = bytes.len().saturating_sub(LANE).min(from);
        let lane = bytes.get(at..).and_then(<[u8]>::first_chunk);
        let text = u128::from_le_bytes(*lane.unwrap_or(&[0; LANE]));
        Key::new(text.unbounded_shr(8 * (from - at) as u32), length)
    }

    /// Where some neighbouring segments lie. What starts behind the end of the path ends before it starts.
    #[inline]
    pub(super) fn range(&self, segments: Range<usize>) -> Range<usize> {
        // The end of the reading is in the last segment.
        let end = (self.path.start(segments.end) - 1).min(self.end);
        self.path.start(segments.start)..end
    }

    /// A segment as it was sent.
    pub(super) fn segment(&self, index: usize) -> &'p str {
        let range = self.range(index..index + 1);
        self.path.text.get(range).unwrap_or_default()
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

    /// The whole path.
    #[inline]
    pub(super) fn text(&self) -> &'p str {
        self.path.text
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
                    let mut room = Room::<{ MAX_PATH_SEGMENTS + 1 }>::new();
                    let path = Path::split(&text, &mut room).unwrap();
                    let text = text.strip_suffix('/').unwrap_or(&text);
                    let expected: Vec<&str> = text.split('/').skip(1).collect();
                    let reading = path.whole();
                    let found: Vec<&str> =
                        (0..reading.count()).map(|n| reading.segment(n)).collect();
                    assert_eq!(found, expected, "{text}");
                    assert_eq!(reading.has_escape(), text.contains('%'), "{text}");
                    assert_eq!(path.has_colon, text.contains(':'), "{text}");
                    let is_plain =
                        !text.contains('%') && expected.iter().all(|segment| !segment.is_empty());
                    assert_eq!(reading.is_plain(), is_plain, "{text}");
                    for (n, segment) in expected.iter().enumerate().filter(|_| is_plain) {
                        assert_eq!(reading.key(n).difference(Key::of(segment)), 0, "{text}");
                    }
                }
            }
        }
    }

    /// Any number of segments is split alike in a room that is large enough, and refused in one that is not.
    #[test]
    fn a_room_takes_one_segment_less_than_it_has_places() {
        for count in 1..=MAX_PATH_SEGMENTS + 1 {
            let text = "/ab".repeat(count);
            let (mut small, mut large) =
                (Room::<16>::new(), Room::<{ MAX_PATH_SEGMENTS + 1 }>::new());
            for (split, places) in [
                (Path::split(&text, &mut small), 16),
                (Path::split(&text, &mut large), MAX_PATH_SEGMENTS + 1),
            ] {
                if count >= places {
                    assert_eq!(split.err(), Some(PathFault::TooManySegments), "{count}");
                    continue;
                }
                let path = split.unwrap();
                let reading = path.whole();
                assert_eq!(reading.count(), count);
                assert!((0..count).all(|n| reading.segment(n) == "ab"), "{count}");
            }
        }
    }
}
