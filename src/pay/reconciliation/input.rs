//! What valid periods, filters and pages are.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use crate::{error::Result, proto::pulpo::pay::v1 as pb};

use super::super::input::Input;

/// Rows of a page when no limit is given.
const LIMIT_DEFAULT: i64 = 20;
/// Most rows of a page; higher limits are cut to it.
const LIMIT_MAX: i64 = 100;
/// How long a period is when its start is not given.
const PERIOD_HOURS: i64 = 24;
/// The longest period.
const PERIOD_DAYS_MAX: i64 = 400;
/// What is printed is precise to this.
const PRECISION: TimeDelta = TimeDelta::milliseconds(1);

/// The span of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Period {
    /// Its first instant.
    pub(super) start: DateTime<Utc>,
    /// Its last millisecond, all of which belongs to it.
    pub(super) end: DateTime<Utc>,
}

impl Period {
    /// From one instant up to another, which is not part of it.
    pub(super) fn up_to(start: DateTime<Utc>, before: DateTime<Utc>) -> Self {
        Self {
            start,
            end: before - PRECISION,
        }
    }

    /// The first instant after it.
    pub(super) fn before(self) -> DateTime<Utc> {
        self.end + PRECISION
    }

    /// How many whole days it has.
    pub(super) fn days(self) -> i64 {
        (self.before() - self.start).num_days()
    }
}

/// What a list is narrowed to.
#[derive(Debug)]
pub(super) struct Filter {
    /// Only periods that start from this instant on.
    pub(super) from: Option<DateTime<Utc>>,
    /// Only periods that end before this instant.
    pub(super) before: Option<DateTime<Utc>>,
    /// How many rows.
    pub(super) limit: i64,
    /// How many to skip.
    pub(super) offset: i64,
}

/// Checks what reports are asked for, and names every fault.
pub(super) fn filter(request: &pb::ListReconciliationReportsRequest) -> Result<Filter> {
    let mut input = Input::default();
    let filter = Filter {
        from: input.date_from(request.date_from.as_deref()),
        before: input.date_to(request.date_to.as_deref()),
        limit: input.limit(request.limit, LIMIT_DEFAULT, LIMIT_MAX),
        offset: input.offset(request.offset),
    };
    input.finish()?;
    Ok(filter)
}

/// The limit and the offset of the lists of a report.
pub(super) fn page(request: &pb::GetReconciliationReportRequest) -> Result<(i64, i64)> {
    let mut input = Input::default();
    let limit = input.limit(request.limit, LIMIT_DEFAULT, LIMIT_MAX);
    let offset = input.offset(request.offset);
    input.finish()?;
    Ok((limit, offset))
}

/// The period that was asked for; the last 24 hours when nothing was.
pub(super) fn period(
    request: &pb::TriggerReconciliationRequest,
    now: DateTime<Utc>,
) -> Result<Period> {
    let mut input = Input::default();
    let (from, to) = (
        request.period_start.as_deref(),
        request.period_end.as_deref(),
    );
    // Fails for instants centuries away only.
    let now = now.duration_trunc(PRECISION).unwrap_or(now);
    let end = match to {
        Some(text) => last_instant(&mut input, text),
        None => now,
    };
    let start = input
        .instant_from("period_start", from)
        .unwrap_or(end - TimeDelta::hours(PERIOD_HOURS));
    if start >= end {
        input.fault("period_start", "must be before period_end");
    } else if end - start > TimeDelta::days(PERIOD_DAYS_MAX) {
        input.fault(
            "period_start",
            format!("must be at most {PERIOD_DAYS_MAX} days before period_end"),
        );
    }
    input.finish()?;
    Ok(Period { start, end })
}

/// The last millisecond of a date or instant. `23:59:59` without a fraction is how the document ends a day: the whole
/// second.
fn last_instant(input: &mut Input, text: &str) -> DateTime<Utc> {
    let before = input.instant_to("period_end", Some(text));
    // A fault is noted; any instant does.
    let end = before.map_or(DateTime::UNIX_EPOCH, |before| before - PRECISION);
    let is_end_of_day = text.contains("23:59:59") && !text.contains('.');
    match is_end_of_day {
        true => end + TimeDelta::milliseconds(999),
        false => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(start: Option<&str>, end: Option<&str>) -> Option<(String, String)> {
        let request = pb::TriggerReconciliationRequest {
            period_start: start.map(str::to_owned),
            period_end: end.map(str::to_owned),
        };
        let now = "2026-04-14T12:00:00.123456Z".parse().unwrap();
        let period = period(&request, now).ok()?;
        let text = super::super::super::time::text;
        Some((text(period.start), text(period.end)))
    }

    #[test]
    fn periods_are_what_was_asked_for() {
        let is = |start: &str, end: &str| Some((start.to_owned(), end.to_owned()));
        assert_eq!(
            read(None, None),
            is("2026-04-13T12:00:00.123Z", "2026-04-14T12:00:00.123Z")
        );
        assert_eq!(
            read(Some("2026-04-08T00:00:00Z"), Some("2026-04-14T23:59:59Z")),
            is("2026-04-08T00:00:00.000Z", "2026-04-14T23:59:59.999Z")
        );
        assert_eq!(
            read(Some("2026-04-08"), Some("2026-04-08")),
            is("2026-04-08T00:00:00.000Z", "2026-04-08T23:59:59.999Z")
        );
        assert_eq!(
            read(
                Some("2026-04-08T23:59:59.500Z"),
                Some("2026-04-09T00:00:00Z")
            ),
            is("2026-04-08T23:59:59.500Z", "2026-04-09T00:00:00.000Z")
        );
        assert_eq!(
            read(None, Some("2026-04-02T00:00:00Z")),
            is("2026-04-01T00:00:00.000Z", "2026-04-02T00:00:00.000Z")
        );
    }

    #[test]
    fn periods_have_a_length_and_a_limit() {
        for (start, end) in [
            (Some("2026-04-14T12:00:00.123Z"), None),
            (Some("2026-04-02T00:00:00Z"), Some("2026-04-02T00:00:00Z")),
            (Some("2026-04-03"), Some("2026-04-02")),
            (Some("yesterday"), None),
            (None, Some("")),
            (
                Some("2025-01-01T00:00:00Z"),
                Some("2026-02-05T00:00:00.001Z"),
            ),
        ] {
            assert_eq!(read(start, end), None, "{start:?} {end:?}");
        }
        assert!(read(Some("2025-01-01T00:00:00Z"), Some("2026-02-05T00:00:00Z")).is_some());
    }
}
