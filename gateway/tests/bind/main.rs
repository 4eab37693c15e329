//! Requests bound by rule, read back with prost-reflect.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod fixture;
mod query;
mod request;
mod rule;
