//! The codec against an oracle (prost-reflect's messages and their serde form) and against tables of cases.
//!
//! Where the oracle departs from the ProtoJSON text, and the codec does not follow it:
//! - it takes a member given twice, and a map key given twice; the later one counts;
//! - it takes quoted numbers that are no JSON numbers (`"+1"`, `"inf"`, `"1."`) and refuses quoted whole numbers written with
//!   a fraction or an exponent (`"1e2"`), for map keys too;
//! - it takes 9223372036854775808.0 and 18446744073709551616.0 and cuts them to the largest integer;
//! - it takes a leap second, and more than nine digits after the second;
//! - it takes durations such as `1.s` and normalises what the wire holds: parts of different signs, timestamps whose
//!   nanoseconds lie outside a second;
//! - it skips empty paths of a field mask;
//! - it does not print -0.0 in a field without presence, and it refuses enum numbers written `1.0`;
//! - it refuses an Any without type and content, which is `{}`, and prints NaN in a wrapper as null;
//! - it prints `"value":{}` for an Empty in an Any;
//! - it refuses the largest `float` as it prints it itself;
//! - it fails on a field of another wire type than its own, where other decoders take it for an unknown field, and takes a map
//!   entry of any wire type for one with a length.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

mod agree;
mod fields;
mod free;
mod generate;
mod known;
mod limits;
mod masks;
mod merging;
mod numbers;
mod objects;
mod own;
mod profiles;
mod scalars;
mod scramble;
mod writing;
