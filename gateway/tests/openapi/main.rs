//! Documents about a surface that has everything: the whole text, and that what it says is what the gateway does.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agreement;
mod document;
mod forms;
mod names;
mod security;
mod support;
