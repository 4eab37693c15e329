//! The gateway as a program of its own: REST in front of any gRPC server.
//!
//! `args` and `config` say what to serve; `descriptors` and `catalog` compile it, again and again as `reload` has it;
//! `upstream` calls the servers; `front` answers clients, `record` remembers each request for `metrics` and `access`;
//! `health` and `admin` answer operators; `run` puts it together.

pub mod access;
pub mod admin;
pub mod args;
pub mod catalog;
pub mod config;
pub mod descriptors;
pub mod errors;
pub mod front;
pub mod health;
pub mod metrics;
pub mod record;
pub mod reload;
pub mod run;
mod tls;
pub mod upstream;
mod watch;
