//! Timestamps (RFC 3339) and durations as ProtoJSON writes them.

use crate::profile::TimestampDigits;

/// 0001-01-01T00:00:00Z.
const TIMESTAMP_SECONDS_MIN: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z.
const TIMESTAMP_SECONDS_MAX: i64 = 253_402_300_799;
/// About 10 000 years, from `duration.proto`.
const DURATION_SECONDS_MAX: i64 = 315_576_000_000;

/// Reads `2024-01-31T10:00:00.5Z`, with up to nine digits and any offset; upper-case `T` and `Z`, no leap second.
pub(super) fn parse_timestamp(text: &[u8]) -> Option<(i64, i32)> {
    let (head, rest) = text.split_at_checked(19)?;
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|&(at, mark)| head[at] != mark) {
        return None;
    }
    let year = digits(&head[0..4])?;
    let (month, day) = (digits(&head[5..7])?, digits(&head[8..10])?);
    let (hour, minute, second) = (
        digits(&head[11..13])?,
        digits(&head[14..16])?,
        digits(&head[17..19])?,
    );
    if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (nanos, zone) = match rest {
        [b'.', fraction @ ..] => fractional(fraction)?,
        _ => (0, rest),
    };
    let local = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    let seconds = local - offset(zone)?;
    (TIMESTAMP_SECONDS_MIN..=TIMESTAMP_SECONDS_MAX)
        .contains(&seconds)
        .then_some((seconds, nanos))
}

/// Seconds east of Greenwich.
fn offset(zone: &[u8]) -> Option<i64> {
    let (sign, text) = match zone {
        b"Z" => return Some(0),
        [b'+', text @ ..] => (1, text),
        [b'-', text @ ..] => (-1, text),
        _ => return None,
    };
    let [h1, h2, b':', m1, m2] = *text else {
        return None;
    };
    let (hours, minutes) = (digits(&[h1, h2])?, digits(&[m1, m2])?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

/// One to nine digits after a point as nanoseconds, and what follows them.
fn fractional(text: &[u8]) -> Option<(i32, &[u8])> {
    let length = text.iter().take_while(|c| c.is_ascii_digit()).count();
    if !(1..=9).contains(&length) {
        return None;
    }
    let nanos = digits(&text[..length])? * 10i64.pow(9 - length as u32);
    Some((nanos as i32, &text[length..]))
}

/// A short run of digits and nothing else.
fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0i64, |value, digit| {
        digit
            .is_ascii_digit()
            .then(|| value.checked_mul(10)?.checked_add(i64::from(digit - b'0')))
            .flatten()
    })
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, counted in years that begin in March so that the leap day is
/// the last one of its year.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The reverse of `days_from_civil`.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

/// Appends a timestamp in UTC with quotes; `false` when it is out of range.
pub(super) fn print_timestamp(
    seconds: i64,
    nanos: i32,
    digits: TimestampDigits,
    out: &mut Vec<u8>,
) -> bool {
    if !(TIMESTAMP_SECONDS_MIN..=TIMESTAMP_SECONDS_MAX).contains(&seconds)
        || !(0..1_000_000_000).contains(&nanos)
    {
        return false;
    }
    let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    let mut text = *b"\"0000-00-00T00:00:00";
    put_digits(&mut text[1..5], year);
    put_digits(&mut text[6..8], month);
    put_digits(&mut text[9..11], day);
    put_digits(&mut text[12..14], second / 3600);
    put_digits(&mut text[15..17], second / 60 % 60);
    put_digits(&mut text[18..20], second % 60);
    out.extend_from_slice(&text);
    let length = match digits {
        TimestampDigits::Auto => fraction_digits(nanos),
        TimestampDigits::Seconds => 0,
        TimestampDigits::Millis => 3,
        TimestampDigits::Micros => 6,
        TimestampDigits::Nanos => 9,
    };
    print_fraction(nanos, length, out);
    out.extend_from_slice(b"Z\"");
    true
}

fn fraction_digits(nanos: i32) -> usize {
    match nanos {
        0 => 0,
        _ if nanos % 1_000_000 == 0 => 3,
        _ if nanos % 1000 == 0 => 6,
        _ => 9,
    }
}

fn print_fraction(nanos: i32, length: usize, out: &mut Vec<u8>) {
    if length > 0 {
        let mut text = *b".000000000";
        put_digits(&mut text[1..], i64::from(nanos));
        out.extend_from_slice(&text[..=length]);
    }
}

fn put_digits(text: &mut [u8], mut value: i64) {
    for slot in text.iter_mut().rev() {
        *slot = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Reads `-1.5s`, with up to nine digits after the point.
pub(super) fn parse_duration(text: &[u8]) -> Option<(i64, i32)> {
    let text = text.strip_suffix(b"s")?;
    let (sign, text) = match text {
        [b'-', text @ ..] => (-1, text),
        _ => (1, text),
    };
    let (whole, nanos) = match text.iter().position(|&c| c == b'.') {
        Some(point) => match fractional(&text[point + 1..])? {
            (nanos, []) => (&text[..point], nanos),
            _ => return None,
        },
        None => (text, 0),
    };
    if whole.is_empty() {
        return None;
    }
    let seconds = digits(whole)?;
    (seconds <= DURATION_SECONDS_MAX).then_some((i64::from(sign) * seconds, sign * nanos))
}

/// Appends a duration with quotes; `false` when it is out of range or its parts have different signs.
pub(super) fn print_duration(seconds: i64, nanos: i32, out: &mut Vec<u8>) -> bool {
    let signs_differ = (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0);
    if seconds.unsigned_abs() > DURATION_SECONDS_MAX as u64
        || nanos.unsigned_abs() >= 1_000_000_000
        || signs_differ
    {
        return false;
    }
    out.push(b'"');
    if seconds < 0 || nanos < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(
        itoa::Buffer::new()
            .format(seconds.unsigned_abs())
            .as_bytes(),
    );
    print_fraction(nanos.abs(), fraction_digits(nanos), out);
    out.extend_from_slice(b"s\"");
    true
}
