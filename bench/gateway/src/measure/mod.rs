//! The comparison: every server pinned to one core, the load to another, short windows of all of them in turn.
//!
//! What counts is the CPU time of all processes a server consists of, for each request it answered: unlike throughput
//! it does not depend on what else the machine does, and it is what a deployment pays for.

mod cases;
mod envoy;
mod load;
mod memory;
mod process;
mod report;
mod servers;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use cases::Case;
use report::Report;
use servers::{Contender, Servers};

use crate::router;

/// What to measure and where the parts are.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Envoy's program.
    #[arg(long)]
    pub(crate) envoy: PathBuf,
    /// Where the results are written to.
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// Windows of each server and case.
    #[arg(long, default_value_t = 7)]
    pub(crate) rounds: usize,
    /// Seconds of one window.
    #[arg(long, default_value_t = 2)]
    pub(crate) seconds: u64,
    /// Only the cases whose name contains this.
    #[arg(long, default_value = "")]
    pub(crate) only: String,
    /// The core of the servers.
    #[arg(long, default_value_t = 0)]
    pub(crate) server_core: usize,
    /// The core of the load.
    #[arg(long, default_value_t = 1)]
    pub(crate) load_core: usize,
}

/// Microseconds of CPU time for a request, one figure a window.
pub(crate) type Windows = Vec<f64>;

/// Measures everything; true when every gate holds.
pub(crate) fn compare(options: &Options) -> Result<bool> {
    ensure!(options.rounds > 0, "there must be at least one round");
    let servers = Servers::start(options)?;
    let mut report = Report::new(options)?;
    for case in cases::all()
        .iter()
        .filter(|c| c.name.contains(&options.only))
    {
        let contenders = servers.of(case);
        agree(case, &contenders).with_context(|| case.name)?;
        let figures = windows(case, &contenders, options).with_context(|| case.name)?;
        report.add(case, figures);
    }
    if "router".contains(&options.only) {
        report.add_routes(&router::measure()?);
    }
    if "memory".contains(&options.only) {
        report.add_memory(&memory::measure(options)?);
    }
    report.finish(options)
}

/// Route lookups alone; true when they are fast enough.
pub(crate) fn routes() -> Result<bool> {
    Ok(report::Report::default().add_routes(&router::measure()?))
}

/// Every server must give the same answer, or their costs say nothing.
fn agree(case: &Case, contenders: &[&Contender]) -> Result<()> {
    let mut first = None;
    for contender in contenders {
        let answer = load::answer(case, contender)
            .with_context(|| format!("{} does not answer", contender.name))?;
        match &first {
            None => first = Some(answer),
            Some(expected) => ensure!(
                *expected == answer,
                "{} answers otherwise:\n{answer:.300}\n{expected:.300}",
                contender.name
            ),
        }
    }
    Ok(())
}

fn windows(
    case: &Case,
    contenders: &[&Contender],
    options: &Options,
) -> Result<Vec<(servers::Name, Windows)>> {
    let mut figures: Vec<_> = contenders
        .iter()
        .map(|contender| (contender.name, Windows::new()))
        .collect();
    // Round 0 warms up and does not count.
    for round in 0..=options.rounds {
        // Every other round backwards, so that drift hits all alike.
        let order: Vec<usize> = match round % 2 {
            0 => (0..contenders.len()).collect(),
            _ => (0..contenders.len()).rev().collect(),
        };
        for index in order {
            let contender = contenders[index];
            let figure = load::window(case, contender, options)
                .with_context(|| format!("a window of {}", contender.name))?;
            if round > 0 {
                figures[index].1.push(figure);
            }
        }
    }
    Ok(figures)
}
