//! Integration tests: the whole program behind its public doors, on a real Postgres.
//!
//! Folders mirror the documents: `pulse/payments.rs` holds the tests of the routes of that chapter. `support` starts the
//! program; every test has a database of its own.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod access;
mod bad_input;
mod connect;
mod connections;
mod coverage;
mod crash;
mod deploy;
mod docs;
mod events;
mod grpc;
mod hub;
mod integrations;
mod jobs;
mod operation;
mod pulse;
mod support;
mod transactions;
mod workspace;
