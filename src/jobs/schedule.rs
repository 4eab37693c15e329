//! When things are due: pure rules over instants.

use chrono::{DateTime, DurationRound, NaiveTime, TimeDelta, Utc};

/// Recurring instants, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// At every full minute.
    Minutely,
    /// Every hour at this minute.
    Hourly {
        /// 0 to 59.
        minute: u32,
    },
    /// Every day at this time.
    Daily {
        /// 0 to 23.
        hour: u32,
        /// 0 to 59.
        minute: u32,
    },
}

impl Schedule {
    /// The latest slot up to `now`.
    pub fn slot(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::Minutely => floor(now, TimeDelta::minutes(1)),
            Self::Hourly { minute } => {
                let slot = floor(now, TimeDelta::hours(1)) + TimeDelta::minutes(minute.into());
                if slot <= now {
                    slot
                } else {
                    slot - TimeDelta::hours(1)
                }
            }
            Self::Daily { hour, minute } => {
                let time = NaiveTime::from_hms_opt(hour, minute, 0).unwrap_or_default();
                let slot = now.date_naive().and_time(time).and_utc();
                if slot <= now {
                    slot
                } else {
                    slot - TimeDelta::days(1)
                }
            }
        }
    }
}

fn floor(at: DateTime<Utc>, to: TimeDelta) -> DateTime<Utc> {
    // Fails for instants centuries away only.
    at.duration_trunc(to).unwrap_or(at)
}

/// How long a job waits before the attempt after its `attempts`-th: doubling from five seconds to an hour.
pub fn backoff(attempts: i32) -> TimeDelta {
    let doublings = u32::try_from(attempts.saturating_sub(1))
        .unwrap_or_default()
        .min(10);
    TimeDelta::seconds((5 << doublings).min(3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn slots_are_the_latest_ones_not_after_now() {
        let daily = Schedule::Daily { hour: 3, minute: 0 };
        assert_eq!(
            daily.slot(at("2026-04-14T03:00:00Z")),
            at("2026-04-14T03:00:00Z")
        );
        assert_eq!(
            daily.slot(at("2026-04-14T02:59:59.999Z")),
            at("2026-04-13T03:00:00Z")
        );
        let hourly = Schedule::Hourly { minute: 5 };
        assert_eq!(
            hourly.slot(at("2026-04-14T00:04:59Z")),
            at("2026-04-13T23:05:00Z")
        );
        assert_eq!(
            hourly.slot(at("2026-04-14T00:05:30Z")),
            at("2026-04-14T00:05:00Z")
        );
        assert_eq!(
            Schedule::Minutely.slot(at("2026-04-14T00:05:30Z")),
            at("2026-04-14T00:05:00Z")
        );
    }

    #[test]
    fn pauses_double_up_to_an_hour() {
        let seconds = |attempts| backoff(attempts).num_seconds();
        assert_eq!(
            [1, 2, 3, 10, 11, 1000].map(seconds),
            [5, 10, 20, 2560, 3600, 3600]
        );
        assert_eq!(seconds(0), 5);
    }
}
