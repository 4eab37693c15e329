//! Escrow: money of an approved payment that is held in the payer's wallet until it is released or goes back.
//!
//! What is promised:
//! - What may happen is one pure function, [`state::step`]. Release, refund, dispute and expiry lock the escrow's row and
//!   ask it, so of those that race one wins and the others are told that it is over.
//! - Each side can only give to the other: the paying organisation releases, the receiving one refunds. Both may dispute.
//! - Money leaves the held account once: to the payee with the payment settled, or back to the payer.
//!
//! `terms` is what a request asks for, `rows` the table, `verbs` what callers do, `change` what it does to money and
//! history. Time is `super::lapse`.

mod change;
mod rows;
mod service;
pub mod state;
mod terms;
mod verbs;

pub(super) use change::lapse;
pub(super) use rows::{EscrowRow, find, insert_all, is_due};
pub(super) use terms::Terms;
