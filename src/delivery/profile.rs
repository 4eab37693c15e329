//! What differs between APIs, as data.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// How an API delivers.
#[derive(Debug)]
pub struct Profile {
    /// Its name in the tables; never to be changed.
    pub api: &'static str,
    /// The `User-Agent` of its requests.
    pub user_agent: &'static str,
    /// Its own headers, beside those of Standard Webhooks, which every request has.
    pub headers: &'static [(&'static str, Part)],
    /// The pause before each attempt, in seconds, from the failure before on; as many as there are attempts.
    pub schedule_seconds: &'static [u32],
    /// How long one attempt may take.
    pub timeout: Duration,
    /// An endpoint is disabled when this many attempts have failed in a row.
    pub failures_max: u32,
    /// How long the secret before signs as well after a rotation.
    pub overlap: TimeDelta,
}

/// What stands in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// This text and the HMAC-SHA256 of `<timestamp>.<body>` in hexadecimal digits, by the newest secret's text.
    HexSignature(&'static str),
    /// The time of sending in epoch seconds.
    Timestamp,
    /// The kind of the event.
    Event,
    /// The id of the delivery.
    DeliveryId,
    /// How many attempts were made before, from 0.
    RetryCount,
}

impl Profile {
    /// When to try again after the `attempts`-th attempt failed at `now`; none after the last one.
    pub fn next_attempt(&self, attempts: i32, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let pause = self.schedule_seconds.get(usize::try_from(attempts).ok()?)?;
        Some(now + TimeDelta::seconds((*pause).into()))
    }
}
