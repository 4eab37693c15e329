//! The Connect protocol as a client sees it, in front of a tonic service with one method of each kind.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod checks;
mod get;
mod headers;
mod heads;
mod streams;
mod support;
mod unary;
