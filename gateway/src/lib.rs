//! A gRPC to REST transcoder that works directly between JSON text and protobuf wire bytes.
//!
//! A [`surface::Surface`] is compiled once from descriptors: its [`router`] finds the method of a request, its
//! [`bind`]er and [`codec`] write the request message, and [`service::Gateway`] hands it, framed, to a gRPC service in
//! process and prints the reply. Every failure is a [`fault::Fault`] and takes the surface's own error body. With the
//! feature `listen`, `listen` accepts the connections.

pub mod bind;
pub mod codec;
pub mod fault;
#[cfg(feature = "listen")]
pub mod listen;
pub mod percent;
pub mod profile;
pub mod reply;
pub mod request;
pub mod router;
pub mod service;
pub mod surface;
pub mod template;
mod wire;
