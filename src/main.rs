//! The program. Everything is in the library; see `pulpo::cli`.

use std::process::ExitCode;

use clap::Parser;
use pulpo::cli::{self, Arguments};

/// Half the time of a listing is allocation with the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Logs may not be set up yet, or be JSON; this is for whoever typed the command.
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("pulpo: {error:#}\n").as_bytes(),
            );
            ExitCode::FAILURE
        }
    }
}
