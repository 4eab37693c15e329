//! The program in front of a real gRPC server.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod alone;
mod check;
mod descriptors;
mod docs;
mod drain;
mod forwarded;
mod gateway;
mod gathered;
mod grpc;
mod gzip;
mod head;
mod http2;
mod infrastructure;
mod late;
mod log;
#[path = "../../../tests/streams/messages.rs"]
mod messages;
mod outage;
mod program;
mod refresh;
mod refused;
mod reload;
mod rest;
mod running;
mod scripted;
mod security;
mod seen;
mod server;
mod slow;
mod tls;
mod upstream;
