//! What the runner and the testee say to each other: the messages of `conformance/conformance.proto`, as far as JSON and the
//! binary format need them, each with its length as four little-endian bytes in front.

use std::io::{self, ErrorKind, Read, Write};

use prost::Message;

/// Longest request taken, in bytes; the runner's longest are a few megabytes.
const REQUEST_BYTES_MAX: u32 = 64 << 20;

/// `conformance.WireFormat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Format {
    Unspecified = 0,
    Protobuf = 1,
    Json = 2,
    Jspb = 3,
    Text = 4,
}

/// `conformance.TestCategory`, the one that changes what the testee does.
pub(crate) const IGNORE_UNKNOWN: i32 = 3;

/// `conformance.ConformanceRequest`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Request {
    #[prost(oneof = "Payload", tags = "1, 2, 7, 8")]
    pub(crate) payload: Option<Payload>,
    #[prost(enumeration = "Format", tag = "3")]
    pub(crate) requested_output_format: i32,
    #[prost(string, tag = "4")]
    pub(crate) message_type: String,
    #[prost(int32, tag = "5")]
    pub(crate) test_category: i32,
}

/// The message to be converted.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Payload {
    #[prost(bytes, tag = "1")]
    Protobuf(Vec<u8>),
    /// A `string` in the protocol; taken as bytes, so that what is not UTF-8 reaches the codec.
    #[prost(bytes, tag = "2")]
    Json(Vec<u8>),
    #[prost(bytes, tag = "7")]
    Jspb(Vec<u8>),
    #[prost(bytes, tag = "8")]
    Text(Vec<u8>),
}

/// `conformance.ConformanceResponse`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Response {
    #[prost(oneof = "Outcome", tags = "1, 3, 4, 5, 6")]
    pub(crate) result: Option<Outcome>,
}

/// What came of it.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Outcome {
    #[prost(string, tag = "1")]
    ParseError(String),
    #[prost(bytes, tag = "3")]
    Protobuf(Vec<u8>),
    #[prost(bytes, tag = "4")]
    Json(Vec<u8>),
    #[prost(string, tag = "5")]
    Skipped(String),
    #[prost(string, tag = "6")]
    SerializeError(String),
}

/// The next request; nothing once the runner has closed the pipe.
pub(crate) fn receive(input: &mut impl Read) -> io::Result<Option<Request>> {
    let mut length = [0; 4];
    match input.read_exact(&mut length) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    let length = u32::from_le_bytes(length);
    if length > REQUEST_BYTES_MAX {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            "a request is too long",
        ));
    }
    let mut request = vec![0; length as usize];
    input.read_exact(&mut request)?;
    Request::decode(request.as_slice())
        .map(Some)
        .map_err(|fault| io::Error::new(ErrorKind::InvalidData, fault))
}

pub(crate) fn send(output: &mut impl Write, response: &Response) -> io::Result<()> {
    let bytes = response.encode_to_vec();
    let length = u32::try_from(bytes.len())
        .map_err(|_| io::Error::new(ErrorKind::InvalidData, "a response is too long"))?;
    output.write_all(&length.to_le_bytes())?;
    output.write_all(&bytes)?;
    output.flush()
}
