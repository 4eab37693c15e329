//! The loop that delivers: take, send, record, all for many at once.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use chrono::TimeDelta;
use tokio::{
    task::{Id, JoinError, JoinSet},
    time::{Instant, MissedTickBehavior, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    Sender, endpoints,
    queue::{self, Attempt, Claimed, Next, Room},
    sender::Ending,
    tally::{Ended, Tally},
};
use crate::{
    db::{Conn, Topic},
    error::Result,
    ids,
    shares::Shares,
    workers::next_ended,
};

/// How long a delivery is held: longer than its attempt may take, with what comes before and after.
pub const LEASE: TimeDelta = TimeDelta::seconds(60);
/// How often the worker looks by itself.
const POLL: Duration = Duration::from_secs(1);
/// How long what is being sent may go on when the program stops; then it is given back.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// How much is sent at the same time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all; to one organisation at most half of it, see [`crate::shares`].
    pub concurrency: usize,
    /// To one endpoint.
    pub of_endpoint: usize,
}

/// Delivers; one in a process.
pub struct Worker {
    sender: Sender,
    limits: Limits,
    name: String,
    running: JoinSet<Ending>,
    held: HashMap<Id, Claimed>,
    /// How many of each endpoint are being sent.
    load: HashMap<String, usize>,
    ended: Vec<Ending>,
}

impl Worker {
    /// A worker within these limits.
    pub fn new(sender: Sender, limits: Limits) -> Self {
        Self {
            sender,
            limits,
            name: ids::short("worker", 12),
            running: JoinSet::new(),
            held: HashMap::new(),
            load: HashMap::new(),
            ended: Vec::new(),
        }
    }

    /// Delivers until `stop`; then waits shortly for what is being sent and gives back the rest.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut written = self.sender.db.wake().listen(Topic::Deliveries);
        let mut polls = tokio::time::interval(POLL);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_failing = false;
        while !stop.is_cancelled() {
            written.mark_unchanged();
            let outcome = self.step().await;
            if let (Err(error), false) = (&outcome, is_failing) {
                tracing::warn!(%error, "taking or recording deliveries failed; tried again");
            }
            is_failing = outcome.is_err();
            if matches!(outcome, Ok(taken) if taken > 0) {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                _ = polls.tick() => {}
                _ = written.changed(), if !is_failing => {}
                ended = next_ended(&mut self.running), if !is_failing => self.note(ended),
            }
        }
        self.stop().await;
    }

    /// Sends and records everything that is due, until nothing is; answers how many attempts were made. For commands and tests;
    /// the program uses [`Worker::run`].
    ///
    /// # Errors
    /// The database's. What targets do is recorded.
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

    /// Takes due deliveries and forgets them, as a worker does that dies while it sends; answers how many. For tests.
    ///
    /// # Errors
    /// The database's.
    pub async fn abandon(mut self) -> Result<usize> {
        let taken = self.step().await?;
        self.running.abort_all();
        Ok(taken)
    }

    /// Records what has ended and takes as much as there is room for; answers how many were taken.
    async fn step(&mut self) -> Result<usize> {
        while let Some(ended) = self.running.try_join_next_with_id() {
            self.note(ended);
        }
        self.record().await?;
        let claimed = self.claim().await?;
        let taken = claimed.len();
        for claimed in claimed {
            *self.load.entry(claimed.endpoint_id.clone()).or_default() += 1;
            let (sender, parcel) = (self.sender.clone(), claimed.clone());
            let task = self.running.spawn(async move { sender.send(parcel).await });
            self.held.insert(task.id(), claimed);
        }
        Ok(taken)
    }

    async fn claim(&self) -> Result<Vec<Claimed>> {
        let free = self.limits.concurrency.saturating_sub(self.held.len());
        if free == 0 {
            return Ok(Vec::new());
        }
        // Half at a time, so that an endpoint never has more than its limit.
        let half = self.limits.of_endpoint.div_ceil(2);
        let full = self
            .load
            .iter()
            .filter(|(_, load)| **load + half > self.limits.of_endpoint);
        let full: Vec<&str> = full.map(|(id, _)| id.as_str()).collect();
        let room = Room {
            of_endpoint: signed(half),
            full: &full,
            shares: Shares::new(
                free,
                self.held.values().map(|claimed| claimed.org_id.as_str()),
            ),
        };
        let now = self.sender.clock.now();
        let mut conn = self.sender.db.connection().await?;
        Ok(queue::claim(&mut conn, &room, &self.name, now, now + LEASE).await?)
    }

    /// Notes the end of an attempt.
    fn note(&mut self, ended: std::result::Result<(Id, Ending), JoinError>) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some(claimed) = self.held.remove(&id) else {
            return;
        };
        if let Some(load) = self.load.get_mut(&claimed.endpoint_id) {
            *load -= 1;
            if *load == 0 {
                self.load.remove(&claimed.endpoint_id);
            }
        }
        match ended {
            Ok((_, ending)) => {
                let label = match ending.attempt.next {
                    Next::Delivered => "delivered",
                    Next::Failed => "failed",
                    Next::Again(_) => "again",
                    Next::GivenBack(_) => "given_back",
                };
                metrics::counter!("pulpo_delivery_attempts_total", "api" => claimed.api, "outcome" => label)
                    .increment(1);
                self.ended.push(ending);
            }
            // Its lease ends, and somebody tries again.
            Err(error) => tracing::error!(%error, delivery = claimed.id, "a delivery panicked"),
        }
    }

    /// Records what has ended. When nothing failed that is one statement.
    async fn record(&mut self) -> Result<()> {
        if self.ended.is_empty() {
            return Ok(());
        }
        let now = self.sender.clock.now();
        let failing: HashSet<(&str, &str)> = self
            .ended
            .iter()
            .filter(|ending| matches!(ending.ended, Some(Ended::Badly(_) | Ended::Gone)))
            .map(|ending| (&*ending.attempt.org_id, &*ending.attempt.endpoint_id))
            .collect();
        let recorded = if failing.is_empty() {
            let attempts: Vec<Attempt> = self.ended.iter().map(|e| e.attempt.clone()).collect();
            let mut conn = self.sender.db.connection().await?;
            queue::record(&mut conn, &attempts, &[], now).await?
        } else {
            let (org_ids, ids): (Vec<&str>, Vec<&str>) = failing.into_iter().unzip();
            let ended = &self.ended;
            self.sender
                .db
                .transaction("delivery_record", async |conn: &mut Conn| {
                    record_failures(conn, ended, &org_ids, &ids, now).await
                })
                .await?
        };
        let lost = self.ended.len() - usize::try_from(recorded).unwrap_or_default();
        if lost > 0 {
            tracing::warn!(
                lost,
                "the leases of deliveries were lost; others send them again"
            );
        }
        self.ended.clear();
        Ok(())
    }

    async fn stop(&mut self) {
        let deadline = Instant::now() + STOP_TIMEOUT;
        while let Ok(Some(ended)) = timeout_at(deadline, self.running.join_next_with_id()).await {
            self.note(ended);
        }
        self.running.shutdown().await;
        let now = self.sender.clock.now();
        for (_, claimed) in self.held.drain() {
            self.ended.push(claimed.given_back(now));
        }
        if let Err(error) = self.record().await {
            tracing::warn!(%error, "deliveries could not be given back; their leases end");
        }
    }
}

/// Counts the failures of these endpoints on locked rows, then records.
async fn record_failures(
    conn: &mut Conn,
    ended: &[Ending],
    org_ids: &[&str],
    ids: &[&str],
    now: chrono::DateTime<chrono::Utc>,
) -> Result<i64> {
    let mut counted = queue::lock_endpoints(conn, org_ids, ids).await?;
    let mut attempts: Vec<Attempt> = ended.iter().map(|ending| ending.attempt.clone()).collect();
    for endpoint in &mut counted {
        let own = |attempt: &Attempt| {
            attempt.endpoint_id == endpoint.id && attempt.org_id == endpoint.org_id
        };
        let endings = ended.iter().filter(|ending| own(&ending.attempt));
        let failures_max = endings
            .clone()
            .map(|e| e.failures_max)
            .min()
            .unwrap_or(u32::MAX);
        let tally = Tally {
            failure_count: endpoint.failure_count.unsigned_abs(),
            last_error: endpoint.last_error.take(),
            is_disabled: endpoint.status == endpoints::DISABLED,
        };
        let tally = tally.after(
            endings.filter_map(|ending| ending.ended.as_ref()),
            failures_max,
        );
        if tally.is_disabled {
            // What would be tried again never will be.
            for attempt in attempts.iter_mut().filter(|attempt| own(attempt)) {
                if matches!(attempt.next, Next::Again(_)) {
                    attempt.next = Next::Failed;
                }
            }
            endpoints::DISABLED.clone_into(&mut endpoint.status);
        }
        endpoint.failure_count = i32::try_from(tally.failure_count).unwrap_or(i32::MAX);
        endpoint.last_error = tally.last_error;
    }
    let recorded = queue::record(conn, &attempts, ids, now).await?;
    queue::count(conn, &counted).await?;
    Ok(recorded)
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
