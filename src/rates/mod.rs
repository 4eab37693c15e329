//! Rate limits: an exact sliding window per key, and token buckets where bursts are welcome.
//!
//! Counters live in process memory. Durable keys are loaded from the database when they are first seen and written behind
//! in batches, which every process reads: what one lets through counts for the others within two [`FLUSH_INTERVAL`]s, and
//! only what comes at once through several can pass a limit, once. A restart goes on where the last process stopped; a
//! process that is killed loses at most the requests of one [`FLUSH_INTERVAL`]. **Other keys and buckets are counted by
//! every process for itself.** Limits are given by the caller, who also applies the configured scale.
//!
//! `window` is the pure rule, `bucket` the burst-friendly one, `store` the tables, `others` what other processes counted,
//! and this file the keys in memory.

mod bucket;
mod others;
mod store;
mod window;

use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use foldhash::fast::RandomState;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::{store::Hit, window::Window};
use crate::{
    clock::Clock,
    db::Db,
    error::{Error, Result},
};

pub use bucket::Bucket;
pub use window::{Limits, Verdict};

/// How often counted requests of durable keys are stored.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(200);

/// Every how many flushes old rows are deleted: about once a minute.
const PRUNE_EVERY: u32 = 300;

/// Rows of one statement.
const BATCH_ROWS: usize = 5_000;

/// Requests of one key that wait to be stored while the database is down; older ones are given up.
const MOST_UNSAVED: usize = 20_000;

const SHARDS: usize = 16;

/// Keys of one shard in memory; beyond it, an arbitrary key that is not durable is forgotten.
const MOST_KEYS: usize = 8_192;

/// A full shard is not swept for every new key: a flood of keys must not buy a scan each.
const SWEEP_INTERVAL_US: i64 = 1_000_000;

/// The limits' counters, cheap to clone.
#[derive(Clone)]
pub struct Rates(Arc<Inner>);

struct Inner {
    db: Option<Db>,
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
    buckets: Mutex<HashMap<String, Bucket>>,
    /// Durable keys with something to store.
    dirty: Mutex<Vec<Arc<str>>>,
    /// One flush at a time.
    flushing: tokio::sync::Mutex<()>,
    /// What tells this process's requests from those of others.
    process: Uuid,
    /// The batch up to which those of others have been read.
    read_to: AtomicI64,
}

#[derive(Default)]
struct Shard {
    keys: HashMap<Arc<str>, Entry, RandomState>,
    /// The size at which it is worth sweeping again.
    sweep_at: usize,
    swept_at_us: i64,
}

#[derive(Default)]
struct Entry {
    window: Window,
    durable: bool,
    /// Counted and not stored yet.
    unsaved: Vec<i64>,
    /// Handed to a flush that has not ended.
    saving: bool,
    /// The batch up to which the window has what others counted.
    has_to: i64,
}

impl Rates {
    /// Counters whose durable keys are kept in `db`.
    pub fn new(db: Db) -> Self {
        Self::build(Some(db))
    }

    /// Counters that end with the process; durable keys are counted like the others.
    pub fn in_memory() -> Self {
        Self::build(None)
    }

    fn build(db: Option<Db>) -> Self {
        Self(Arc::new(Inner {
            db,
            hasher: RandomState::default(),
            shards: Default::default(),
            buckets: Mutex::default(),
            dirty: Mutex::default(),
            flushing: tokio::sync::Mutex::default(),
            process: Uuid::new_v4(),
            read_to: AtomicI64::new(0),
        }))
    }

    /// Counts one request of `key` at `now` if `limits` allow it.
    pub fn check(&self, key: &str, limits: &Limits, now: DateTime<Utc>) -> Verdict {
        let mut shard = self.shard(key);
        if let Some(entry) = shard.keys.get_mut(key) {
            return entry.window.check(limits, now, drop);
        }
        let mut entry = Entry::default();
        let verdict = entry.window.check(limits, now, drop);
        shard.insert(key.into(), entry, now);
        verdict
    }

    /// Like [`Rates::check`] for a key whose counts survive a restart. Fails only when the key is seen for the first
    /// time and the database does not answer.
    pub async fn check_durable(
        &self,
        key: &str,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> Result<Verdict> {
        self.durable(key, now, |shard| self.check_known(shard, key, limits, now))
            .await
    }

    /// What [`Rates::check_durable`] would decide, without counting; fails like it.
    pub async fn peek_durable(
        &self,
        key: &str,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> Result<Verdict> {
        self.durable(key, now, |shard| {
            Some(shard.keys.get_mut(key)?.window.peek(limits, now))
        })
        .await
    }

    /// Decides about a durable key, which is loaded first if it is not in memory.
    async fn durable(
        &self,
        key: &str,
        now: DateTime<Utc>,
        decide: impl Fn(&mut Shard) -> Option<Verdict>,
    ) -> Result<Verdict> {
        if let Some(verdict) = decide(&mut self.shard(key)) {
            return Ok(verdict);
        }
        loop {
            let (window, has_to) = match &self.0.db {
                Some(db) => store::load(&mut *db.connection().await?, key, now).await?,
                None => Default::default(),
            };
            let mut shard = self.shard(key);
            if !shard.keys.contains_key(key) {
                if has_to < self.0.read_to.load(Ordering::SeqCst) {
                    // Others were read meanwhile, which this window would never be told.
                    continue;
                }
                let entry = Entry {
                    window,
                    durable: true,
                    has_to,
                    ..Entry::default()
                };
                shard.insert(key.into(), entry, now);
            }
            return decide(&mut shard).ok_or_else(|| {
                Error::internal(anyhow::anyhow!("a rate key vanished under its lock"))
            });
        }
    }

    /// A token bucket per key under one name: `per_minute` in the long run, up to `burst` at once. The first caller of
    /// a name decides its numbers.
    pub fn bucket(&self, name: &str, per_minute: u32, burst: u32) -> Bucket {
        let mut buckets = lock(&self.0.buckets);
        if let Some(bucket) = buckets.get(name) {
            return bucket.clone();
        }
        let bucket = Bucket::new(per_minute, burst);
        buckets.insert(name.to_owned(), bucket.clone());
        bucket
    }

    /// Stores what durable keys have counted. On failure it is kept for the next flush.
    pub async fn flush(&self) -> Result<()> {
        let Some(db) = &self.0.db else { return Ok(()) };
        let _one_at_a_time = self.0.flushing.lock().await;
        let keys = std::mem::take(&mut *lock(&self.0.dirty));
        let mut hits = self.take_unsaved(&keys);
        let outcome = async {
            while !hits.is_empty() {
                let from = hits.len().saturating_sub(BATCH_ROWS);
                store::save(&mut *db.connection().await?, &hits[from..], self.0.process).await?;
                hits.truncate(from);
            }
            Ok(())
        }
        .await;
        self.finish_saving(&keys, hits);
        outcome
    }

    /// Runs the task that stores durable keys and reads those of others every [`FLUSH_INTERVAL`], deletes old rows about once a minute, and
    /// stores the rest when `shutdown` is cancelled. Join it after the listeners have stopped.
    pub fn spawn_writer(&self, clock: Clock, shutdown: CancellationToken) -> JoinHandle<()> {
        let rates = self.clone();
        tokio::spawn(async move { rates.write_behind(&clock, &shutdown).await })
    }

    async fn write_behind(&self, clock: &Clock, shutdown: &CancellationToken) {
        let mut failing = false;
        for round in 1u32.. {
            let stopping = tokio::select! {
                () = shutdown.cancelled() => true,
                () = tokio::time::sleep(FLUSH_INTERVAL) => false,
            };
            let outcome = match self.flush().await {
                Ok(()) if !stopping => self.absorb(clock.now()).await,
                outcome => outcome,
            };
            if let (Err(error), false) = (&outcome, failing) {
                tracing::warn!(error = %error, "request counts cannot be stored or read; kept in memory and tried again");
            }
            failing = outcome.is_err();
            if stopping {
                return;
            }
            if round.is_multiple_of(PRUNE_EVERY) {
                self.prune(clock.now()).await;
            }
        }
    }

    async fn prune(&self, now: DateTime<Utc>) {
        for bucket in lock(&self.0.buckets).values() {
            bucket.sweep();
        }
        for shard in &self.0.shards {
            lock(shard).sweep(now);
        }
        let Some(db) = &self.0.db else { return };
        let outcome = async { store::prune(&mut *db.connection().await?, now).await }.await;
        if let Err(error) = outcome {
            tracing::debug!(error = %error, "old request counts were not deleted; tried again in a minute");
        }
    }

    /// Decides about a key that is in memory.
    fn check_known(
        &self,
        shard: &mut Shard,
        key: &str,
        limits: &Limits,
        now: DateTime<Utc>,
    ) -> Option<Verdict> {
        let (name, _) = shard.keys.get_key_value(key)?;
        let name = Arc::clone(name);
        let entry = shard.keys.get_mut(key)?;
        let Entry {
            window,
            unsaved,
            durable,
            ..
        } = entry;
        let was_clean = unsaved.is_empty();
        let verdict = window.check(limits, now, |at_us| {
            if *durable && self.0.db.is_some() {
                unsaved.push(at_us);
            }
        });
        if was_clean && !unsaved.is_empty() {
            lock(&self.0.dirty).push(name);
        }
        Some(verdict)
    }

    fn take_unsaved(&self, keys: &[Arc<str>]) -> Vec<Hit> {
        let mut hits = Vec::new();
        for key in keys {
            if let Some(entry) = self.shard(key).keys.get_mut(key) {
                entry.saving = true;
                hits.extend(entry.unsaved.drain(..).map(|at_us| Hit {
                    key: Arc::clone(key),
                    at_us,
                }));
            }
        }
        hits
    }

    /// Ends a flush; `left` was not stored and goes back to its keys.
    fn finish_saving(&self, keys: &[Arc<str>], left: Vec<Hit>) {
        for key in keys {
            if let Some(entry) = self.shard(key).keys.get_mut(key) {
                entry.saving = false;
            }
        }
        for Hit { key, at_us } in left {
            let mut shard = self.shard(&key);
            let Some(entry) = shard.keys.get_mut(&key) else {
                continue;
            };
            if entry.unsaved.len() >= MOST_UNSAVED {
                continue;
            }
            if entry.unsaved.is_empty() {
                lock(&self.0.dirty).push(Arc::clone(&key));
            }
            entry.unsaved.push(at_us);
        }
    }

    fn shard(&self, key: &str) -> MutexGuard<'_, Shard> {
        // The remainder is below SHARDS, so the index is always there.
        let index = self.0.hasher.hash_one(key) % SHARDS as u64;
        lock(&self.0.shards[usize::try_from(index).unwrap_or(0)])
    }
}

impl Shard {
    fn insert(&mut self, key: Arc<str>, entry: Entry, now: DateTime<Utc>) {
        let since_us = now.timestamp_micros().saturating_sub(self.swept_at_us);
        if self.keys.len() >= self.sweep_at && since_us >= SWEEP_INTERVAL_US {
            self.sweep(now);
        }
        if self.keys.len() >= MOST_KEYS
            && let Some(any) = self
                .keys
                .iter()
                .find(|(_, e)| !e.durable)
                .map(|(k, _)| Arc::clone(k))
        {
            self.keys.remove(&any);
        }
        self.keys.insert(key, entry);
    }

    /// Forgets idle keys, and says at what size it is worth looking again.
    fn sweep(&mut self, now: DateTime<Utc>) {
        let now_us = now.timestamp_micros();
        self.keys.retain(|_, entry| {
            let in_use = entry.saving || !entry.unsaved.is_empty();
            // The day of a durable key is in the database.
            in_use || !entry.window.is_idle(now_us, !entry.durable)
        });
        self.swept_at_us = now_us;
        self.sweep_at = (self.keys.len() * 2).clamp(256, MOST_KEYS);
    }
}

/// A panic elsewhere leaves counters that are still usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
