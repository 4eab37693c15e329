//! The keys in memory, without a database.

use chrono::{TimeDelta, TimeZone};

use super::*;

const LIMITS: Limits = Limits {
    per_minute: 3,
    per_day: Some(5),
};

fn noon() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 6, 16, 12, 0, 0).unwrap()
}

#[test]
fn every_key_has_its_own_window() {
    let rates = Rates::in_memory();
    for _ in 0..3 {
        assert!(rates.check("a", &LIMITS, noon()).allowed);
    }
    let refused = rates.check("a", &LIMITS, noon());
    assert!(!refused.allowed);
    assert_eq!(refused.retry_after, Duration::from_secs(60));
    assert_eq!(rates.check("b", &LIMITS, noon()).remaining, 2);
}

#[tokio::test]
async fn durable_keys_obey_minute_and_day() {
    let rates = Rates::in_memory();
    let mut allowed = 0;
    for second in 0..300 {
        let now = noon() + TimeDelta::seconds(second);
        allowed += u32::from(
            rates
                .check_durable("k", &LIMITS, now)
                .await
                .unwrap()
                .allowed,
        );
    }
    assert_eq!(allowed, 5);
}

#[tokio::test]
async fn looking_counts_nothing() {
    let rates = Rates::in_memory();
    for _ in 0..10 {
        let seen = rates.peek_durable("k", &LIMITS, noon()).await.unwrap();
        assert!(seen.allowed);
        assert_eq!((seen.remaining, seen.daily_remaining), (3, Some(5)));
        assert_eq!(seen.reset_at, noon());
    }
    for left in (0..3).rev() {
        let counted = rates.check_durable("k", &LIMITS, noon()).await.unwrap();
        assert_eq!(counted.remaining, left);
        let seen = rates.peek_durable("k", &LIMITS, noon()).await.unwrap();
        assert_eq!((seen.remaining, seen.allowed), (left, left > 0));
        assert_eq!(seen.reset_at, noon() + TimeDelta::minutes(1));
    }
}

#[test]
fn concurrent_requests_never_exceed_the_limit() {
    let rates = Rates::in_memory();
    let limits = Limits {
        per_minute: 120,
        per_day: None,
    };
    let allowed: usize = std::thread::scope(|scope| {
        let count = || {
            (0..100)
                .filter(|_| rates.check("k", &limits, noon()).allowed)
                .count()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(count)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!(allowed, 120);
}

#[test]
fn idle_keys_are_forgotten_and_memory_stays_bounded() {
    let rates = Rates::in_memory();
    let limits = Limits {
        per_minute: 3,
        per_day: None,
    };
    for n in 0..(SHARDS * MOST_KEYS + 10_000) {
        rates.check(&n.to_string(), &limits, noon());
    }
    let count = |rates: &Rates| {
        rates
            .0
            .shards
            .iter()
            .map(|s| lock(s).keys.len())
            .sum::<usize>()
    };
    assert!(count(&rates) <= SHARDS * MOST_KEYS);
    for shard in &rates.0.shards {
        lock(shard).sweep(noon() + TimeDelta::days(1));
    }
    assert_eq!(count(&rates), 0);
}

#[test]
fn a_bucket_forgives_a_burst_and_then_waits() {
    let rates = Rates::in_memory();
    let bucket = rates.bucket("login", 60, 3);
    for _ in 0..3 {
        assert_eq!(bucket.check("ip"), Ok(()));
    }
    let wait = rates.bucket("login", 60, 3).check("ip").unwrap_err();
    assert!(wait <= Duration::from_secs(1));
    assert_eq!(bucket.check("other"), Ok(()));
}
