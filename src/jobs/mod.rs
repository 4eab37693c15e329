//! Jobs: work outside of requests, kept in Postgres.
//!
//! What is promised:
//! - A job is written in the transaction that makes it necessary, so it exists exactly when that was committed.
//! - It is done at least once: a worker holds it under a lease, works outside of any transaction, and finishes it only
//!   while the lease is its own. A worker that dies loses its leases to others; one that stops gives them back.
//! - Jobs of one ordering key run one at a time and in order, whatever the number of workers; a job that fails is tried
//!   again before the next one of its key, until it is given up as a dead letter.
//! - A schedule enqueues one job a slot, whatever the number of workers.
//!
//! `queue` has the statements, `registry` who does what, `schedule` the instants, `worker` the loop.

mod queue;
pub mod registry;
pub mod schedule;
mod scheduler;
pub mod worker;

pub use queue::{Job, NewJob, enqueue, holds};
pub use registry::{Handler, Kind, Registry};
pub use schedule::Schedule;
pub use worker::Worker;
