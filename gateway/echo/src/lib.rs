//! An echo service behind every face of the gateway: gRPC, gRPC-Web, reflection, Connect and REST, on one port.
//!
//! Tests speak to it in process, real clients over the network.

mod errors;
mod faces;
pub mod proto;
mod service;

pub use self::{
    faces::{Faces, methods, routes, surface},
    service::Echo,
};
