//! Agents: built-in ones that compute over the organisation's own data and payments, and registered ones that are called over
//! HTTP.
//!
//! What is promised:
//! - A run and the job that does it are written in one transaction, so each run that was answered for is done.
//! - A run ends once. Its end is written under the lease of its job, together with the job of its callback; a worker that dies
//!   loses the lease, and another one does the run again. A run whose job was given up without an end fails.
//! - Runs of higher priority are taken first. Calls of registered agents and built-in computations do not wait for each other.
//! - Everything is bounded: inputs, outputs, rows looked at, time, attempts, and the runs an organisation has open.
//!
//! A run's way: `trigger` (read, queue) → `work` (the jobs: `builtin` computes, `http` calls) → `runs` (rows, the end) →
//! `callback`. `registry` and `rows` hold the registered agents, `keys` what signs.

mod builtin;
mod callback;
mod http;
mod keys;
mod registry;
mod rows;
pub(super) mod runs;
mod service;
mod trigger;
mod work;

pub use keys::SEALED;
pub(super) use work::work;

/// The kind of registered agents.
const HTTP: &str = "http";
/// The kind of built-in agents.
const BUILTIN: &str = "builtin";
