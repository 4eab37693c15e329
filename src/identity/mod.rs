//! Who is calling: users, organisations, memberships and roles, API keys of every kind, tokens.
//!
//! Rows and their queries are one file a table; `accounts` and `authenticate` are what the doors call, `admin` what the
//! operator calls. Secrets (passwords, keys, tokens) are stored as digests only.

pub mod accounts;
pub mod admin;
pub mod authenticate;
pub mod caller;
pub mod digest;
pub mod invitations;
pub mod keys;
pub mod memberships;
pub mod organizations;
mod passwords;
pub mod refresh_tokens;
pub mod remembered;
pub mod rules;
pub mod schema;
pub mod tokens;
pub mod users;
mod words;

pub use authenticate::{Authenticator, authorize};
pub use caller::{Caller, Principal};
pub use keys::KeyRow;
pub use tokens::Tokens;
