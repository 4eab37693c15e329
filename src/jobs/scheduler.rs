//! Schedules: the job of a slot is enqueued in the transaction that moves the schedule, so once.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

use super::{
    NewJob, enqueue,
    queue::take_slot,
    registry::{Registry, Scheduled},
};
use crate::{
    db::{Conn, Db},
    error::Result,
};

/// Which slots this process has dealt with; what others have is in the database.
pub(super) struct Scheduler {
    schedules: Vec<Scheduled>,
    seen: HashMap<&'static str, DateTime<Utc>>,
}

impl Scheduler {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            schedules: registry.schedules.clone(),
            seen: HashMap::new(),
        }
    }

    /// Enqueues what is due by `now` and nobody has enqueued; answers how many. Asks the database only about new slots.
    pub(super) async fn tick(&mut self, db: &Db, now: DateTime<Utc>) -> Result<usize> {
        let mut enqueued = 0;
        for scheduled in &self.schedules {
            let slot_at = scheduled.schedule.slot(now);
            if self.seen.get(scheduled.name) == Some(&slot_at) {
                continue;
            }
            let is_ours = db
                .transaction("jobs_schedule", async |conn: &mut Conn| {
                    if !take_slot(conn, scheduled.name, slot_at, now).await? {
                        return Ok(false);
                    }
                    let slot = slot_at.to_rfc3339_opts(SecondsFormat::Millis, true);
                    let job = NewJob::new(scheduled.kind, json!({"slot_at": slot}));
                    enqueue(conn, &[job], now).await?;
                    Ok(true)
                })
                .await?;
            enqueued += usize::from(is_ours);
            self.seen.insert(scheduled.name, slot_at);
        }
        Ok(enqueued)
    }
}
