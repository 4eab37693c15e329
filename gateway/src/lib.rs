//! A gRPC to REST transcoder that works directly between JSON text and protobuf wire bytes.
//!
//! A [`surface::Surface`] is compiled once from descriptors: its [`router`] finds the method of a request, its
//! [`bind`]er and [`codec`] write the request message, and [`service::Gateway`] hands it, framed, to a gRPC service in
//! process and prints the reply. Every failure is a [`fault::Fault`] and takes the surface's own error body. With the
//! feature `listen`, `listen` accepts the connections.

pub mod bind;
mod call;
pub mod codec;
mod compress;
pub mod connect;
pub mod deadline;
mod detail;
mod exchange;
pub mod fault;
mod frame;
pub mod framing;
#[cfg(feature = "listen")]
pub mod listen;
mod lookup;
pub mod metadata;
pub mod openapi;
mod origin;
pub mod percent;
pub mod problem;
pub mod profile;
pub mod reply;
mod request;
pub mod router;
pub mod server;
pub mod service;
pub mod services;
pub mod surface;
pub mod template;
pub mod tonic_codec;
pub mod trace;
mod wire;
