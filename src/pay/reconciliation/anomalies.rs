//! What is unusual about the payments of a period: five rules over sums that the database makes, and how severe each is.
//!
//! Measures are in ten-thousandths: 4,000 is a share of 40 %, 20,000 two standard deviations.

use diesel::{
    QueryResult, QueryableByName,
    sql_types::{BigInt, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::db::Conn;

use super::{
    super::{
        audit::{Audit, Checked, Fault},
        money,
    },
    input::Period,
    matching::PAID,
};

/// Most anomalies of one type that are kept.
const TYPE_MAX: i64 = 1000;

/// How severe an anomaly is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The severity by steps that the measure is above; low below the first.
    fn above(measure: i64, steps: [(i64, Self); 2]) -> Self {
        let passed = steps.into_iter().rev().find(|(step, _)| measure > *step);
        passed.map_or(Self::Low, |(_, severity)| severity)
    }
}

/// Something unusual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Anomaly {
    /// Which rule found it.
    pub(super) kind: &'static str,
    pub(super) severity: Severity,
    /// What it is about.
    pub(super) subject: String,
    pub(super) currency: Option<String>,
    /// How many payments it is about.
    pub(super) count: i64,
    pub(super) amount_minor: Option<i64>,
    pub(super) measure: Option<i64>,
    /// For people.
    pub(super) detail: String,
}

/// What the statement of a rule gives.
#[derive(Clone, Debug, Default, PartialEq, Eq, QueryableByName)]
struct Found {
    #[diesel(sql_type = Text)]
    subject: String,
    /// Another organisation, where it plays a part.
    #[diesel(sql_type = Nullable<Text>)]
    other: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    currency: Option<String>,
    #[diesel(sql_type = BigInt)]
    count: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    amount_minor: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    measure: Option<i64>,
    /// How many rows there are without the limit.
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// A rule: its statement over `$1` to `$5` (organisation, start, first instant after, most rows, whole days) and `paid`, and
/// how severe what it gives is.
struct Rule {
    kind: &'static str,
    found: &'static str,
    severity: fn(&Found) -> Severity,
    detail: fn(&Found) -> String,
}

const RULES: [Rule; 5] = [
    Rule {
        kind: "dispute_rate",
        found: DISPUTE_RATE,
        severity: |found| {
            let steps = [(1_000, Severity::High), (2_000, Severity::Critical)];
            match Severity::above(measure(found), steps) {
                Severity::Low => Severity::Medium,
                severity => severity,
            }
        },
        detail: |found| {
            format!(
                "{} of the payments were disputed, more than 5 %",
                percent(found)
            )
        },
    },
    Rule {
        kind: "concentration",
        found: CONCENTRATION,
        severity: |found| {
            Severity::above(
                measure(found),
                [(6_000, Severity::Medium), (8_000, Severity::High)],
            )
        },
        detail: |found| {
            let of = found.other.as_deref();
            let of = of.map_or(String::new(), |org_id| format!(" of {org_id}"));
            format!(
                "{} of the volume went to {}{of}, more than 40 %",
                percent(found),
                found.subject
            )
        },
    },
    Rule {
        kind: "velocity",
        found: VELOCITY,
        severity: |found| match found.measure {
            None => Severity::High,
            Some(measure) => Severity::above(
                measure,
                [(30_000, Severity::Medium), (40_000, Severity::High)],
            ),
        },
        detail: |found| {
            format!(
                "{} in the 24 hours from {} on, more than two standard deviations above the 30 days before",
                amount(found),
                found.subject
            )
        },
    },
    Rule {
        kind: "cross_organization",
        found: CROSS_ORGANIZATION,
        severity: |_| Severity::Low,
        detail: |found| {
            format!(
                "{} payments of {} went to another organization",
                found.count,
                amount(found)
            )
        },
    },
    Rule {
        kind: "new_category",
        found: NEW_CATEGORY,
        severity: |_| Severity::Low,
        detail: |found| {
            format!(
                "{} payments of a category that the 90 days before had none of",
                found.count
            )
        },
    },
];

const DISPUTE_RATE: &str = "SELECT $1 AS subject, NULL AS other, NULL AS currency, disputed AS count, \
     NULL::bigint AS amount_minor, round(disputed * 10000.0 / made)::bigint AS measure FROM ( \
     SELECT count(*) AS made, count(*) FILTER (WHERE e.disputed_at IS NOT NULL) AS disputed FROM transactions t \
     LEFT JOIN escrows e ON e.org_id = t.org_id AND e.transaction_id = t.id \
     WHERE t.org_id = $1 AND t.created_at >= $2 AND t.created_at < $3 \
     AND t.status IN ('settled', 'escrow_held', 'disputed', 'refunded')) AS sums WHERE disputed * 100 > made * 5";

const CONCENTRATION: &str = "SELECT p.counterparty_agent_id AS subject, p.counterparty_org_id AS other, p.currency, \
     count(*) AS count, least(sum(p.amount_minor), 9223372036854775807)::bigint AS amount_minor, \
     round(sum(p.amount_minor) * 10000 / t.minor)::bigint AS measure FROM paid p \
     JOIN (SELECT currency, sum(amount_minor) AS minor FROM paid GROUP BY currency) t ON t.currency = p.currency \
     WHERE p.counterparty_agent_id IS NOT NULL \
     GROUP BY p.counterparty_agent_id, p.counterparty_org_id, p.currency, t.minor \
     HAVING sum(p.amount_minor) * 100 > t.minor * 40";

// Days are 24 hours counted back from the end; day 0 is the last one. A period of less than a day is held against the day it
// ends. Days without payments count as 0; with payments on fewer than three of the 30 there is nothing to compare with.
const VELOCITY: &str = "SELECT to_char(($3 - (day + 1) * interval '24 hours') AT TIME ZONE 'UTC', \
     'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS subject, NULL AS other, currency, count, \
     least(minor, 9223372036854775807)::bigint AS amount_minor, CASE WHEN deviation > 0 \
     THEN least(round((minor - mean) / deviation * 10000), 9223372036854775807)::bigint END AS measure FROM ( \
     SELECT c.currency, g.day, coalesce(d.count, 0) AS count, coalesce(d.minor, 0) AS minor, \
     avg(coalesce(d.minor, 0)) OVER before AS mean, stddev_pop(coalesce(d.minor, 0)) OVER before AS deviation, \
     count(d.minor) OVER before AS days_paid FROM generate_series(0, greatest($5, 1) + 29) AS g (day) \
     CROSS JOIN (SELECT DISTINCT currency FROM paid) c LEFT JOIN ( \
     SELECT currency, ceil(extract(epoch FROM $3 - created_at) / 86400)::bigint - 1 AS day, count(*) AS count, \
     sum(amount_minor) AS minor FROM transactions WHERE org_id = $1 \
     AND created_at >= $3 - (greatest($5, 1) + 30) * interval '24 hours' AND created_at < $3 \
     AND status IN ('settled', 'escrow_held', 'disputed') GROUP BY 1, 2) d ON d.currency = c.currency AND d.day = g.day \
     WINDOW before AS (PARTITION BY c.currency ORDER BY g.day ROWS BETWEEN 1 FOLLOWING AND 30 FOLLOWING)) AS days \
     WHERE day < greatest($5, 1) AND days_paid >= 3 AND minor > mean + 2 * deviation";

const CROSS_ORGANIZATION: &str = "SELECT counterparty_org_id AS subject, NULL AS other, currency, count(*) AS count, \
     least(sum(amount_minor), 9223372036854775807)::bigint AS amount_minor, NULL::bigint AS measure FROM paid \
     WHERE counterparty_org_id IS NOT NULL GROUP BY counterparty_org_id, currency";

const NEW_CATEGORY: &str = "SELECT category AS subject, NULL AS other, NULL AS currency, count(*) AS count, \
     NULL::bigint AS amount_minor, NULL::bigint AS measure FROM paid p WHERE category <> '' AND NOT EXISTS ( \
     SELECT 1 FROM transactions t WHERE t.org_id = $1 AND t.created_at >= $2 - interval '90 days' AND t.created_at < $2 \
     AND t.status IN ('settled', 'escrow_held', 'disputed') AND t.category = p.category) GROUP BY category";

fn measure(found: &Found) -> i64 {
    found.measure.unwrap_or_default()
}

fn percent(found: &Found) -> String {
    let measure = measure(found);
    format!("{}.{:02} %", measure / 100, measure % 100)
}

fn amount(found: &Found) -> String {
    money::display(
        found.currency.as_deref().unwrap_or_default(),
        found.amount_minor.unwrap_or_default(),
    )
}

/// What the five rules find, and how much that is without the limits.
pub(super) async fn find(
    conn: &mut Conn,
    org_id: &str,
    period: Period,
) -> QueryResult<(Vec<Anomaly>, i64)> {
    let (mut anomalies, mut total) = (Vec::new(), 0);
    for rule in &RULES {
        let sql = format!(
            "WITH paid AS ({PAID}) SELECT found.*, count(*) OVER () AS total FROM ({}) AS found \
             WHERE $5::bigint IS NOT NULL ORDER BY amount_minor DESC NULLS LAST, count DESC, subject LIMIT $4",
            rule.found
        );
        let rows: Vec<Found> = diesel::sql_query(sql)
            .bind::<Text, _>(org_id)
            .bind::<Timestamptz, _>(period.start)
            .bind::<Timestamptz, _>(period.before())
            .bind::<BigInt, _>(TYPE_MAX)
            .bind::<BigInt, _>(period.days())
            .load(conn)
            .await?;
        total += rows.as_slice().first().map_or(0, |row| row.total);
        anomalies.extend(rows.into_iter().map(|row| rule.anomaly(row)));
    }
    Ok((anomalies, total))
}

impl Rule {
    fn anomaly(&self, found: Found) -> Anomaly {
        Anomaly {
            kind: self.kind,
            severity: (self.severity)(&found),
            detail: (self.detail)(&found),
            subject: found.subject,
            currency: found.currency,
            count: found.count,
            amount_minor: found.amount_minor,
            measure: found.measure,
        }
    }
}

/// The faults of the ledger that are named, each of them critical.
pub(super) fn of_ledger(audit: &Audit) -> Vec<Anomaly> {
    let anomaly = |checked: &Checked, fault: &Fault| Anomaly {
        kind: "ledger",
        severity: Severity::Critical,
        subject: fault.subject.clone(),
        currency: None,
        count: 0,
        amount_minor: None,
        measure: None,
        detail: format!("{}: {}", checked.name, fault.detail),
    };
    let checks = audit.checks.iter();
    checks
        .flat_map(|checked| checked.faults.iter().map(move |f| anomaly(checked, f)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn severity(kind: &str, measure: Option<i64>) -> &'static str {
        let rule = RULES.iter().find(|rule| rule.kind == kind).unwrap();
        let found = Found {
            measure,
            ..Found::default()
        };
        (rule.severity)(&found).as_str()
    }

    #[test]
    fn severities_rise_in_steps() {
        let of = |kind, measures: &[i64]| -> Vec<_> {
            measures
                .iter()
                .map(|measure| severity(kind, Some(*measure)))
                .collect()
        };
        assert_eq!(
            of("concentration", &[4_001, 6_000, 6_001, 8_001]),
            ["low", "low", "medium", "high"]
        );
        assert_eq!(
            of("velocity", &[20_001, 30_001, 40_001]),
            ["low", "medium", "high"]
        );
        assert_eq!(severity("velocity", None), "high");
        assert_eq!(
            of("dispute_rate", &[501, 1_001, 2_001]),
            ["medium", "high", "critical"]
        );
    }
}
