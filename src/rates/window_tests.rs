//! The window against a naive model that keeps every allowed request for ever.

use chrono::TimeZone;
use proptest::prelude::*;

use super::*;

fn at(us: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(us).unwrap()
}

/// Just before midnight of 2026-06-16, so that steps cross days.
fn start_us() -> i64 {
    Utc.with_ymd_and_hms(2026, 6, 16, 23, 58, 0)
        .unwrap()
        .timestamp_micros()
}

fn steps() -> impl Strategy<Value = Vec<i64>> {
    let step = prop_oneof![
        4 => 0i64..3_000_000,
        2 => Just(WINDOW_US),
        1 => Just(WINDOW_US - 1),
        1 => 0i64..90_000_000,
        1 => Just(0),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #[test]
    fn agrees_with_a_model_that_forgets_nothing(
        steps in steps(),
        per_minute in 0u32..12,
        per_day in prop::option::of(0u32..40),
    ) {
        let limits = Limits { per_minute, per_day };
        let (mut window, mut allowed, mut now) = (Window::default(), Vec::<i64>::new(), start_us());
        for step in steps {
            now += step;
            let in_minute = allowed.iter().filter(|&&hit| hit > now - WINDOW_US).count();
            let in_day = allowed.iter().filter(|&&hit| day_of(hit) == day_of(now)).count();
            let expected = in_minute < per_minute as usize && per_day.is_none_or(|most| in_day < most as usize);
            let seen = window.peek(&limits, at(now));
            prop_assert_eq!(seen, window.peek(&limits, at(now)));
            let left_today = per_day.map_or(u32::MAX, |most| most.saturating_sub(in_day as u32));
            prop_assert_eq!(seen.allowed, expected);
            prop_assert_eq!(seen.remaining, per_minute.saturating_sub(in_minute as u32).min(left_today));
            let verdict = window.check(&limits, at(now), drop);
            prop_assert_eq!(verdict.allowed, expected);
            if !expected {
                prop_assert_eq!(verdict, seen);
            }
            if verdict.allowed {
                allowed.push(now);
            }
            prop_assert_eq!(verdict.retry_after.is_zero(), verdict.allowed);
            prop_assert!(verdict.reset_at > at(now));
        }
        for (index, first) in allowed.iter().enumerate() {
            let together = allowed[index..].iter().filter(|&&hit| hit < first + WINDOW_US).count();
            prop_assert!(together <= per_minute as usize, "{} in the minute after {}", together, first);
        }
    }

    #[test]
    fn a_refused_request_is_allowed_exactly_at_its_reset(steps in steps(), per_minute in 1u32..6) {
        let limits = Limits { per_minute, per_day: None };
        let (mut window, mut now) = (Window::default(), start_us());
        for step in steps {
            now += step;
            let verdict = window.check(&limits, at(now), drop);
            if !verdict.allowed {
                let reset = verdict.reset_at.timestamp_micros();
                prop_assert!(!window.clone().check(&limits, at(reset - 1), drop).allowed);
                prop_assert!(window.clone().check(&limits, at(reset), drop).allowed);
            }
        }
    }
}

#[test]
fn the_day_ends_at_midnight_of_utc() {
    let limits = Limits {
        per_minute: 100,
        per_day: Some(2),
    };
    let mut window = Window::default();
    let now = start_us();
    assert_eq!(
        window.check(&limits, at(now), drop).daily_remaining,
        Some(1)
    );
    assert_eq!(
        window.check(&limits, at(now), drop).daily_remaining,
        Some(0)
    );
    let refused = window.check(&limits, at(now), drop);
    assert!(!refused.allowed);
    assert_eq!(refused.remaining, 0);
    assert_eq!(refused.reset_at.to_rfc3339(), "2026-06-17T00:00:00+00:00");
    assert_eq!(refused.retry_after, Duration::from_secs(120));
    assert!(window.check(&limits, refused.reset_at, drop).allowed);
}

#[test]
fn a_request_that_lost_the_race_for_the_lock_counts_now() {
    let limits = Limits {
        per_minute: 2,
        per_day: None,
    };
    let mut window = Window::default();
    let now = start_us();
    assert!(window.check(&limits, at(now), drop).allowed);
    let mut counted = 0;
    assert!(
        window
            .check(&limits, at(now - 5), |us| counted = us)
            .allowed
    );
    assert_eq!(counted, now);
    assert!(!window.check(&limits, at(now + WINDOW_US - 1), drop).allowed);
}

#[test]
fn a_clock_set_back_does_not_lock_a_key_out() {
    let limits = Limits {
        per_minute: 1,
        per_day: None,
    };
    let mut window = Window::default();
    assert!(window.check(&limits, at(start_us()), drop).allowed);
    assert!(
        window
            .check(&limits, at(start_us() - 3_600_000_000), drop)
            .allowed
    );
}

#[test]
fn a_stored_window_goes_on_where_it_was() {
    let limits = Limits {
        per_minute: 2,
        per_day: Some(10),
    };
    let now = start_us();
    let mut window = Window::restore(vec![now - 1, now - 2], day_of(now), 9);
    let refused = window.check(&limits, at(now), drop);
    assert!(!refused.allowed);
    assert_eq!(refused.reset_at, at(now - 2 + WINDOW_US));
    assert_eq!(
        window
            .check(&limits, refused.reset_at, drop)
            .daily_remaining,
        Some(0)
    );
}

#[test]
fn what_others_let_through_counts_at_its_instant_and_never_ahead_of_this_clock() {
    let limits = Limits {
        per_minute: 3,
        per_day: Some(4),
    };
    let now = WINDOW_US * 10;
    let mut window = Window::default();
    assert!(window.check(&limits, at(now), drop).allowed);
    // Ten seconds ago, an hour ahead, and too long ago for the minute.
    window.absorb(now - 10_000_000, 1, at(now));
    window.absorb(now + 3_600_000_000, 1, at(now));
    window.absorb(now - WINDOW_US, 1, at(now));
    let refused = window.check(&limits, at(now), drop);
    assert_eq!((refused.allowed, refused.daily_remaining), (false, Some(0)));
    let mut window = Window::default();
    window.absorb(now - 10_000_000, 3, at(now));
    let refused = window.check(&limits, at(now), drop);
    assert_eq!(refused.reset_at, at(now - 10_000_000 + WINDOW_US));
    assert!(window.check(&limits, refused.reset_at, drop).allowed);
}
