//! The protobuf wire format: reading one message's fields, and writing tags, varints and lengths.
//!
//! Nothing here knows a schema. Reading never looks beyond the slice it was given.

use super::fault::WireProblem;

pub(super) const VARINT: u8 = 0;
pub(super) const FIXED64: u8 = 1;
pub(super) const SIZED: u8 = 2;
const GROUP_START: u8 = 3;
const GROUP_END: u8 = 4;
pub(super) const FIXED32: u8 = 5;

/// Groups are only skipped; more nested than this is an attack.
const GROUP_DEPTH_MAX: u32 = 100;

/// Reads the fields of one message.
#[derive(Clone, Copy)]
pub(super) struct Wire<'w> {
    bytes: &'w [u8],
    at: usize,
}

/// Number and wire type of the field that follows.
#[derive(Clone, Copy)]
pub(super) struct Tag {
    pub(super) number: u32,
    pub(super) wire_type: u8,
}

/// A value as the messages with their own JSON form hold them.
#[derive(Clone, Copy)]
pub(super) enum Raw<'w> {
    Varint(u64),
    Fixed64(u64),
    Sized(&'w [u8]),
}

impl<'w> Wire<'w> {
    #[inline]
    pub(super) fn new(bytes: &'w [u8]) -> Self {
        Wire { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Steps over `tag` when it comes next.
    #[inline]
    pub(super) fn follows(&mut self, tag: &[u8]) -> bool {
        let follows = self.bytes[self.at..].starts_with(tag);
        if follows {
            self.at += tag.len();
        }
        follows
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, WireProblem> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            Some(_) => self.long_varint(),
            None => Err(WireProblem::Truncated),
        }
    }

    fn long_varint(&mut self) -> Result<u64, WireProblem> {
        let mut value = 0u64;
        for (i, &byte) in self.bytes[self.at..].iter().enumerate().take(10) {
            // The tenth byte holds the last of 64 bits.
            if i == 9 && byte > 1 {
                return Err(WireProblem::Varint);
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                self.at += i + 1;
                return Ok(value);
            }
        }
        Err(WireProblem::Truncated)
    }

    #[inline]
    pub(super) fn fixed32(&mut self) -> Result<u32, WireProblem> {
        let bytes = self.bytes[self.at..]
            .first_chunk::<4>()
            .ok_or(WireProblem::Truncated)?;
        self.at += 4;
        Ok(u32::from_le_bytes(*bytes))
    }

    #[inline]
    pub(super) fn fixed64(&mut self) -> Result<u64, WireProblem> {
        let bytes = self.bytes[self.at..]
            .first_chunk::<8>()
            .ok_or(WireProblem::Truncated)?;
        self.at += 8;
        Ok(u64::from_le_bytes(*bytes))
    }

    #[inline]
    pub(super) fn sized(&mut self) -> Result<&'w [u8], WireProblem> {
        let length = usize::try_from(self.varint()?).map_err(|_| WireProblem::Truncated)?;
        let rest = &self.bytes[self.at..];
        let value = rest.get(..length).ok_or(WireProblem::Truncated)?;
        self.at += length;
        Ok(value)
    }

    #[inline]
    pub(super) fn tag(&mut self) -> Result<Tag, WireProblem> {
        let tag = u32::try_from(self.varint()?).map_err(|_| WireProblem::Tag)?;
        let (number, wire_type) = (tag >> 3, (tag & 7) as u8);
        if number == 0 || wire_type > FIXED32 {
            return Err(WireProblem::Tag);
        }
        Ok(Tag { number, wire_type })
    }

    /// The value of a field; what no own JSON form is made of, groups among it, is skipped.
    pub(super) fn raw(&mut self, tag: Tag) -> Result<Option<Raw<'w>>, WireProblem> {
        Ok(Some(match tag.wire_type {
            VARINT => Raw::Varint(self.varint()?),
            FIXED64 => Raw::Fixed64(self.fixed64()?),
            SIZED => Raw::Sized(self.sized()?),
            _ => {
                self.skip(tag)?;
                return Ok(None);
            }
        }))
    }

    /// Steps over a field and returns its value as it stands on the wire.
    pub(super) fn value_bytes(&mut self, tag: Tag) -> Result<&'w [u8], WireProblem> {
        let start = self.at;
        self.skip(tag)?;
        Ok(&self.bytes[start..self.at])
    }

    pub(super) fn skip(&mut self, tag: Tag) -> Result<(), WireProblem> {
        self.skip_nested(tag, 0)
    }

    fn skip_nested(&mut self, tag: Tag, depth: u32) -> Result<(), WireProblem> {
        match tag.wire_type {
            VARINT => self.varint().map(drop),
            FIXED64 => self.fixed64().map(drop),
            FIXED32 => self.fixed32().map(drop),
            SIZED => self.sized().map(drop),
            GROUP_START if depth >= GROUP_DEPTH_MAX => Err(WireProblem::TooDeep),
            GROUP_START => loop {
                let inner = self.tag()?;
                if inner.wire_type == GROUP_END {
                    return if inner.number == tag.number {
                        Ok(())
                    } else {
                        Err(WireProblem::Group)
                    };
                }
                self.skip_nested(inner, depth + 1)?;
            },
            _ => Err(WireProblem::Group),
        }
    }
}

#[inline]
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A string or bytes with its length in front.
#[inline]
pub(super) fn put_sized(out: &mut Vec<u8>, value: &[u8]) {
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Reserves one byte for the length of what follows; most messages are shorter than 128 bytes.
#[inline]
pub(super) fn open(out: &mut Vec<u8>) -> usize {
    out.push(0);
    out.len()
}

/// Puts in the length of what was written since `open`, moving it when the length needs more than the reserved byte.
#[inline]
pub(super) fn close(out: &mut Vec<u8>, start: usize) {
    let length = out.len() - start;
    if length < 0x80 {
        out[start - 1] = length as u8;
    } else {
        close_long(out, start, length);
    }
}

fn close_long(out: &mut Vec<u8>, start: usize, length: usize) {
    let mut prefix = [0u8; 10];
    let mut extra = 0;
    let mut rest = length;
    while rest >= 0x80 {
        prefix[extra] = rest as u8 | 0x80;
        rest >>= 7;
        extra += 1;
    }
    prefix[extra] = rest as u8;
    out.resize(out.len() + extra, 0);
    out.copy_within(start..start + length, start + extra);
    out[start - 1..start + extra].copy_from_slice(&prefix[..=extra]);
}

#[inline]
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[inline]
pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}
