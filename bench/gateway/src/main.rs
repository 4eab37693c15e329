//! What the gateway costs beside Envoy and beside handlers written by hand.
//!
//! `serve` is one of the servers, `compare` starts them all and measures, `router` times route lookups.

mod measure;
mod model;
mod proto;
mod router;
mod serve;

use std::{net::SocketAddr, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The allocator of all Rust servers alike: half the time of a listing is allocation with the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves until the process is ended.
    Serve {
        kind: serve::Kind,
        address: SocketAddr,
    },
    /// Times route lookups alone.
    Router,
    /// Measures, writes the results, and fails when a gate does.
    Compare(measure::Options),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Serve { kind, address } => serve::serve(kind, address).map(|()| true),
        Command::Router => measure::routes(),
        Command::Compare(options) => measure::compare(&options),
    };
    match report(done) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn report(done: Result<bool>) -> bool {
    done.unwrap_or_else(|error| {
        let line = format!("pulpo-gateway-bench: {error:#}\n");
        // There is nowhere else to say it.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
        false
    })
}
