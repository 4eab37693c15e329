//! Who is calling: users, organisations, memberships and roles, API keys of every kind, tokens.

pub mod authenticate;
pub mod caller;
pub mod digest;
pub mod keys;
pub mod schema;
pub mod tokens;
pub mod users;
mod words;

pub use authenticate::{Authenticator, authorize};
pub use caller::{Caller, Principal};
pub use keys::KeyRow;
pub use tokens::Tokens;
