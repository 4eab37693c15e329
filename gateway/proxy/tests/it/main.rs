//! The program in front of a real gRPC server.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod descriptors;
mod docs;
mod drain;
mod gateway;
mod gathered;
mod grpc;
mod gzip;
mod log;
mod outage;
mod program;
mod refresh;
mod refused;
mod reload;
mod rest;
mod security;
mod seen;
mod slow;
mod tls;
mod upstream;
