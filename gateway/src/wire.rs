//! The few pieces of protobuf and gRPC framing the gateway writes itself.

use bytes::{Bytes, BytesMut};
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field};

/// Compression flag and length.
pub(crate) const FRAME_HEADER: usize = 5;

/// Room for the header of a message frame; [`finish_frame`] fills it in.
pub(crate) fn start_frame(capacity: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(FRAME_HEADER + capacity);
    frame.extend_from_slice(&[0; FRAME_HEADER]);
    frame
}

/// Writes the length of an uncompressed message into its header. `None` when it is longer than a frame can say.
pub(crate) fn finish_frame(mut frame: Vec<u8>) -> Option<Bytes> {
    let length = u32::try_from(frame.len().checked_sub(FRAME_HEADER)?).ok()?;
    frame
        .get_mut(1..FRAME_HEADER)?
        .copy_from_slice(&length.to_be_bytes());
    Some(frame.into())
}

/// The one message of a unary reply. `None` when the frame is cut, compressed, or not alone.
pub(crate) fn only_message(mut body: Bytes) -> Option<Bytes> {
    if body.is_empty() {
        return Some(body);
    }
    let header = body.get(..FRAME_HEADER)?;
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
    if header[0] != 0 || body.len() != FRAME_HEADER + length {
        return None;
    }
    Some(body.split_off(FRAME_HEADER))
}

/// A length-delimited field.
pub(crate) fn put_bytes(number: u32, value: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// A message that cannot be read.
pub(crate) struct Damaged;

/// The last occurrence of a length-delimited field, which is the one that counts; none where the field is absent.
pub(crate) fn find_bytes(mut message: Bytes, number: u32) -> Result<Option<Bytes>, Damaged> {
    let mut found = None;
    while !message.is_empty() {
        let (tag, wire_type) = decode_key(&mut message).map_err(|_| Damaged)?;
        if tag == number && wire_type == WireType::LengthDelimited {
            let length = usize::try_from(decode_varint(&mut message).map_err(|_| Damaged)?)
                .map_err(|_| Damaged)?;
            if length > message.len() {
                return Err(Damaged);
            }
            found = Some(message.split_to(length));
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
