//! The program in front of a real gRPC server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod drain;
mod gateway;
mod rest;
mod upstream;
