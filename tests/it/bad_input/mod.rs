//! Input no client should send, clients that are slow or go away, and a database that is gone: every route of the
//! contract answers in its surface's documented shape, never with a fault of ours, and writes nothing.

mod bodies;
mod caller;
mod outage;
mod paths;
mod protocol;
mod routes;
mod rows;
mod shapes;
mod slow;
mod wire;
