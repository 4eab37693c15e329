//! Who does what, and when: the handlers of the kinds of jobs, and the schedules. Domains add theirs; it is built once, for
//! the roles that work.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};

use super::{Job, Schedule};
use crate::error;

/// What does the jobs of a kind.
#[async_trait::async_trait]
pub trait Handler: Send + Sync {
    /// Does the job, outside of any transaction. It may run more than once, so it must be repeatable; what must happen
    /// once is written in a transaction that asks [`super::holds`] first. It may be dropped at any await: when the program
    /// stops, or when its lease is lost.
    ///
    /// # Errors
    /// Whatever kept it from its work: it is tried again later.
    async fn run(&self, job: &Job) -> error::Result<()>;
}

/// A kind of jobs.
#[derive(Clone)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// What does them.
    pub handler: Arc<dyn Handler>,
    /// How many run at the same time in one process; of one organisation at most half of them, see [`crate::shares`].
    pub concurrency: u32,
    /// Attempts before a job is given up.
    pub attempts_max: i32,
    /// How long one attempt may take.
    pub timeout: Duration,
}

impl Kind {
    /// A kind with the usual bounds: 4 at the same time, 10 attempts, 10 minutes.
    pub fn new(name: &'static str, handler: Arc<dyn Handler>) -> Self {
        Self {
            name,
            handler,
            concurrency: 4,
            attempts_max: 10,
            timeout: Duration::from_secs(600),
        }
    }
}

/// A schedule that enqueues jobs of a kind, with `{"slot_at": …}` as their payload.
#[derive(Clone, Copy, Debug)]
pub struct Scheduled {
    /// Its name; never to be changed.
    pub name: &'static str,
    /// When.
    pub schedule: Schedule,
    /// Which jobs.
    pub kind: &'static str,
}

/// Kinds and schedules.
#[derive(Clone, Default)]
pub struct Registry {
    pub(super) kinds: Vec<Kind>,
    pub(super) schedules: Vec<Scheduled>,
}

impl Registry {
    /// Adds a kind.
    pub fn kind(&mut self, kind: Kind) -> &mut Self {
        self.kinds.push(kind);
        self
    }

    /// Adds a schedule. A slot that passes while no worker runs is caught up with once: of several the latest.
    pub fn schedule(
        &mut self,
        name: &'static str,
        schedule: Schedule,
        kind: &'static str,
    ) -> &mut Self {
        self.schedules.push(Scheduled {
            name,
            schedule,
            kind,
        });
        self
    }

    /// Checks it.
    ///
    /// # Errors
    /// A name that stands twice, a schedule without handler, or a bound of zero.
    pub fn check(&self) -> Result<()> {
        for (i, kind) in self.kinds.iter().enumerate() {
            ensure!(
                self.kinds[..i].iter().all(|other| other.name != kind.name),
                "two handlers of jobs {}",
                kind.name
            );
            ensure!(
                kind.concurrency > 0 && kind.attempts_max > 0,
                "jobs {} could never run",
                kind.name
            );
        }
        for (i, scheduled) in self.schedules.iter().enumerate() {
            let before = &self.schedules[..i];
            ensure!(
                before.iter().all(|other| other.name != scheduled.name),
                "two schedules {}",
                scheduled.name
            );
            ensure!(
                self.kinds.iter().any(|kind| kind.name == scheduled.kind),
                "nothing does the jobs of the schedule {}",
                scheduled.name
            );
        }
        Ok(())
    }
}
