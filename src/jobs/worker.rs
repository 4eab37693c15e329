//! The loop that does jobs: take, do, record, all for many at once.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::TimeDelta;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use tokio::{
    task::{AbortHandle, Id, JoinError, JoinSet},
    time::{Instant, MissedTickBehavior, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    Job, Registry,
    queue::{self, Outcome, Wanted},
    registry::Kind,
    schedule::backoff,
    scheduler::Scheduler,
};
use crate::{
    clock::Clock,
    db::{Conn, Db, Topic},
    error::{Error, Result},
    ids,
    shares::Shares,
    workers::next_ended,
};

/// How long a job is held before somebody else may take it, unless its lease is extended.
pub const LEASE: TimeDelta = TimeDelta::seconds(60);
/// How often the leases of running jobs are extended.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// How often the worker looks by itself.
const POLL: Duration = Duration::from_secs(1);
/// How long running jobs may go on when the program stops; then they are given back.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest text of an error that is kept, in characters.
const ERROR_CHARS_MAX: usize = 1000;

/// A job that runs.
struct Held {
    job: Job,
    task: AbortHandle,
}

/// Does the jobs of a registry; one in a process.
pub struct Worker {
    db: Db,
    clock: Clock,
    kinds: Vec<Kind>,
    scheduler: Scheduler,
    name: String,
    running: JoinSet<Result<()>>,
    held: HashMap<Id, Held>,
    finished: Vec<(i64, i64, Outcome)>,
}

impl Worker {
    /// A worker of these kinds and schedules.
    pub fn new(db: Db, clock: Clock, registry: &Registry) -> Self {
        Self {
            db,
            clock,
            kinds: registry.kinds.clone(),
            scheduler: Scheduler::new(registry),
            name: ids::short("worker", 12),
            running: JoinSet::new(),
            held: HashMap::new(),
            finished: Vec::new(),
        }
    }

    /// Works until `stop`; then waits shortly for what runs and gives back the rest.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut written = self.db.wake().listen(Topic::Jobs);
        let mut polls = tokio::time::interval(POLL);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heartbeats = tokio::time::interval(HEARTBEAT);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_failing = false;
        while !stop.is_cancelled() {
            written.mark_unchanged();
            let outcome = self.step().await;
            if let (Err(error), false) = (&outcome, is_failing) {
                tracing::warn!(%error, "taking or recording jobs failed; tried again");
            }
            is_failing = outcome.is_err();
            tokio::select! {
                () = stop.cancelled() => {}
                _ = polls.tick() => {}
                _ = heartbeats.tick() => self.extend().await,
                _ = written.changed(), if !is_failing => {}
                ended = next_ended(&mut self.running), if !is_failing => self.note(ended),
            }
        }
        self.stop().await;
    }

    /// Enqueues what schedules want, takes what is due, does it to its end and records it, until nothing is due; answers how
    /// many jobs were done or tried. For commands and tests; the program uses [`Worker::run`].
    ///
    /// # Errors
    /// The database's. Those of jobs are recorded.
    pub async fn drain(&mut self) -> Result<usize> {
        let mut count = 0;
        loop {
            let taken = self.step().await?;
            while let Some(ended) = self.running.join_next_with_id().await {
                self.note(ended);
            }
            self.record().await?;
            if taken == 0 {
                return Ok(count);
            }
            count += taken;
        }
    }

    /// Records what has ended and takes as much as there is room for; answers how many were taken.
    async fn step(&mut self) -> Result<usize> {
        while let Some(ended) = self.running.try_join_next_with_id() {
            self.note(ended);
        }
        self.record().await?;
        self.scheduler.tick(&self.db, self.clock.now()).await?;
        let mut taken = 0;
        loop {
            let jobs = self.claim().await?;
            if jobs.is_empty() {
                return Ok(taken);
            }
            taken += jobs.len();
            for job in jobs {
                self.start(job);
            }
        }
    }

    async fn claim(&mut self) -> Result<Vec<Job>> {
        let wanted: Vec<Wanted<'_>> = self
            .kinds
            .iter()
            .map(|kind| {
                let running = self.held.values().filter(|held| held.job.kind == kind.name);
                let holders = running
                    .clone()
                    .filter_map(|held| held.job.org_id.as_deref());
                let free = (kind.concurrency as usize).saturating_sub(running.count());
                Wanted {
                    kind: kind.name,
                    shares: Shares::new(free, holders),
                }
            })
            .filter(|wanted| wanted.shares.at_once() > 0)
            .collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.clock.now();
        let mut conn = self.db.connection().await?;
        match queue::claim(&mut conn, &wanted, &self.name, now, now + LEASE).await {
            // Two workers may take two jobs of one key at the same moment; the constraint lets one of them, and the other
            // looks again later.
            Err(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => {
                Ok(Vec::new())
            }
            taken => Ok(taken?),
        }
    }

    fn start(&mut self, job: Job) {
        let Some(kind) = self.kinds.iter().find(|kind| kind.name == job.kind) else {
            return;
        };
        if job.attempts > kind.attempts_max {
            // It was taken as often before, and its workers never came to record why.
            let error = "every attempt was interrupted".to_owned();
            self.finished
                .push((job.id, job.token, Outcome::Dead(error)));
            return;
        }
        let (handler, timeout, work) = (Arc::clone(&kind.handler), kind.timeout, job.clone());
        let task = self.running.spawn(async move {
            match tokio::time::timeout(timeout, handler.run(&work)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Error::internal(anyhow::anyhow!("it took too long"))),
            }
        });
        self.held.insert(task.id(), Held { job, task });
    }

    /// Notes what became of a job that has ended.
    fn note(&mut self, ended: std::result::Result<(Id, Result<()>), JoinError>) {
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, outcome.map_err(|error| error.to_string())),
            Err(error) => (error.id(), Err("it panicked".to_owned())),
        };
        let Some(Held { job, .. }) = self.held.remove(&id) else {
            return; // its lease was lost
        };
        let outcome = match outcome {
            Ok(()) => Outcome::Done,
            Err(error) => self.failed(&job, &error),
        };
        let label = match outcome {
            Outcome::Done => "done",
            Outcome::Dead(_) => "dead",
            _ => "failed",
        };
        metrics::counter!("pulpo_jobs_total", "kind" => job.kind.clone(), "outcome" => label)
            .increment(1);
        self.finished.push((job.id, job.token, outcome));
    }

    fn failed(&self, job: &Job, error: &str) -> Outcome {
        let kind = self.kinds.iter().find(|kind| kind.name == job.kind);
        let is_last = kind.is_none_or(|kind| job.attempts >= kind.attempts_max);
        let text: String = error.chars().take(ERROR_CHARS_MAX).collect();
        if is_last {
            tracing::error!(job = job.id, kind = job.kind, error, "a job was given up");
            Outcome::Dead(text)
        } else {
            tracing::warn!(
                job = job.id,
                kind = job.kind,
                attempt = job.attempts,
                error,
                "a job failed; tried again"
            );
            Outcome::Again(self.clock.now() + backoff(job.attempts), text)
        }
    }

    async fn record(&mut self) -> Result<()> {
        if self.finished.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let finished = &self.finished;
        let recorded = self
            .db
            .transaction("jobs_finish", async |conn: &mut Conn| {
                Ok(queue::finish(conn, finished, now).await?)
            })
            .await?;
        if recorded < self.finished.len() {
            let lost = self.finished.len() - recorded;
            tracing::warn!(lost, "the leases of jobs were lost; others do them again");
        }
        self.finished.clear();
        Ok(())
    }

    /// Extends the leases of what runs; what is no longer ours is dropped.
    async fn extend(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let leases = self.held.values().map(|held| (held.job.id, held.job.token));
        let leases: Vec<_> = leases.collect();
        let until = self.clock.now() + LEASE;
        let kept = async {
            let mut conn = self.db.connection().await?;
            Ok::<_, Error>(queue::extend(&mut conn, &leases, until).await?)
        };
        match kept.await {
            Ok(kept) => self.held.retain(|_, held| {
                let is_kept = kept.contains(&held.job.id);
                if !is_kept {
                    held.task.abort();
                }
                is_kept
            }),
            Err(error) => tracing::warn!(%error, "leases of jobs could not be extended"),
        }
    }

    async fn stop(&mut self) {
        let deadline = Instant::now() + STOP_TIMEOUT;
        while let Ok(Some(ended)) = timeout_at(deadline, self.running.join_next_with_id()).await {
            self.note(ended);
        }
        self.running.shutdown().await;
        for (_, Held { job, .. }) in self.held.drain() {
            self.finished.push((job.id, job.token, Outcome::GivenBack));
        }
        if let Err(error) = self.record().await {
            tracing::warn!(%error, "jobs could not be given back; their leases expire");
        }
    }
}
