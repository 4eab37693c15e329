//! Reading requests: every fault is collected, so that one answer names them all.

use std::ops::RangeInclusive;

use chrono::{DateTime, Datelike, Duration, NaiveTime, Utc};
use prost_types::FieldMask;
use serde_json::{Map, Value};

use crate::{
    delivery::address,
    error::{Error, Result, Violation},
    proto::pulpo::r#type::v1::{Decimal, Json},
};

use super::money;

/// Longest id and name, in characters.
const NAME_CHARS_MAX: usize = 255;
/// Longest part of a key of several: three of them, with an organisation, fit into an entry of an index.
const KEY_PART_BYTES_MAX: usize = 800;
/// Longest description, in characters.
const TEXT_CHARS_MAX: usize = 4096;
/// Most names in a list of a policy.
const LIST_MAX: usize = 1000;
/// Largest JSON object kept with a payment, in bytes.
const JSON_BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting of such an object.
const JSON_DEPTH_MAX: usize = 64;
/// The years of instants. What is reckoned from them, as the end of a day or a period before, can be stored and printed, too.
const YEARS: RangeInclusive<i32> = 1900..=9998;
/// The currency when none is given.
pub(super) const DEFAULT_CURRENCY: &str = "USD";

/// The faults found so far.
#[derive(Default)]
pub(super) struct Input {
    violations: Vec<Violation>,
}

/// The `fields` a change touches: those of the mask, or those that are set where there is none.
///
/// # Errors
/// 400 for a mask that names another field.
pub(super) fn named_fields(
    fields: &[&'static str],
    mask: Option<FieldMask>,
    is_set: impl Fn(&str) -> bool,
) -> Result<Vec<&'static str>> {
    let paths = mask.map(|mask| mask.paths).unwrap_or_default();
    if paths.iter().any(|path| path == "*") {
        return Ok(fields.to_vec());
    }
    if paths.is_empty() {
        let set = fields.iter().copied().filter(|field| is_set(field));
        return Ok(set.collect());
    }
    let known = |path: &String| {
        let field = fields.iter().copied().find(|field| field == path);
        field
            .ok_or_else(|| Error::invalid("update_mask", format!("names the unknown field {path}")))
    };
    paths.iter().map(known).collect()
}

impl Input {
    /// Notes that the field is wrong.
    pub(super) fn fault(&mut self, field: &str, description: impl Into<String>) {
        self.violations.push(Violation {
            field: field.to_owned(),
            description: description.into(),
        });
    }

    /// Ends the reading: an error that names every fault, if there are any.
    pub(super) fn finish(self) -> Result<()> {
        if self.violations.is_empty() {
            Ok(())
        } else {
            Err(Error::invalid_fields(self.violations))
        }
    }

    /// A name that must be there.
    pub(super) fn name(&mut self, field: &str, value: &str) {
        if value.trim().is_empty() {
            self.fault(field, "is required");
        } else {
            self.text(field, Some(value), NAME_CHARS_MAX);
        }
    }

    /// A part of a key of several, which an index must hold: bounded in bytes too, which characters beyond Latin have more of.
    pub(super) fn key_part(&mut self, field: &str, value: &str) {
        if value.len() > KEY_PART_BYTES_MAX {
            self.fault(
                field,
                format!("must have at most {KEY_PART_BYTES_MAX} bytes"),
            );
        }
    }

    /// A name that may be absent, and may not be empty.
    pub(super) fn optional_name(&mut self, field: &str, value: Option<&str>) {
        match value {
            Some(value) if value.trim().is_empty() => self.fault(field, "must not be empty"),
            value => self.text(field, value, NAME_CHARS_MAX),
        }
    }

    /// A short text that may be absent or empty.
    pub(super) fn label(&mut self, field: &str, value: Option<&str>) {
        self.text(field, value, NAME_CHARS_MAX);
    }

    /// A longer text that may be absent or empty.
    pub(super) fn description(&mut self, field: &str, value: Option<&str>) {
        self.text(field, value, TEXT_CHARS_MAX);
    }

    fn text(&mut self, field: &str, value: Option<&str>, chars_max: usize) {
        let Some(value) = value else { return };
        if value.chars().count() > chars_max {
            self.fault(field, format!("must have at most {chars_max} characters"));
        } else if value.contains('\0') {
            self.fault(field, "must not contain the character U+0000");
        }
    }

    /// The address of a target as it is stored, once it is known to be a good one.
    pub(super) fn target(
        &mut self,
        field: &str,
        value: Option<&str>,
        allows_private: bool,
    ) -> Option<String> {
        let Some(text) = value.filter(|text| !text.is_empty()) else {
            self.fault(field, "is required");
            return None;
        };
        match address::target(text, allows_private) {
            Ok(url) => Some(url.into()),
            Err(fault) => {
                self.fault(field, fault);
                None
            }
        }
    }

    /// A list of names.
    pub(super) fn names(&mut self, field: &str, values: &[String]) {
        if values.len() > LIST_MAX {
            self.fault(field, format!("must have at most {LIST_MAX} entries"));
            return;
        }
        for (i, value) in values.iter().enumerate() {
            self.optional_name(&format!("{field}[{i}]"), Some(value));
        }
    }

    /// A currency code, USD when absent.
    pub(super) fn currency(&mut self, value: Option<&str>) -> String {
        let currency = value.unwrap_or(DEFAULT_CURRENCY);
        if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_uppercase()) {
            self.fault(
                "currency",
                "must be three upper-case letters, for example USD",
            );
        }
        currency.to_owned()
    }

    /// A positive amount that must be there.
    pub(super) fn amount(&mut self, field: &str, value: Option<&Decimal>) -> i64 {
        money::required(field, value, &mut self.violations)
    }

    /// A positive amount that may be absent.
    pub(super) fn optional_amount(&mut self, field: &str, value: Option<&Decimal>) -> Option<i64> {
        money::optional(field, value, &mut self.violations)
    }

    /// The text of a JSON object, exactly as given; absent and null are none.
    pub(super) fn object(&mut self, field: &str, value: Option<Json>) -> Option<String> {
        let text = value
            .map(|json| json.text)
            .filter(|text| !matches!(text.trim(), "" | "null"))?;
        if text.len() > JSON_BYTES_MAX {
            self.fault(field, format!("must have at most {JSON_BYTES_MAX} bytes"));
        } else if depth(&text) > JSON_DEPTH_MAX {
            self.fault(
                field,
                format!("must be nested at most {JSON_DEPTH_MAX} levels deep"),
            );
        } else if !text.trim_start().starts_with('{')
            || serde_json::from_str::<&serde_json::value::RawValue>(&text).is_err()
        {
            self.fault(field, "must be an object");
        }
        Some(text)
    }

    /// The members of an object that was read before. They may have numbers that cannot be kept as values, as `1e400`.
    pub(super) fn members(&mut self, field: &str, text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap_or_else(|_| {
            // What is no object was noted when it was read.
            if self.violations.iter().all(|fault| fault.field != field) {
                self.fault(field, "must be an object of plain values");
            }
            Map::new()
        })
    }

    /// How many rows: `default` when absent, cut to `max`.
    pub(super) fn limit(&mut self, value: Option<i64>, default: i64, max: i64) -> i64 {
        let limit = value.unwrap_or(default);
        if limit < 1 {
            self.fault("limit", "must be at least 1");
        }
        limit.min(max)
    }

    /// How many rows to skip: none when absent.
    pub(super) fn offset(&mut self, value: Option<i64>) -> i64 {
        let offset = value.unwrap_or(0);
        if offset < 0 {
            self.fault("offset", "must not be negative");
        }
        offset
    }

    /// The first instant of `date_from`.
    pub(super) fn date_from(&mut self, value: Option<&str>) -> Option<DateTime<Utc>> {
        self.instant_from("date_from", value)
    }

    /// The first instant of a date, or the instant itself.
    pub(super) fn instant_from(
        &mut self,
        field: &str,
        value: Option<&str>,
    ) -> Option<DateTime<Utc>> {
        self.instant(field, value?).map(|(start, _)| start)
    }

    /// The first instant after `date_to`: of the next day for a date, of the next millisecond for an instant, because
    /// instants are printed in milliseconds.
    pub(super) fn date_to(&mut self, value: Option<&str>) -> Option<DateTime<Utc>> {
        self.instant_to("date_to", value)
    }

    /// The first instant after a date, or after the millisecond of an instant.
    pub(super) fn instant_to(&mut self, field: &str, value: Option<&str>) -> Option<DateTime<Utc>> {
        self.instant(field, value?).map(|(_, end)| end)
    }

    fn instant(&mut self, field: &str, text: &str) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let parsed = if text.len() == "2026-04-14".len() {
            let date = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
            let start = date.map(|date| date.and_time(NaiveTime::MIN).and_utc());
            start.map(|start| (start, start + Duration::days(1)))
        } else {
            // Without an offset it is UTC.
            let instant = DateTime::parse_from_rfc3339(text)
                .or_else(|_| DateTime::parse_from_rfc3339(&format!("{text}Z")));
            instant
                .ok()
                .map(|at| (at.to_utc(), at.to_utc() + Duration::milliseconds(1)))
        };
        let Some((start, end)) = parsed else {
            self.fault(field, "must be an ISO 8601 date or instant, for example 2026-04-14 or 2026-04-14T12:00:00Z");
            return None;
        };
        // By the year in UTC: an offset may lead out of the year that is written.
        if !YEARS.contains(&start.year()) {
            let (first, last) = YEARS.into_inner();
            self.fault(field, format!("must be in the years {first} to {last}"));
            return None;
        }
        Some((start, end))
    }
}

/// The deepest nesting of arrays and objects, without parsing.
pub(super) fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> (Option<String>, bool) {
        let mut input = Input::default();
        let value = input.object(
            "metadata",
            Some(Json {
                text: text.to_owned(),
            }),
        );
        (value, input.finish().is_ok())
    }

    #[test]
    fn objects_are_kept_as_given() {
        let text = r#"{"b":1.00000000000000000000001,"a":1e999999,"c":"\u0000"}"#;
        assert_eq!(object(text), (Some(text.to_owned()), true));
        assert_eq!(object("null"), (None, true));
        for text in ["[]", "1", "\"x\"", "{", "{]", "{}{}"] {
            assert!(!object(text).1, "{text}");
        }
        let deep = |levels: usize| {
            format!(
                "{{\"a\":{}{}}}",
                "[".repeat(levels - 1),
                "]".repeat(levels - 1)
            )
        };
        assert!(object(&deep(JSON_DEPTH_MAX)).1);
        assert!(!object(&deep(JSON_DEPTH_MAX + 1)).1);
        assert!(object(r#"{"a":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"[["}"#).1);
    }

    #[test]
    fn a_date_lasts_to_its_end() {
        let mut input = Input::default();
        let end = input.date_to(Some("2026-04-14")).unwrap();
        assert_eq!(end.to_rfc3339(), "2026-04-15T00:00:00+00:00");
        let end = input.date_to(Some("2026-04-14T12:00:00.123Z")).unwrap();
        assert_eq!(end.to_rfc3339(), "2026-04-14T12:00:00.124+00:00");
        let start = input.date_from(Some("2026-04-14T12:00:00+02:00")).unwrap();
        assert_eq!(start.to_rfc3339(), "2026-04-14T10:00:00+00:00");
        assert_eq!(
            input
                .date_from(Some("2026-04-14T12:00:00"))
                .unwrap()
                .to_rfc3339(),
            "2026-04-14T12:00:00+00:00"
        );
        assert!(input.finish().is_ok());
        for text in [
            "",
            "yesterday",
            "2026-13-01",
            "2026-02-30",
            "+12026-01-1",
            "12026-01-01T00:00:00Z",
            "2026-4-1",
            "0001-01-01",
            "1899-12-31T23:59:59.999Z",
            "1900-01-01T00:59:59+01:00",
            "9999-01-01",
            "9998-12-31T23:30:00-01:00",
            "9999-12-31T23:59:59.999Z",
        ] {
            let mut input = Input::default();
            assert_eq!(input.date_from(Some(text)), None, "{text}");
            assert!(input.finish().is_err(), "{text}");
        }
    }

    #[test]
    fn every_fault_is_named() {
        let mut input = Input::default();
        input.name("requesting_agent_id", " ");
        input.optional_name("counterparty_agent_id", Some(""));
        input.currency(Some("usd"));
        input.amount("amount", None);
        input.limit(Some(0), 50, 200);
        input.offset(Some(-1));
        let error = input.finish().unwrap_err();
        let fields: Vec<_> = error.violations.iter().map(|v| v.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "requesting_agent_id",
                "counterparty_agent_id",
                "currency",
                "amount",
                "limit",
                "offset"
            ]
        );
    }
}
