//! The deployment API (pushpaka).

mod auth;
mod health;
