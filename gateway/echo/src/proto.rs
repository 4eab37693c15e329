//! Messages and the server generated from `proto/`, and the descriptor set they come from.

#![expect(
    missing_docs,
    clippy::allow_attributes_without_reason,
    reason = "generated code; the documentation stands in the .proto files"
)]

include!(concat!(env!("OUT_DIR"), "/protos.rs"));

/// The compiled `.proto` file with all it imports, extension options included.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
