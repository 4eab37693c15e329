//! Payments beside `pgbench` on the same Postgres: through the REST door, everything written, fsync on.
//!
//! The server is the program as it is delivered, with its own Postgres in an empty folder; only the rate limits are
//! raised. Rounds of both are interleaved, and ratios are of rounds that follow one another. Fails when a gate does.

mod http;
mod load;
mod pgbench;
mod report;
mod site;

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use clap::Parser;

use crate::{
    load::Payers,
    pgbench::PgBench,
    report::{Report, Sense},
    site::Site,
};

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
    /// Only the cases whose name begins with this.
    #[arg(long, default_value = "")]
    only: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let bench = Bench {
        window: Duration::from_secs(options.seconds),
        site: Site::open(&options.program).await?,
        options,
    };
    let mut report = Report::default();
    let pgbench = PgBench::new()?;
    if bench.wants("throughput") {
        bench.throughput(&pgbench, &mut report).await?;
    }
    if bench.wants("hot") {
        bench.hot(&pgbench, &mut report).await?;
    }
    if bench.wants("alone") {
        bench.alone(&pgbench, &mut report).await?;
    }
    report.end(bench.options.results.as_deref())
}

struct Bench {
    options: Options,
    site: Site,
    window: Duration,
}

impl Bench {
    fn wants(&self, case: &str) -> bool {
        case.starts_with(&self.options.only)
    }

    /// Many wallets, many clients; then half of that load.
    async fn throughput(&self, pgbench: &PgBench, report: &mut Report) -> Result<()> {
        pgbench.fill(50)?;
        let (mut ratios, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.options.rounds {
            let rival = pgbench.per_second(64, self.window)?;
            let run = load::pay(&self.site, 64, Payers::All, None, self.window).await?;
            ratios.push(run.per_second / rival);
            ours.push(run.per_second);
            theirs.push(rival);
        }
        report.figure("payments/s, 64 clients, 1,000 wallets", &ours);
        report.figure("pgbench -c 64, scale 50, transactions/s", &theirs);
        report.gate(
            "payments : pgbench, 64 clients",
            &ratios,
            Sense::AtLeast,
            0.8,
            1.2,
        );
        let rate = report::median(&ours) / 2.0;
        let mut tails = Vec::new();
        for _ in 0..self.options.rounds {
            let run = load::pay(&self.site, 64, Payers::All, Some(rate), self.window).await?;
            tails.push(run.quantile(0.99).as_secs_f64() * 1000.0);
        }
        report.gate(
            "p99 at half of that load, ms",
            &tails,
            Sense::AtMost,
            25.0,
            10.0,
        );
        Ok(())
    }

    /// One wallet that everybody pays from.
    async fn hot(&self, pgbench: &PgBench, report: &mut Report) -> Result<()> {
        pgbench.fill(1)?;
        let (mut ratios, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.options.rounds {
            let rival = pgbench.per_second(32, self.window)?;
            let run = load::pay(&self.site, 32, Payers::One, None, self.window).await?;
            ratios.push(run.per_second / rival);
            ours.push(run.per_second);
            theirs.push(rival);
        }
        report.figure("payments/s, 32 clients, one payer", &ours);
        report.figure("pgbench -c 32, scale 1, transactions/s", &theirs);
        report.gate(
            "payments : pgbench, one hot row",
            &ratios,
            Sense::AtLeast,
            2.0,
            4.0,
        );
        Ok(())
    }

    /// One client, who must not wait for company.
    async fn alone(&self, pgbench: &PgBench, report: &mut Report) -> Result<()> {
        pgbench.fill(1)?;
        let folder = tempfile::tempdir()?;
        let (mut ratios, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.options.rounds {
            let rival = pgbench.median(folder.path(), self.window)?.as_secs_f64() * 1000.0;
            let run = load::pay(&self.site, 1, Payers::All, None, self.window).await?;
            let median = run.quantile(0.5).as_secs_f64() * 1000.0;
            ratios.push(median / rival);
            ours.push(median);
            theirs.push(rival);
        }
        report.figure("one client, p50, ms", &ours);
        report.figure("pgbench -c 1, p50, ms", &theirs);
        report.gate(
            "one client : pgbench, p50",
            &ratios,
            Sense::AtMost,
            4.0,
            2.0,
        );
        Ok(())
    }
}
