//! The gateway as a program of its own: REST in front of any gRPC server.
//!
//! `args` and `config` say what to serve, `descriptors` and `catalog` compile it, `upstream` calls the servers, `front`
//! answers clients, and `run` puts it together.

pub mod args;
pub mod catalog;
pub mod config;
pub mod descriptors;
pub mod errors;
pub mod front;
pub mod run;
pub mod upstream;
