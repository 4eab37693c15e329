//! Reading the members of an input; every fault is noted under its name.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::super::super::{
    input::{DEFAULT_CURRENCY, Input},
    time,
};

/// How long a period is when its start is not given.
const PERIOD_DAYS: i64 = 30;
/// How long a period may be.
const PERIOD_DAYS_MAX: i64 = 366;

/// The members that were not read yet.
pub(super) struct Fields<'i> {
    input: &'i mut Input,
    members: Map<String, Value>,
    known: Vec<&'static str>,
}

/// A span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) start: DateTime<Utc>,
    /// Exclusive.
    pub(super) end: DateTime<Utc>,
}

impl Period {
    pub(super) fn json(self) -> Value {
        serde_json::json!({"start": time::text(self.start), "end": time::text(self.end)})
    }
}

impl<'i> Fields<'i> {
    /// The members of an object. A text that is none was noted before.
    pub(super) fn new(input: &'i mut Input, text: &str) -> Self {
        let members = input.members("input", text);
        Self {
            input,
            members,
            known: Vec::new(),
        }
    }

    /// A text that may be absent, and may not be empty.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        let field = format!("input.{name}");
        match self.take(name)? {
            Value::String(text) => {
                self.input.optional_name(&field, Some(&text));
                Some(text)
            }
            _ => {
                self.input.fault(&field, "must be a text");
                None
            }
        }
    }

    /// A list of texts that may be absent.
    pub(super) fn texts(&mut self, name: &'static str) -> Option<Vec<String>> {
        let field = format!("input.{name}");
        let texts = match self.take(name)? {
            Value::Array(values) => values
                .into_iter()
                .map(|value| value.as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>(),
            _ => None,
        };
        match &texts {
            Some(texts) => self.input.names(&field, texts),
            None => self.input.fault(&field, "must be a list of texts"),
        }
        texts
    }

    /// A currency code, USD when absent.
    pub(super) fn currency(&mut self) -> String {
        let Some(currency) = self.text("currency") else {
            return DEFAULT_CURRENCY.to_owned();
        };
        if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_uppercase()) {
            self.fault(
                "currency",
                "must be three upper-case letters, for example USD",
            );
        }
        currency
    }

    /// `date_from` and `date_to`.
    pub(super) fn dates(&mut self) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        let (from, to) = (self.text("date_from"), self.text("date_to"));
        let from = self.input.instant_from("input.date_from", from.as_deref());
        let to = self.input.instant_to("input.date_to", to.as_deref());
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            self.fault("date_from", "must be before date_to");
        }
        (from, to)
    }

    /// The same as a period: the last 30 days when nothing is said, at most 366 days.
    pub(super) fn period(&mut self, now: DateTime<Utc>) -> Period {
        let (from, to) = self.dates();
        let end = to.unwrap_or(now + TimeDelta::milliseconds(1));
        let start = from.unwrap_or(end - TimeDelta::days(PERIOD_DAYS));
        if to.is_none() && start >= end {
            self.fault("date_from", "must not be in the future");
        } else if end - start > TimeDelta::days(PERIOD_DAYS_MAX) {
            let fault = format!("must be at most {PERIOD_DAYS_MAX} days before date_to");
            self.fault("date_from", &fault);
        }
        Period { start, end }
    }

    /// Notes that a member is wrong.
    pub(super) fn fault(&mut self, name: &str, description: &str) {
        self.input.fault(&format!("input.{name}"), description);
    }

    /// What is left belongs to no agent of this name.
    pub(super) fn finish(self, agent: &str) {
        for name in self.members.keys().take(10) {
            let name: String = name.chars().take(64).collect();
            let known = self.known.join(", ");
            self.input.fault(
                &format!("input.{name}"),
                format!("is not known to {agent}, which knows {known}"),
            );
        }
    }

    /// A member that is there and not null.
    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.members
            .shift_remove(name)
            .filter(|value| !value.is_null())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(text: &str) -> (Period, Vec<String>) {
        let mut input = Input::default();
        let mut fields = Fields::new(&mut input, text);
        let period = fields.period("2026-04-14T12:00:00Z".parse().unwrap());
        fields.finish("the agent");
        let faults = input.finish().err().map(|error| error.violations);
        let faults = faults.unwrap_or_default().into_iter();
        (period, faults.map(|fault| fault.field).collect())
    }

    #[test]
    fn a_period_is_a_month_and_at_most_a_year() {
        let (month, faults) = period("{}");
        assert_eq!(month.end - month.start, TimeDelta::days(30));
        assert!(faults.is_empty());
        let (day, faults) = period(r#"{"date_from": "2026-04-01", "date_to": "2026-04-01"}"#);
        assert_eq!(day.end - day.start, TimeDelta::days(1));
        assert!(faults.is_empty());
        for (text, field) in [
            (r#"{"date_from": "2026-05-01"}"#, "input.date_from"),
            (r#"{"date_from": "2024-04-01"}"#, "input.date_from"),
            (
                r#"{"date_from": "2026-04-02", "date_to": "2026-04-01"}"#,
                "input.date_from",
            ),
            (r#"{"date_to": "soon"}"#, "input.date_to"),
            (r#"{"date_to": 5}"#, "input.date_to"),
            (r#"{"region": "x"}"#, "input.region"),
            (r#"{"date_to": 1e999}"#, "input"),
        ] {
            assert_eq!(period(text).1, [field], "{text}");
        }
    }
}
