//! What agents committed in the rolling windows, from running totals.
//!
//! Each approved payment carries the total of its payer up to it ([`Counted`]), and is counted no earlier than the one
//! before it. What was committed after an instant is the last total less the total at that instant: two rows, however
//! many payments lie between. What came back is taken off; it is counted by its own, small index.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    QueryResult, QueryableByName,
    sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::db::{
    Conn,
    prepared::{column, prepared},
};

/// Where an approved payment stands among those of its payer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// When it counts.
    pub at: DateTime<Utc>,
    /// Everything committed up to and with it.
    pub total_minor: i128,
}

/// What an agent committed in a currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// In the last 24 hours. A sum beyond 64 bits is cut to the largest.
    pub daily_minor: i64,
    /// In the last 30 days, cut likewise.
    pub monthly_minor: i64,
    /// The last payment that was counted.
    pub last: Option<Counted>,
}

impl Spent {
    /// Counts another payment, and answers where it stands.
    pub fn add(&mut self, amount_minor: i64, now: DateTime<Utc>) -> Counted {
        let (at, total_minor) = self
            .last
            .map_or((now, 0), |last| (now.max(last.at), last.total_minor));
        let counted = Counted {
            at,
            total_minor: total_minor + i128::from(amount_minor),
        };
        self.daily_minor = self.daily_minor.saturating_add(amount_minor);
        self.monthly_minor = self.monthly_minor.saturating_add(amount_minor);
        self.last = Some(counted);
        counted
    }
}

/// What agents committed.
#[derive(Debug, Default)]
pub struct Past {
    /// By agent and currency.
    pub spent: HashMap<(String, String), Spent>,
    /// Whether it was read after [`super::wallets::lock`] found wallets in the same transaction.
    pub is_after_lock: bool,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    agent_id: String,
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    total_minor: Option<String>,
    #[diesel(sql_type = BigInt)]
    daily_minor: i64,
    #[diesel(sql_type = BigInt)]
    monthly_minor: i64,
    #[diesel(sql_type = Bool)]
    is_after_lock: bool,
}

/// What agents of an organisation committed in a currency each, after the two instants.
pub async fn spent(
    mut conn: &Conn,
    org_id: &str,
    keys: &[(&str, &str)],
    (day_start, month_start): (DateTime<Utc>, DateTime<Utc>),
) -> QueryResult<Past> {
    const SUMS: &str = "SELECT k.agent_id, k.currency, last.counted_at AS last_at, last.spent_total_minor::text AS total_minor, \
        least(coalesce(last.spent_total_minor, 0) - coalesce(day.spent_total_minor, 0) - back.daily, 9223372036854775807)::bigint AS daily_minor, \
        least(coalesce(last.spent_total_minor, 0) - coalesce(month.spent_total_minor, 0) - back.monthly, 9223372036854775807)::bigint AS monthly_minor, \
        (SELECT coalesce(current_setting('pulpo.wallets', true), '') = 'locked') AS is_after_lock \
        FROM unnest($2::text[], $3::text[]) AS k (agent_id, currency) \
        LEFT JOIN LATERAL (SELECT counted_at, spent_total_minor FROM transactions t WHERE t.org_id = $1 AND t.requesting_agent_id = k.agent_id \
        AND t.currency = k.currency AND t.counted_at IS NOT NULL ORDER BY counted_at DESC, spent_total_minor DESC LIMIT 1) AS last ON true \
        LEFT JOIN LATERAL (SELECT spent_total_minor FROM transactions t WHERE t.org_id = $1 AND t.requesting_agent_id = k.agent_id \
        AND t.currency = k.currency AND t.counted_at <= $4 ORDER BY counted_at DESC, spent_total_minor DESC LIMIT 1) AS day ON true \
        LEFT JOIN LATERAL (SELECT spent_total_minor FROM transactions t WHERE t.org_id = $1 AND t.requesting_agent_id = k.agent_id \
        AND t.currency = k.currency AND t.counted_at <= $5 ORDER BY counted_at DESC, spent_total_minor DESC LIMIT 1) AS month ON true \
        CROSS JOIN LATERAL (SELECT coalesce(sum(amount_minor) FILTER (WHERE counted_at > $4), 0) AS daily, coalesce(sum(amount_minor), 0) AS monthly \
        FROM transactions t WHERE t.org_id = $1 AND t.requesting_agent_id = k.agent_id AND t.currency = k.currency AND t.counted_at > $5 \
        AND t.status = 'refunded') AS back";
    let rows: Vec<Row> = prepared(SUMS, |query| {
        query
            .bind::<Text, _>(org_id)
            .bind::<Array<Text>, _>(column(keys, |key| key.0))
            .bind::<Array<Text>, _>(column(keys, |key| key.1))
            .bind::<Timestamptz, _>(day_start)
            .bind::<Timestamptz, _>(month_start)
    })
    .load(&mut conn)
    .await?;
    let mut past = Past::default();
    for row in rows {
        past.is_after_lock = row.is_after_lock;
        let total_minor = row.total_minor.map(|text| text.parse()).transpose();
        let total_minor = total_minor
            .map_err(|error| diesel::result::Error::DeserializationError(Box::new(error)))?;
        let last = row.last_at.zip(total_minor);
        let spent = Spent {
            daily_minor: row.daily_minor,
            monthly_minor: row.monthly_minor,
            last: last.map(|(at, total_minor)| Counted { at, total_minor }),
        };
        past.spent.insert((row.agent_id, row.currency), spent);
    }
    Ok(past)
}
