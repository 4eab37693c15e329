//! Who is calling: users, organisations, memberships and roles, API keys of every kind, tokens.

pub mod caller;

pub use caller::{Caller, Principal};
