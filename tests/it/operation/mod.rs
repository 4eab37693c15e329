//! The program as its operator runs it: roles, rotation, traces, and a database that dies.

mod housekeeping;
mod postgres;
pub(crate) mod program;
mod roles;
mod rotation;
mod traces;
