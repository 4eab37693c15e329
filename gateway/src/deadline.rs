//! How long a call may take: what the client asks for, within what the surface allows.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::surface::Deadlines;

/// The header of gRPC: up to eight digits and a unit.
pub const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The header of REST clients: seconds, with decimals.
pub const SERVER_TIMEOUT: HeaderName = HeaderName::from_static("x-server-timeout");

/// A longer time than any call takes; `Instant` arithmetic stays in range.
const LONGEST: Duration = Duration::from_secs(99_999_999 * 3600);

/// The time a client asks for, or the name of a header that says none. The shortest counts where more are given.
pub(crate) fn asked(headers: &HeaderMap) -> Result<Option<Duration>, HeaderName> {
    let mut shortest: Option<Duration> = None;
    // One pass, as most requests have few headers: looking two names up costs more.
    for (name, value) in headers {
        let read: fn(&str) -> Option<Duration> = match name.as_str() {
            "grpc-timeout" => grpc_timeout,
            "x-server-timeout" => seconds,
            _ => continue,
        };
        let asked = value.to_str().ok().and_then(read);
        let asked = asked.ok_or_else(|| name.clone())?;
        shortest = Some(shortest.map_or(asked, |other| other.min(asked)));
    }
    Ok(shortest)
}

/// The time a call has. A client that asks for nothing gets the default, which streams do not have.
pub(crate) fn allowed(
    asked: Option<Duration>,
    deadlines: &Deadlines,
    is_stream: bool,
) -> Option<Duration> {
    let default = deadlines.default.filter(|_| !is_stream);
    match (asked.or(default), deadlines.cap) {
        (Some(asked), Some(cap)) => Some(asked.min(cap)),
        (None, Some(cap)) if !is_stream => Some(cap),
        (allowed, _) => allowed,
    }
}

/// What the work comes to, or nothing when its time is over first. Without a deadline it takes its time.
///
/// Most work is done when it is asked the first time; only the other gets a clock.
pub(crate) async fn within<T>(
    deadline: Option<Instant>,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    let mut clock: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        let Some(at) = deadline else {
            return Poll::Pending;
        };
        let clock = clock.get_or_insert_with(|| Box::pin(sleep_until(at)));
        clock.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// `grpc-timeout`: up to eight digits and a unit (gRPC over HTTP/2).
pub fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let n: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(n * 3600)),
        "M" => Some(Duration::from_secs(n * 60)),
        "S" => Some(Duration::from_secs(n)),
        "m" => Some(Duration::from_millis(n)),
        "u" => Some(Duration::from_micros(n)),
        "n" => Some(Duration::from_nanos(n)),
        _ => None,
    }
}

/// A duration as `grpc-timeout`, in the finest unit whose number has eight digits; never longer than it is.
pub(crate) fn to_grpc_timeout(duration: Duration) -> HeaderValue {
    const MOST: u128 = 99_999_999;
    let units = [
        (duration.as_nanos(), b'n'),
        (duration.as_micros(), b'u'),
        (duration.as_millis(), b'm'),
        (u128::from(duration.as_secs()), b'S'),
    ];
    let found = units.into_iter().find(|(number, _)| *number <= MOST);
    let (number, unit) = found.unwrap_or((MOST, b'S'));
    let mut digits = itoa::Buffer::new();
    // Eight digits at most: they fit.
    let digits = digits.format(number as u32).as_bytes();
    let mut text = [unit; 9];
    let Some(place) = text.get_mut(..digits.len()) else {
        return HeaderValue::from_static("99999999S");
    };
    place.copy_from_slice(digits);
    let text = text.get(..=digits.len()).unwrap_or_default();
    HeaderValue::from_bytes(text).unwrap_or(HeaderValue::from_static("99999999S"))
}

fn seconds(text: &str) -> Option<Duration> {
    let is_plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let seconds: f64 = text.parse().ok().filter(|_| is_plain)?;
    Some(Duration::try_from_secs_f64(seconds).map_or(LONGEST, |asked| asked.min(LONGEST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|&(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn reads_every_unit_and_refuses_the_rest() {
        assert_eq!(grpc_timeout("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(grpc_timeout("3M"), Some(Duration::from_secs(180)));
        assert_eq!(grpc_timeout("5S"), Some(Duration::from_secs(5)));
        assert_eq!(grpc_timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(
            grpc_timeout("99999999u"),
            Some(Duration::from_micros(99_999_999))
        );
        assert_eq!(grpc_timeout("7n"), Some(Duration::from_nanos(7)));
        for bad in ["", "5", "S", "-1S", "123456789S", "1x", "1é"] {
            assert_eq!(grpc_timeout(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_shorter_of_what_is_asked_and_allowed_counts() {
        let secs = Duration::from_secs;
        let both = Deadlines {
            default: Some(secs(30)),
            cap: Some(secs(60)),
        };
        let of = |pairs: &[(&'static str, &'static str)], is_stream| {
            asked(&headers(pairs)).map(|asked| allowed(asked, &both, is_stream))
        };
        assert_eq!(of(&[], false), Ok(Some(secs(30))));
        assert_eq!(of(&[], true), Ok(None));
        assert_eq!(of(&[("grpc-timeout", "5S")], true), Ok(Some(secs(5))));
        assert_eq!(
            of(&[("x-server-timeout", "0.25")], false),
            Ok(Some(Duration::from_millis(250)))
        );
        assert_eq!(
            of(&[("x-server-timeout", "7"), ("grpc-timeout", "9S")], false),
            Ok(Some(secs(7)))
        );
        assert_eq!(
            of(&[("x-server-timeout", "1000000000000000000000")], false),
            Ok(Some(secs(60)))
        );
        for bad in ["", "-1", "NaN", "inf", "1e9", "1 s"] {
            assert_eq!(
                of(&[("x-server-timeout", bad)], false),
                Err(SERVER_TIMEOUT),
                "{bad}"
            );
        }
        assert_eq!(allowed(None, &Deadlines::default(), false), None);
    }

    #[test]
    fn a_cap_alone_is_the_default_of_calls_that_are_no_streams() {
        let secs = |n| Some(Duration::from_secs(n));
        let cap = Deadlines {
            default: None,
            cap: secs(60),
        };
        assert_eq!(allowed(None, &cap, false), secs(60));
        assert_eq!(allowed(None, &cap, true), None);
        assert_eq!(allowed(secs(90), &cap, true), secs(60));
        assert_eq!(allowed(secs(90), &Deadlines::default(), false), secs(90));
    }

    #[test]
    fn what_is_written_is_read_back_and_never_longer() {
        for duration in [
            0u64,
            1,
            99_999_999,
            100_000_001,
            123_456_789_012,
            90_000_000_000_000_000,
        ] {
            let duration = Duration::from_nanos(duration);
            let text = to_grpc_timeout(duration);
            let back = grpc_timeout(text.to_str().unwrap()).unwrap();
            assert!(
                back <= duration && duration - back < duration / 10_000 + Duration::from_nanos(1)
            );
        }
        assert_eq!(to_grpc_timeout(Duration::MAX), "99999999S");
    }
}
