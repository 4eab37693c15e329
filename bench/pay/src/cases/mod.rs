//! The cases, each with the organisations it needs.

mod backtest;
mod deliveries;
mod payments;
mod windows;

use std::time::Duration;

use anyhow::Result;

use crate::{
    Options,
    load::{Load, Payers},
    report::{Limit, Report},
    site::Site,
};

/// What measures.
pub(crate) struct Bench {
    options: Options,
    site: Site,
    window: Duration,
}

impl Bench {
    /// Starts the server.
    pub(crate) async fn open(options: Options) -> Result<Self> {
        Ok(Self {
            window: Duration::from_secs(options.seconds),
            site: Site::open(&options.program).await?,
            options,
        })
    }

    /// Measures the cases that are asked for. The one that fills the database most is the last.
    pub(crate) async fn run(&self, report: &mut Report) -> Result<()> {
        if payments::CASES.iter().any(|case| self.wants(case)) {
            payments::run(self, report).await?;
        }
        if self.wants("deliveries") {
            deliveries::run(self, report).await?;
        }
        if self.wants("backtest") {
            backtest::run(self, report).await?;
        }
        if self.wants("windows") {
            windows::run(self, report).await?;
        }
        Ok(())
    }

    fn wants(&self, case: &str) -> bool {
        case.starts_with(&self.options.only)
    }

    /// As many payments as these clients can make, for one window.
    fn load(&self, clients: usize, payers: Payers) -> Load {
        Load {
            clients,
            payers,
            rate: None,
            length: self.window,
        }
    }

    /// Measures two things in turns.
    async fn rounds(
        &self,
        mut theirs: impl AsyncFnMut() -> Result<f64>,
        mut ours: impl AsyncFnMut() -> Result<f64>,
    ) -> Result<Rounds> {
        let mut rounds = Rounds::default();
        for _ in 0..self.options.rounds {
            let (theirs, ours) = (theirs().await?, ours().await?);
            rounds.push(theirs, ours);
        }
        Ok(rounds)
    }

    /// Measures one thing as often.
    async fn repeated(&self, mut measure: impl AsyncFnMut() -> Result<f64>) -> Result<Vec<f64>> {
        let mut measured = Vec::new();
        for _ in 0..self.options.rounds {
            measured.push(measure().await?);
        }
        Ok(measured)
    }
}

/// What was measured in turns, and the ratios of ours to theirs, round by round.
#[derive(Debug, Default)]
struct Rounds {
    ours: Vec<f64>,
    theirs: Vec<f64>,
    ratios: Vec<f64>,
}

impl Rounds {
    fn push(&mut self, theirs: f64, ours: f64) {
        self.ratios.push(ours / theirs);
        self.theirs.push(theirs);
        self.ours.push(ours);
    }

    /// Both as figures, and their ratio: as a gate where there is a limit.
    fn tell(&self, report: &mut Report, ours: &str, theirs: &str, ratio: (&str, Option<Limit>)) {
        report.figure(ours, &self.ours);
        report.figure(theirs, &self.theirs);
        match ratio {
            (name, Some(limit)) => report.gate(name, &self.ratios, limit),
            (name, None) => report.figure(name, &self.ratios),
        }
    }
}
