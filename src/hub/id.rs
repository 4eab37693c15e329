//! Ids of the hub: `c` and 24 lower-case letters and digits, sorted by the millisecond they were made in.

use chrono::{DateTime, Utc};
use rand::RngExt;

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// Enough for milliseconds until the year 5188.
const TIME_DIGITS: usize = 9;

const RANDOM_DIGITS: usize = 15;

/// A new id.
pub(super) fn new(now: DateTime<Utc>) -> String {
    let mut ms = now.timestamp_millis().max(0).unsigned_abs();
    let mut time = [0u8; TIME_DIGITS];
    for digit in time.iter_mut().rev() {
        *digit = digit_of(ms % 36);
        ms /= 36;
    }
    let mut rng = rand::rng();
    let mut id = String::with_capacity(1 + TIME_DIGITS + RANDOM_DIGITS);
    id.push('c');
    id.extend(time.into_iter().map(char::from));
    id.extend((0..RANDOM_DIGITS).map(|_| char::from(digit_of(rng.random_range(0..36)))));
    id
}

fn digit_of(value: u64) -> u8 {
    usize::try_from(value)
        .ok()
        .and_then(|index| DIGITS.get(index))
        .copied()
        .unwrap_or(b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_opaque_and_sort_by_time() {
        let now = DateTime::from_timestamp_millis(1_790_000_000_000).unwrap();
        let (first, second) = (new(now), new(now + chrono::TimeDelta::milliseconds(1)));
        assert_eq!(first.len(), 25);
        assert!(
            first.starts_with('c')
                && first
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        );
        assert!(first < second);
        assert_ne!(first, new(now));
    }
}
