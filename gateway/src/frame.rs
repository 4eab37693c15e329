//! gRPC message frames: a compression flag, a length, a message. Written for requests, taken apart from replies that
//! arrive in pieces of any size.

use std::io::{Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderName;

/// How the messages of a call that are compressed are compressed.
pub(crate) const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// Compression flag and length.
pub(crate) const FRAME_HEADER: usize = 5;

/// A partial frame's buffer has room for what has arrived this many times over, however much its header claims: usual
/// messages find it whole and are copied once.
const ROOM: usize = 8;

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

/// Shorter messages gain nothing from being compressed.
const GZIP_FROM_BYTES: usize = 1024;

/// Like [`finish_frame`], with the message compressed where that makes it shorter.
pub(crate) fn gzip_frame(frame: Vec<u8>) -> Option<Bytes> {
    let message = frame.get(FRAME_HEADER..)?;
    if message.len() < GZIP_FROM_BYTES {
        return finish_frame(frame);
    }
    let header = vec![1, 0, 0, 0, 0];
    let mut encoder = flate2::write::GzEncoder::new(header, flate2::Compression::fast());
    let compressed = encoder.write_all(message).and_then(|()| encoder.finish());
    match compressed {
        Ok(compressed) if compressed.len() < frame.len() => finish_frame(compressed),
        _ => finish_frame(frame),
    }
}

/// Why a sequence of frames cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameFault {
    /// A message is longer than is taken.
    #[error("a message is longer than {limit} bytes")]
    TooLong {
        /// The most bytes of one message, decompressed.
        limit: usize,
    },
    /// A frame is marked as compressed and no encoding was agreed on, or its flag is none.
    #[error("a message is compressed in a way that is not known")]
    Compression,
    /// The compressed bytes are no gzip stream.
    #[error("a compressed message is damaged")]
    Damaged,
    /// The sequence ends within a frame.
    #[error("the last message is cut off")]
    Cut,
}

/// Takes messages out of the pieces of a body. After each [`push`](Self::push), call [`next`](Self::next) until it has no
/// more.
#[derive(Debug)]
pub(crate) struct Deframer {
    /// What has come and has not been looked at.
    current: Bytes,
    /// The start of a frame whose rest has not come.
    partial: BytesMut,
    limit: usize,
    gzip: bool,
}

impl Deframer {
    /// `limit` is the most bytes of one message, `gzip` whether compressed ones are gzip (`grpc-encoding`).
    pub(crate) fn new(limit: usize, gzip: bool) -> Self {
        Self {
            current: Bytes::new(),
            partial: BytesMut::new(),
            limit,
            gzip,
        }
    }

    /// The next piece of the body.
    pub(crate) fn push(&mut self, piece: Bytes) {
        if self.current.is_empty() {
            self.current = piece;
        } else {
            // Only a caller that has not emptied the last piece comes here.
            let mut joined = BytesMut::with_capacity(self.current.len() + piece.len());
            joined.extend_from_slice(&self.current);
            joined.extend_from_slice(&piece);
            self.current = joined.freeze();
        }
    }

    /// The next whole message, uncompressed; none until more pieces have come.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, FrameFault> {
        if self.partial.is_empty() {
            // Most pieces hold whole frames: those are cut out without copying.
            if let Some(header) = self.current.first_chunk::<FRAME_HEADER>() {
                let (flag, length) = self.header(*header)?;
                if self.current.len() - FRAME_HEADER >= length {
                    self.current.advance(FRAME_HEADER);
                    let message = self.current.split_to(length);
                    return self.message(flag, message).map(Some);
                }
            }
            if self.current.is_empty() {
                return Ok(None);
            }
        }
        self.next_in_parts()
    }

    fn next_in_parts(&mut self) -> Result<Option<Bytes>, FrameFault> {
        self.take(FRAME_HEADER);
        let Some(header) = self.partial.first_chunk::<FRAME_HEADER>() else {
            return Ok(None);
        };
        let (flag, length) = self.header(*header)?;
        let whole = FRAME_HEADER + length;
        let arrived = self.partial.len() + self.current.len();
        if self.partial.capacity() < whole.min(arrived) {
            let room = whole.min(arrived.saturating_mul(ROOM));
            self.partial.reserve(room - self.partial.len());
        }
        self.take(whole);
        if self.partial.len() < whole {
            return Ok(None);
        }
        let mut frame = std::mem::take(&mut self.partial).freeze();
        frame.advance(FRAME_HEADER);
        self.message(flag, frame).map(Some)
    }

    /// Whether the body may end here.
    pub(crate) fn finish(&self) -> Result<(), FrameFault> {
        if self.partial.is_empty() && self.current.is_empty() {
            Ok(())
        } else {
            Err(FrameFault::Cut)
        }
    }

    /// Moves bytes until the partial frame has `whole`.
    fn take(&mut self, whole: usize) {
        let wanted = whole
            .saturating_sub(self.partial.len())
            .min(self.current.len());
        self.partial
            .extend_from_slice(&self.current.split_to(wanted));
    }

    fn header(&self, header: [u8; FRAME_HEADER]) -> Result<(bool, usize), FrameFault> {
        let [flag, a, b, c, d] = header;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if flag > 1 || (flag == 1 && !self.gzip) {
            return Err(FrameFault::Compression);
        }
        if length > self.limit {
            return Err(FrameFault::TooLong { limit: self.limit });
        }
        Ok((flag == 1, length))
    }

    fn message(&self, is_compressed: bool, bytes: Bytes) -> Result<Bytes, FrameFault> {
        if is_compressed {
            gunzip(&bytes, self.limit)
        } else {
            Ok(bytes)
        }
    }
}

/// Decompresses up to `limit` bytes; a stream of more is refused after that many, however far it would expand.
pub(crate) fn gunzip(compressed: &[u8], limit: usize) -> Result<Bytes, FrameFault> {
    let mut out = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    flate2::read::MultiGzDecoder::new(compressed)
        .take(most)
        .read_to_end(&mut out)
        .map_err(|_| FrameFault::Damaged)?;
    if out.len() > limit {
        return Err(FrameFault::TooLong { limit });
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
        let mut frame = vec![flag];
        frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(message);
        frame
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn all(deframer: &mut Deframer, piece: &[u8]) -> Result<Vec<Bytes>, FrameFault> {
        deframer.push(Bytes::copy_from_slice(piece));
        let mut found = Vec::new();
        while let Some(message) = deframer.next()? {
            found.push(message);
        }
        Ok(found)
    }

    #[test]
    fn the_cuts_between_pieces_do_not_matter() {
        let messages: [&[u8]; 4] = [b"one", b"", b"three", &[7; 300]];
        let mut stream = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            match index {
                2 => stream.extend(framed(1, &gzip(message))),
                _ => stream.extend(framed(0, message)),
            }
        }
        for size in 1..=stream.len() {
            let mut deframer = Deframer::new(1000, true);
            let found: Vec<Bytes> = stream
                .chunks(size)
                .flat_map(|piece| all(&mut deframer, piece).unwrap())
                .collect();
            assert_eq!(found, messages, "pieces of {size}");
            assert_eq!(deframer.finish(), Ok(()));
        }
    }

    #[test]
    fn room_is_made_by_what_has_come_and_not_by_what_is_claimed() {
        let mut claimed = vec![0];
        claimed.extend((1_u32 << 30).to_be_bytes());
        claimed.extend([7; 1000]);
        let mut deframer = Deframer::new(1 << 30, false);
        assert_eq!(all(&mut deframer, &claimed), Ok(vec![]));
        let room = deframer.partial.capacity();
        assert!(room <= ROOM * claimed.len(), "{room}");
        let usual = framed(0, &[7; 4096]);
        let mut deframer = Deframer::new(1 << 30, false);
        assert_eq!(all(&mut deframer, &usual[..1024]), Ok(vec![]));
        assert_eq!(deframer.partial.capacity(), usual.len());
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let mut deframer = Deframer::new(4, false);
        assert_eq!(
            all(&mut deframer, &framed(0, b"12345")),
            Err(FrameFault::TooLong { limit: 4 })
        );
        let mut deframer = Deframer::new(4, false);
        assert_eq!(
            all(&mut deframer, &framed(1, b"x")),
            Err(FrameFault::Compression)
        );
        let mut deframer = Deframer::new(4, true);
        assert_eq!(
            all(&mut deframer, &framed(1, b"x")),
            Err(FrameFault::Damaged)
        );
        let mut deframer = Deframer::new(4, true);
        assert_eq!(all(&mut deframer, &[2]), Ok(vec![]));
        assert_eq!(deframer.finish(), Err(FrameFault::Cut));
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit() {
        let bomb = gzip(&vec![0; 10_000_000]);
        assert_eq!(
            gunzip(&bomb, 1000),
            Err(FrameFault::TooLong { limit: 1000 })
        );
        assert_eq!(gunzip(&bomb, 10_000_000).unwrap().len(), 10_000_000);
    }
}
