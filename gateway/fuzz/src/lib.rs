//! What the fuzz targets share: each checks one part of the gateway against a slow and independent reading of the same
//! input, and panics where the two differ.
//!
//! The oracle for messages is prost-reflect's `DynamicMessage` and its serde form. `departures` holds the differences that
//! are the oracle's own, each as narrow as it can be told.

pub mod departures;
mod known;
pub mod messages;
pub mod query;
pub mod read_json;
#[path = "../../tests/reference/mod.rs"]
pub(crate) mod reference;
pub mod route;
pub mod stream;
pub mod strict;
pub mod write_json;
