//! Figures and gates as a table.

use std::{fmt::Write, path::Path};

use anyhow::{Result, bail};

/// On which side of its limit a figure must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sense {
    AtLeast,
    AtMost,
}

/// What a figure must keep, and what it should.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limit {
    sense: Sense,
    limit: f64,
    aim: f64,
}

/// At least this; that would be better.
pub(crate) fn at_least(limit: f64, aim: f64) -> Limit {
    Limit {
        sense: Sense::AtLeast,
        limit,
        aim,
    }
}

/// At most this; that would be better.
pub(crate) fn at_most(limit: f64, aim: f64) -> Limit {
    Limit {
        sense: Sense::AtMost,
        limit,
        aim,
    }
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Report {
    table: String,
    failed: Vec<String>,
    /// When the last line was written.
    cpu: Cpu,
}

/// The processors' time so far, in ticks, and how much of it the host gave to others.
#[derive(Clone, Copy, Debug, Default)]
struct Cpu {
    all: u64,
    stolen: u64,
}

impl Cpu {
    /// Ticks that are too few to say anything.
    const FEW: u64 = 50;

    fn now() -> Self {
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let first = stat.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = first
            .split_whitespace()
            .skip(1)
            .take(8)
            .filter_map(|word| word.parse().ok())
            .collect();
        Self {
            all: ticks.iter().sum(),
            stolen: ticks.get(7).copied().unwrap_or_default(),
        }
    }

    /// The share that was stolen since, in percent; empty when hardly any time has passed.
    fn stolen_since(self, before: Self) -> String {
        let (all, stolen) = (self.all - before.all, self.stolen - before.stolen);
        match all >= Self::FEW {
            true => format!("{} %", stolen * 100 / all),
            false => String::new(),
        }
    }
}

/// The median.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn told(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let digits = if most >= 100.0 { 0 } else { 2 };
    format!(
        "{:.digits$} ({least:.digits$}–{most:.digits$})",
        median(values)
    )
}

impl Report {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            table: String::new(),
            failed: Vec::new(),
            cpu: Cpu::now(),
        }
    }

    /// A figure without a gate.
    pub(crate) fn figure(&mut self, name: &str, values: &[f64]) {
        self.line(&format!("| {name} | {} | | | |", told(values)));
    }

    /// A figure whose median must keep a limit.
    pub(crate) fn gate(&mut self, name: &str, values: &[f64], limit: Limit) {
        let median = median(values);
        let Limit { sense, limit, aim } = limit;
        let (sign, holds) = match sense {
            Sense::AtLeast => ("≥", median >= limit),
            Sense::AtMost => ("≤", median <= limit),
        };
        if !holds {
            self.failed.push(name.to_owned());
        }
        let verdict = if holds { "yes" } else { "**no**" };
        self.line(&format!(
            "| {name} | {} | {sign} {limit} | {sign} {aim} | {verdict} |",
            told(values)
        ));
    }

    #[expect(clippy::print_stderr, reason = "progress for whoever waits")]
    fn line(&mut self, line: &str) {
        let cpu = Cpu::now();
        let line = format!("{line} {} |", cpu.stolen_since(self.cpu));
        self.cpu = cpu;
        eprintln!("{line}");
        let _ = writeln!(self.table, "{line}");
    }

    /// Writes the table, and fails when a gate did.
    pub(crate) fn end(self, file: Option<&Path>) -> Result<()> {
        if let Some(file) = file {
            std::fs::write(file, page(&self.table))?;
        }
        if !self.failed.is_empty() {
            bail!("gates that did not hold: {}", self.failed.join(", "));
        }
        Ok(())
    }
}

fn page(table: &str) -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("an unknown processor", |rest| {
            rest.trim_start_matches([' ', '\t', ':'])
        });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "# Payments: measured on {}\n\n{cores} cores of {model}. Server, Postgres, pgbench and load share them. Medians of rounds, \
         with their range. Stolen is the share of the processors' time that the host gave to others while it was measured.\n\n\
         | what | measured | must hold | aim | holds | stolen |\n| --- | --- | --- | --- | --- | --- |\n{table}",
        chrono::Utc::now().format("%Y-%m-%d")
    )
}
