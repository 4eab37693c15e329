//! Delivery: signed outgoing HTTP, from an event to its receivers.
//!
//! What is promised:
//! - Each event yields one delivery for each endpoint that wants it, written in the transaction that reads the event.
//! - A delivery is sent at least once, under a lease: while it is held nobody else sends it, and a worker that dies loses it.
//! - Of one endpoint and ordering key only the first pending delivery is sent; the next one waits until it is delivered or
//!   given up.
//! - Only public addresses are reached, whatever a name resolves to, unless the configuration allows others; redirects
//!   are not followed, and time and size of every exchange are bounded.
//!
//! What differs between APIs (headers, schedule, when to stop) is data: a [`Profile`]. A delivery's way: `fanout` writes it,
//! `queue` hands it out and records what became of it, `sender` signs (`signature`) and sends it (`egress`, `address`),
//! `worker` is the loop. A `letter` goes out at once, beside the queue.

pub mod address;
pub mod egress;
pub mod endpoints;
pub mod fanout;
pub mod history;
mod letter;
pub mod profile;
pub mod queue;
pub mod sender;
mod signature;
mod tally;
pub mod worker;

pub use egress::Egress;
pub use letter::Letter;
pub use profile::Profile;
pub use sender::Sender;
pub use worker::Worker;
