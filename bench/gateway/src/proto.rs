//! The benchmark's messages and service, and the descriptor set they come from.

#![expect(
    unreachable_pub,
    clippy::allow_attributes_without_reason,
    reason = "generated code; the documentation stands in the .proto file"
)]

include!(concat!(env!("OUT_DIR"), "/bench.rs"));

/// The encoded `FileDescriptorSet` of the service, extension options included.
pub(crate) const DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
