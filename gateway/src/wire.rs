//! The few pieces of the protobuf wire format the gateway reads and writes itself.

use bytes::{Bytes, BytesMut};
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field};

/// A length-delimited field.
pub(crate) fn put_bytes(number: u32, value: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// A message that cannot be read.
pub(crate) struct Damaged;

/// The last occurrence of a length-delimited field, which is the one that counts; none where the field is absent.
pub(crate) fn find_bytes(message: Bytes, number: u32) -> Result<Option<Bytes>, Damaged> {
    let found = find(&message, number)?;
    Ok(found.map(|found| message.slice_ref(found)))
}

/// The same where the bytes are somebody else's.
pub(crate) fn find(mut message: &[u8], number: u32) -> Result<Option<&[u8]>, Damaged> {
    let mut found = None;
    while !message.is_empty() {
        let (tag, wire_type) = decode_key(&mut message).map_err(|_| Damaged)?;
        if tag == number && wire_type == WireType::LengthDelimited {
            let length = usize::try_from(decode_varint(&mut message).map_err(|_| Damaged)?)
                .map_err(|_| Damaged)?;
            let (value, rest) = message.split_at_checked(length).ok_or(Damaged)?;
            (found, message) = (Some(value), rest);
        } else {
            skip_field(
                wire_type,
                tag,
                &mut message,
                prost::encoding::DecodeContext::default(),
            )
            .map_err(|_| Damaged)?;
        }
    }
    Ok(found)
}

/// One buffer for a body that usually comes in one piece.
#[derive(Default)]
pub(crate) struct Pieces {
    first: Bytes,
    rest: BytesMut,
}

impl Pieces {
    pub(crate) fn push(&mut self, piece: Bytes) {
        if self.first.is_empty() && self.rest.is_empty() {
            self.first = piece;
            return;
        }
        if self.rest.is_empty() {
            self.rest.extend_from_slice(&self.first);
            self.first = Bytes::new();
        }
        self.rest.extend_from_slice(&piece);
    }

    pub(crate) fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    pub(crate) fn take(&mut self) -> Bytes {
        if self.rest.is_empty() {
            std::mem::take(&mut self.first)
        } else {
            self.rest.split().freeze()
        }
    }
}
