//! Messages to bytes for tonic, with buffers of the messages' own size.
//!
//! tonic's own codec sets 8 KiB aside for every call in each direction, and a stream keeps them for as long as it lasts:
//! too much for ten thousand silent streams, and most messages are far smaller. `pulpo-gateway-build` generates services
//! with this one.

use std::marker::PhantomData;

use bytes::{Buf, BufMut};
use prost::Message;
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

/// What a buffer begins with; a longer message makes it as long as it needs.
const BUFFER_BYTES: usize = 512;
/// Messages of a stream that are ready are sent together up to this many bytes, as tonic does.
const YIELD_BYTES: usize = 32 * 1024;

/// Encodes `T`, decodes `U`.
pub struct MessageCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for MessageCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for MessageCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = MessageEncoder<T>;
    type Decoder = MessageDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        MessageEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        MessageDecoder(PhantomData)
    }
}

/// Encodes messages of one type.
pub struct MessageEncoder<T>(PhantomData<T>);

impl<T: Message> Encoder for MessageEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        // Into a plain vector first: one copy of the whole is cheaper than the bookkeeping of `BytesMut` for each field.
        let mut encoded = Vec::with_capacity(message.encoded_len());
        message.encode_raw(&mut encoded);
        buffer.put_slice(&encoded);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}

/// Decodes messages of one type.
pub struct MessageDecoder<U>(PhantomData<U>);

impl<U: Message + Default> Decoder for MessageDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let message = decoded(buffer.chunk())?;
        buffer.advance(buffer.remaining());
        Ok(Some(message))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}

/// One message of its bytes.
pub(crate) fn decoded<U: Message + Default>(bytes: &[u8]) -> Result<U, Status> {
    U::decode(bytes)
        .map_err(|fault| Status::internal(format!("the message cannot be decoded: {fault}")))
}
