//! The payments API, by the chapters of its document.

mod limits;
mod payments;
mod platform;
mod policies;
mod wallets;
