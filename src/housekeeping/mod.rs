//! Housekeeping: rows whose time is over are removed, in small batches beside the requests.
//!
//! It promises that a round touches a bounded number of rows, never waits for a lock and never makes anybody wait long,
//! and that any number of workers may run it at once. What is swept stands in `sweeps`.

mod sweeps;

use std::{fmt, time::Duration};

use diesel::sql_types::{BigInt, Timestamptz};
use diesel_async::RunQueryDsl;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{clock::Clock, config, db::Db, error::Result};

pub use sweeps::{SWEEPS, Sweep};

/// Batches of one sweep in one round; what is left waits for the next round.
const BATCHES_PER_ROUND: u32 = 100;

/// Removes what has expired; cheap to clone.
#[derive(Clone)]
pub struct Housekeeping {
    db: Db,
    clock: Clock,
    interval: Duration,
    batch_rows: u32,
}

/// What one round did: rows by the name of the sweep, in the order of [`SWEEPS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report(Vec<(&'static str, usize)>);

impl Report {
    /// The rows of all sweeps.
    pub fn rows(&self) -> usize {
        self.0.iter().map(|(_, rows)| rows).sum()
    }

    /// The rows of one sweep; 0 for a name that is none.
    pub fn rows_of(&self, name: &str) -> usize {
        let of = self.0.iter().find(|(sweep, _)| *sweep == name);
        of.map_or(0, |(_, rows)| *rows)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = "";
        for (name, rows) in self.0.iter().filter(|(_, rows)| *rows > 0) {
            write!(f, "{before}{name} {rows}")?;
            before = ", ";
        }
        Ok(())
    }
}

impl Housekeeping {
    /// Housekeeping of this database, as configured; `clock` says what has expired.
    pub fn new(db: Db, clock: Clock, config: &config::Housekeeping) -> Self {
        Self {
            db,
            clock,
            interval: Duration::from_millis(config.interval_ms),
            batch_rows: config.batch_rows,
        }
    }

    /// One round after the other, an interval apart, until `stop`; it then ends after the statement in hand.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let began = Instant::now();
            let outcome = self.round(&stop).await;
            metrics::histogram!("pulpo_housekeeping_duration_seconds").record(began.elapsed());
            let label = if outcome.is_ok() { "done" } else { "failed" };
            metrics::counter!("pulpo_housekeeping_rounds_total", "outcome" => label).increment(1);
            match &outcome {
                Ok(report) if report.rows() > 0 => {
                    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                    tracing::info!(rows = report.rows(), took_ms, %report, "expired rows were swept");
                }
                Ok(_) => {}
                // Once, until it is well again: the next round tries anyhow.
                Err(error) if !failing => {
                    tracing::warn!(%error, "housekeeping failed; tried again with the next round");
                }
                Err(_) => {}
            }
            failing = outcome.is_err();
        }
    }

    /// Sweeps everything that has expired by now, within the bounds of a round.
    ///
    /// # Errors
    /// The first failure; the sweeps after the failed one were tried all the same.
    pub async fn round(&self, stop: &CancellationToken) -> Result<Report> {
        let (mut report, mut failure) = (Report::default(), None);
        for sweep in SWEEPS {
            match self.sweep(sweep, stop).await {
                Ok(rows) => report.0.push((sweep.name, rows)),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(report), Err)
    }

    async fn sweep(&self, sweep: Sweep, stop: &CancellationToken) -> Result<usize> {
        let now = self.clock.now();
        let mut swept = 0;
        for _ in 0..BATCHES_PER_ROUND {
            if stop.is_cancelled() {
                break;
            }
            // A connection a batch: requests that wait for one come between.
            let mut conn = self.db.connection().await?;
            let rows = diesel::sql_query(sweep.statement)
                .bind::<Timestamptz, _>(now)
                .bind::<BigInt, _>(i64::from(self.batch_rows))
                .execute(&mut conn)
                .await?;
            metrics::counter!("pulpo_housekeeping_rows_total", "sweep" => sweep.name)
                .increment(rows as u64);
            swept += rows;
            if rows < self.batch_rows as usize {
                break;
            }
        }
        Ok(swept)
    }
}
