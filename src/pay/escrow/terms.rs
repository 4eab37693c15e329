//! What a request asks of an escrow.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    error::{Error, Result},
    proto::pulpo::r#type::v1::Json,
};

use super::super::input::Input;

/// How long an escrow lasts when nothing else is said: 72 hours.
const DURATION_MINUTES_DEFAULT: i64 = 72 * 60;
/// Longest escrow: 365 days.
const DURATION_MINUTES_MAX: i64 = 365 * 24 * 60;
/// Most release conditions.
const CONDITIONS_MAX: usize = 50;
/// The kinds of release conditions.
const TYPES: [&str; 4] = [
    "agent_verification",
    "manual_review",
    "delivery_confirmation",
    "quality_check",
];
/// What is known of a condition.
pub(super) const STATUSES: [&str; 3] = ["pending", "passed", "failed"];
/// The status that releases.
pub(super) const PASSED: &str = "passed";

/// Something that must happen before the money is released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pay) struct Condition {
    /// One of [`TYPES`].
    pub(super) r#type: String,
    /// Who or what is meant.
    pub(super) target: String,
    /// One of [`STATUSES`].
    pub(super) status: String,
}

/// When it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum End {
    /// This long after the money was put aside.
    DurationMinutes(i64),
    /// At this instant.
    ExpiresAt(DateTime<Utc>),
}

/// An escrow that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pay) struct Terms {
    pub(super) release_conditions: Vec<Condition>,
    end: End,
}

impl Terms {
    /// Reads `escrow_conditions`; none when it is absent. What depends on now is left to [`Terms::check`].
    pub(in crate::pay) fn read(input: &mut Input, value: Option<Json>) -> Option<Self> {
        let text = input.object("escrow_conditions", value)?;
        let value = Value::Object(input.members("escrow_conditions", &text));
        Some(Self {
            release_conditions: read_conditions(input, &value["release_conditions"]),
            end: read_end(input, &value),
        })
    }

    /// When it ends if the money is put aside now.
    pub(in crate::pay) fn ends_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self.end {
            End::DurationMinutes(minutes) => now + TimeDelta::minutes(minutes),
            End::ExpiresAt(at) => at,
        }
    }

    /// 400 when it does not end after now, or later than is allowed.
    pub(in crate::pay) fn check(&self, now: DateTime<Utc>) -> Result<()> {
        let ends_at = self.ends_at(now);
        if ends_at <= now || ends_at > now + TimeDelta::minutes(DURATION_MINUTES_MAX) {
            return Err(Error::invalid(
                "escrow_conditions.expires_at",
                "must be in the future, at most 365 days from now",
            ));
        }
        Ok(())
    }
}

fn read_conditions(input: &mut Input, value: &Value) -> Vec<Condition> {
    const FIELD: &str = "escrow_conditions.release_conditions";
    let items: &[Value] = match value {
        Value::Null => &[],
        Value::Array(items) if items.len() <= CONDITIONS_MAX => items.as_slice(),
        _ => {
            input.fault(
                FIELD,
                format!("must be an array of at most {CONDITIONS_MAX} conditions"),
            );
            &[]
        }
    };
    let mut conditions: Vec<Condition> = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let field = |name: &str| format!("{FIELD}[{i}].{name}");
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        let (kind, target) = (text("type"), text("target"));
        one_of(input, &field("type"), &kind, &TYPES);
        input.name(&field("target"), &target);
        let status = match &item["status"] {
            Value::Null => "pending".to_owned(),
            given => given.as_str().unwrap_or_default().to_owned(),
        };
        one_of(input, &field("status"), &status, &STATUSES);
        if conditions
            .iter()
            .any(|c| c.r#type == kind && c.target == target)
        {
            input.fault(&field("target"), "stands twice with this type");
        }
        conditions.push(Condition {
            r#type: kind,
            target,
            status,
        });
    }
    if !conditions.is_empty() && all_passed(&conditions) {
        input.fault(
            FIELD,
            "must have a condition that has not passed yet; ask for no escrow instead",
        );
    }
    conditions
}

/// Whether nothing keeps the money any more.
pub(super) fn all_passed(conditions: &[Condition]) -> bool {
    conditions.iter().all(|c| c.status == PASSED)
}

/// Notes a word that is none of these.
pub(super) fn one_of(input: &mut Input, field: &str, word: &str, words: &[&str]) {
    if !words.contains(&word) {
        input.fault(field, format!("must be one of {}", words.join(", ")));
    }
}

fn read_end(input: &mut Input, value: &Value) -> End {
    const MINUTES: &str = "escrow_conditions.duration_minutes";
    const AT: &str = "escrow_conditions.expires_at";
    match (&value["duration_minutes"], &value["expires_at"]) {
        (Value::Null, Value::Null) => {}
        (Value::Null, at) => {
            // An empty text is no instant either.
            let at = input.instant_from(AT, Some(at.as_str().unwrap_or_default()));
            return End::ExpiresAt(at.unwrap_or_default().trunc_subsecs(6));
        }
        (minutes, Value::Null) => match minutes.as_i64() {
            Some(minutes @ 1..=DURATION_MINUTES_MAX) => return End::DurationMinutes(minutes),
            _ => input.fault(
                MINUTES,
                format!("must be a whole number from 1 to {DURATION_MINUTES_MAX}"),
            ),
        },
        _ => input.fault(AT, "must not be given together with duration_minutes"),
    }
    End::DurationMinutes(DURATION_MINUTES_DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Terms>, Vec<String>> {
        let mut input = Input::default();
        let json = Json {
            text: text.to_owned(),
        };
        let terms = Terms::read(&mut input, Some(json));
        match input.finish() {
            Ok(()) => Ok(terms),
            Err(error) => Err(error.violations.into_iter().map(|v| v.field).collect()),
        }
    }

    #[test]
    fn defaults() {
        let now = DateTime::UNIX_EPOCH;
        assert_eq!(read("null"), Ok(None));
        let terms = read("{}").unwrap().unwrap();
        assert_eq!(terms.ends_at(now), now + TimeDelta::hours(72));
        assert!(terms.check(now).is_ok());
        let text = r#"{"release_conditions":[{"type":"quality_check","target":"agent-q"}],"duration_minutes":1}"#;
        let terms = read(text).unwrap().unwrap();
        assert_eq!(terms.release_conditions[0].status, "pending");
        assert_eq!(terms.ends_at(now), now + TimeDelta::minutes(1));
        let stored = serde_json::to_value(&terms).unwrap();
        assert_eq!(serde_json::from_value::<Terms>(stored).unwrap(), terms);
    }

    #[test]
    fn an_instant_must_come() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let terms = read(r#"{"expires_at":"2026-04-15T00:00:00.000Z"}"#)
            .unwrap()
            .unwrap();
        assert!(terms.check(at("2026-04-14T23:59:59.999Z")).is_ok());
        assert!(terms.check(at("2026-04-15T00:00:00Z")).is_err());
        assert!(terms.check(at("2025-04-15T00:00:00Z")).is_ok());
        assert!(terms.check(at("2025-04-14T23:59:59Z")).is_err());
    }

    #[test]
    fn every_fault_is_named() {
        const AT: &str = "escrow_conditions.expires_at";
        const MINUTES: &str = "escrow_conditions.duration_minutes";
        const ALL: &str = "escrow_conditions.release_conditions";
        for (text, field) in [
            ("[]", "escrow_conditions".to_owned()),
            ("{", "escrow_conditions".to_owned()),
            (
                r#"{"duration_minutes":60,"note":1e400}"#,
                "escrow_conditions".to_owned(),
            ),
            (r#"{"expires_at":"soon"}"#, AT.to_owned()),
            (r#"{"expires_at":7}"#, AT.to_owned()),
            (
                r#"{"expires_at":"2026-04-14","duration_minutes":5}"#,
                AT.to_owned(),
            ),
            (r#"{"duration_minutes":0}"#, MINUTES.to_owned()),
            (r#"{"duration_minutes":1.5}"#, MINUTES.to_owned()),
            (r#"{"duration_minutes":"60"}"#, MINUTES.to_owned()),
            (r#"{"duration_minutes":525601}"#, MINUTES.to_owned()),
            (r#"{"release_conditions":{}}"#, ALL.to_owned()),
            (
                r#"{"release_conditions":[{"type":"luck","target":"a"}]}"#,
                format!("{ALL}[0].type"),
            ),
            (
                r#"{"release_conditions":[{"type":"quality_check"}]}"#,
                format!("{ALL}[0].target"),
            ),
            (
                r#"{"release_conditions":[{"type":"quality_check","target":"a","status":"maybe"}]}"#,
                format!("{ALL}[0].status"),
            ),
            (
                r#"{"release_conditions":[{"type":"quality_check","target":"a"},{"type":"quality_check","target":"a"}]}"#,
                format!("{ALL}[1].target"),
            ),
            (
                r#"{"release_conditions":[{"type":"quality_check","target":"a","status":"passed"}]}"#,
                ALL.to_owned(),
            ),
        ] {
            assert_eq!(read(text), Err(vec![field]), "{text}");
        }
        let many = vec![r#"{"type":"quality_check","target":"a"}"#; CONDITIONS_MAX + 1].join(",");
        let text = format!(r#"{{"release_conditions":[{many}]}}"#);
        assert_eq!(read(&text), Err(vec![ALL.to_owned()]));
        let faults = read(r#"{"release_conditions":[7]}"#).unwrap_err();
        assert_eq!(faults.len(), 2, "{faults:?}");
    }
}
