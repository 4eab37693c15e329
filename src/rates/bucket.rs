//! Token buckets, for limits that should forgive a burst.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    DefaultKeyedRateLimiter, Quota,
    clock::{Clock as _, DefaultClock},
};

/// Keys a bucket remembers before it forgets the ones that are full again.
const MOST_KEYS: usize = 50_000;

/// One limit over many keys: `burst` at once, refilled at a steady pace. Cheap to clone. In process memory only.
#[derive(Clone)]
pub struct Bucket {
    limiter: Arc<DefaultKeyedRateLimiter<String>>,
    clock: DefaultClock,
}

impl Bucket {
    /// `per_minute` in the long run, up to `burst` at once; zero counts as one.
    pub(super) fn new(per_minute: u32, burst: u32) -> Self {
        let or_one = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(or_one(per_minute)).allow_burst(or_one(burst));
        Self {
            limiter: Arc::new(DefaultKeyedRateLimiter::keyed(quota)),
            clock: DefaultClock::default(),
        }
    }

    /// Takes one token of `key`, or says how long to wait for the next.
    pub fn check(&self, key: &str) -> Result<(), Duration> {
        if self.limiter.len() >= MOST_KEYS {
            self.sweep();
        }
        self.limiter
            .check_key(&key.to_owned())
            .map_err(|not_until| not_until.wait_time_from(self.clock.now()))
    }

    /// Forgets the keys whose bucket is full again.
    pub(super) fn sweep(&self) {
        self.limiter.retain_recent();
    }
}
