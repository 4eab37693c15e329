//! The exact sliding window of one key: values in, a verdict out.
//!
//! A minute is any 60 seconds, not a calendar minute: a request is allowed exactly when fewer than the limit were
//! allowed in the 60 seconds before it. A day is a calendar day in UTC. Refused requests do not count.

use std::{collections::VecDeque, time::Duration};

use chrono::{DateTime, Utc};

/// The length of the sliding window.
pub(super) const WINDOW_US: i64 = 60_000_000;

const DAY_US: i64 = 86_400_000_000;

/// How many requests a key may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In any 60 seconds.
    pub per_minute: u32,
    /// In a calendar day of UTC; `None` for no such limit.
    pub per_day: Option<u32>,
}

/// The answer for one request, and what its headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the request may go on; it has been counted if so, unless the window was only looked at.
    pub allowed: bool,
    /// The limit per minute that was applied.
    pub limit: u32,
    /// How many more are allowed at this instant.
    pub remaining: u32,
    /// Of an allowed request: when the oldest counted one leaves the window, and now if none is counted. Of a refused
    /// one: when the next one would be allowed.
    pub reset_at: DateTime<Utc>,
    /// How many more are allowed today, where days are limited.
    pub daily_remaining: Option<u32>,
    /// How long to wait before the next attempt; zero when allowed.
    pub retry_after: Duration,
}

/// The allowed requests of one key, in microseconds since 1970, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    hits: VecDeque<i64>,
    /// Days since 1970.
    day: i64,
    day_count: u32,
}

impl Window {
    /// A window as it was stored. `hits` may be in any order.
    pub(super) fn restore(mut hits: Vec<i64>, day: i64, day_count: u32) -> Self {
        hits.sort_unstable();
        Self {
            hits: hits.into(),
            day,
            day_count,
        }
    }

    /// Decides about one request at `now`, and counts it if it is allowed; `counted` is told the instant it counts at.
    ///
    /// Callers race for the lock after they read the clock, so an earlier `now` counts at the latest known instant.
    /// A clock that was set back by more than the window starts the window anew.
    pub(super) fn check(
        &mut self,
        limits: &Limits,
        now: DateTime<Utc>,
        counted: impl FnOnce(i64),
    ) -> Verdict {
        let now_us = self.advance(now.timestamp_micros());
        let allowed = self.has_room(limits);
        if allowed {
            self.hits.push_back(now_us);
            self.day_count = self.day_count.saturating_add(1);
            counted(now_us);
        }
        self.verdict(limits, now, now_us, allowed)
    }

    /// What [`Window::check`] would decide at `now`, without counting. Nothing is taken off what remains.
    pub(super) fn peek(&mut self, limits: &Limits, now: DateTime<Utc>) -> Verdict {
        let now_us = self.advance(now.timestamp_micros());
        self.verdict(limits, now, now_us, self.has_room(limits))
    }

    /// Counts requests that another process let through at an instant, by its clock.
    pub(super) fn absorb(&mut self, at_us: i64, n: u32, now: DateTime<Utc>) {
        let now_us = self.advance(now.timestamp_micros());
        // A clock that is ahead must not turn this one's forward.
        let at_us = at_us.min(now_us);
        if at_us + WINDOW_US > now_us {
            let place = self.hits.partition_point(|hit| *hit <= at_us);
            for _ in 0..n {
                self.hits.insert(place, at_us);
            }
        }
        if day_of(at_us) == self.day {
            self.day_count = self.day_count.saturating_add(n);
        }
    }

    fn has_room(&self, limits: &Limits) -> bool {
        self.hits.len() < limits.per_minute as usize && !self.is_day_full(limits)
    }

    fn is_day_full(&self, limits: &Limits) -> bool {
        limits.per_day.is_some_and(|most| self.day_count >= most)
    }

    /// Words the decision; `now_us` is the instant that counts as `now`.
    fn verdict(&self, limits: &Limits, now: DateTime<Utc>, now_us: i64, allowed: bool) -> Verdict {
        let reset_us = match (allowed, self.is_day_full(limits)) {
            (true, _) => self
                .hits
                .front()
                .map_or(now_us, |oldest| oldest + WINDOW_US),
            (false, true) => {
                ((self.day + 1) * DAY_US).max(self.minute_frees_us(limits.per_minute, now_us))
            }
            (false, false) => self.minute_frees_us(limits.per_minute, now_us),
        };
        let wait_us = if allowed {
            0
        } else {
            reset_us.saturating_sub(now.timestamp_micros()).max(1)
        };
        let used = u32::try_from(self.hits.len()).unwrap_or(u32::MAX);
        let daily_remaining = limits
            .per_day
            .map(|most| most.saturating_sub(self.day_count));
        Verdict {
            allowed,
            limit: limits.per_minute,
            remaining: limits
                .per_minute
                .saturating_sub(used)
                .min(daily_remaining.unwrap_or(u32::MAX)),
            reset_at: DateTime::from_timestamp_micros(reset_us).unwrap_or(now),
            daily_remaining,
            retry_after: Duration::from_micros(wait_us.unsigned_abs()),
        }
    }

    /// Whether nothing would be lost for the window by forgetting it at `now`; `with_day` asks for the day as well.
    pub(super) fn is_idle(&self, now_us: i64, with_day: bool) -> bool {
        let minute = self
            .hits
            .back()
            .is_none_or(|last| last + WINDOW_US <= now_us);
        minute && (!with_day || self.day_count == 0 || self.day < now_us.div_euclid(DAY_US))
    }

    /// Forgets what `now` no longer sees; answers the instant that counts as now.
    fn advance(&mut self, now_us: i64) -> i64 {
        let last = self.hits.back().copied().unwrap_or(now_us);
        let now_us = if last - now_us > WINDOW_US {
            self.hits.clear();
            now_us
        } else {
            now_us.max(last)
        };
        while self
            .hits
            .front()
            .is_some_and(|oldest| oldest + WINDOW_US <= now_us)
        {
            self.hits.pop_front();
        }
        let day = now_us.div_euclid(DAY_US);
        if day != self.day {
            (self.day, self.day_count) = (day, 0);
        }
        now_us
    }

    /// When the window has room for one more.
    fn minute_frees_us(&self, per_minute: u32, now_us: i64) -> i64 {
        if per_minute == 0 {
            return now_us + WINDOW_US;
        }
        match self.hits.len().checked_sub(per_minute as usize) {
            Some(first_kept) => self
                .hits
                .get(first_kept)
                .map_or(now_us, |hit| hit + WINDOW_US),
            None => now_us,
        }
    }
}

/// The day of an instant, in days since 1970.
pub(super) fn day_of(at_us: i64) -> i64 {
    at_us.div_euclid(DAY_US)
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
