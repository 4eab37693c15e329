//! Payments beside `pgbench` on the same Postgres: through the REST door, everything written, fsync on.
//!
//! The server is the program as it is delivered, with its own Postgres in an empty folder; only the rate limits are
//! raised. Rounds of what is compared are interleaved, and ratios are of rounds that follow one another. Fails when a gate
//! does.

mod cases;
mod groups;
mod http;
mod load;
mod organization;
mod past;
mod pgbench;
mod receiver;
mod report;
mod site;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

use crate::{cases::Bench, report::Report};

/// What to measure.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Options {
    /// The program.
    #[arg(long, default_value = "target/release/pulpo")]
    program: PathBuf,
    /// Where the results go; the terminal when absent.
    #[arg(long)]
    results: Option<PathBuf>,
    /// Rounds of each comparison.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each window.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Past payments of the organisation whose windows are large; ten million take 8 GB for a while.
    #[arg(long, default_value_t = 10_000_000)]
    past: u64,
    /// Only the cases whose name begins with this.
    #[arg(long, default_value = "")]
    only: String,
}

/// One thread makes the load, as in `pgbench`: it shares the processors with what it measures.
#[tokio::main(worker_threads = 1)]
async fn main() -> Result<()> {
    let options = Options::parse();
    let results = options.results.clone();
    let bench = Bench::open(options).await?;
    let mut report = Report::new();
    bench.run(&mut report).await?;
    report.end(results.as_deref())
}
