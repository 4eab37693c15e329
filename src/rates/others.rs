//! What other processes counted of durable keys.

use std::sync::atomic::Ordering;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Rates,
    store::{self, Others},
    window::WINDOW_US,
};
use crate::error::Result;

impl Rates {
    /// Counts what other processes have stored since the last time.
    pub async fn absorb(&self, now: DateTime<Utc>) -> Result<()> {
        let Some(db) = &self.0.db else { return Ok(()) };
        let _one_at_a_time = self.0.flushing.lock().await;
        let read_to = self.0.read_to.load(Ordering::SeqCst);
        // Days are loaded with their keys, so in the beginning only the last minute can matter.
        let kept = match read_to {
            0 => TimeDelta::microseconds(WINDOW_US),
            _ => store::KEPT,
        };
        let mut conn = db.connection().await?;
        let rows = store::behind(&mut conn, read_to, self.0.process, now - kept).await?;
        drop(conn);
        if let Some(last) = rows.iter().find(|row| row.key.is_none()) {
            // Before they are counted: a key that is loaded now without them must be loaded again.
            self.0.read_to.store(last.batch, Ordering::SeqCst);
        }
        for row in rows {
            self.count_others(row, now);
        }
        Ok(())
    }

    fn count_others(&self, row: Others, now: DateTime<Utc>) {
        let (Some(key), Some(at), Ok(n)) = (row.key, row.at, u32::try_from(row.n)) else {
            return;
        };
        let mut shard = self.shard(&key);
        let entry = shard.keys.get_mut(key.as_str());
        // What was loaded with the key is counted already.
        if let Some(entry) = entry.filter(|entry| entry.durable && entry.has_to < row.batch) {
            entry.window.absorb(at.timestamp_micros(), n, now);
        }
    }
}
