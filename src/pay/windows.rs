//! What agents committed in the rolling windows, from running totals.
//!
//! Each approved payment carries the total of its payer up to it ([`Counted`]), and is counted no earlier than the one
//! before it. What was committed after an instant is the last total less the total at that instant: two rows, however
//! many payments lie between. What came back is taken off; it is counted by its own, small index.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    QueryResult, QueryableByName,
    result::Error,
    sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::db::{
    Conn,
    prepared::{column, prepared},
};

use super::ledger::chain::{self, Head};

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

/// What was read of the past. It comes with what else is read at this point, so that it is one statement.
#[derive(Debug)]
pub struct Past {
    /// What agents committed, by agent and currency.
    pub spent: HashMap<(String, String), Spent>,
    /// The end of the ledger's chain; none when it was not locked.
    pub head: Option<Head>,
    /// What is remembered of it is true, see [`crate::db::generation`].
    pub generation: Uuid,
    /// What the organisation is called.
    pub org_name: Option<String>,
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
    #[diesel(sql_type = SqlUuid)]
    generation: Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    org_name: Option<String>,
    #[diesel(embed)]
    head: Head,
}

/// What was committed after an instant is the last total less the total then, and less what came back.
macro_rules! select_past {
    ($head:literal) => {
        concat!("WITH head AS MATERIALIZED (", $head, ") \
        SELECT k.agent_id, k.currency, last.counted_at AS last_at, last.spent_total_minor::text AS total_minor, \
        least(coalesce(last.spent_total_minor, 0) - coalesce(day.spent_total_minor, 0) - back.daily, 9223372036854775807)::bigint AS daily_minor, \
        least(coalesce(last.spent_total_minor, 0) - coalesce(month.spent_total_minor, 0) - back.monthly, 9223372036854775807)::bigint AS monthly_minor, \
        (SELECT coalesce(current_setting('pulpo.wallets', true), '') = 'locked') AS is_after_lock, \
        (SELECT id FROM generation WHERE is_current) AS generation, \
        (SELECT name FROM organizations WHERE id = $1) AS org_name, head.chain_seq, head.chain_hash \
        FROM head CROSS JOIN unnest($2::text[], $3::text[]) AS k (agent_id, currency) \
        LEFT JOIN LATERAL (SELECT counted_at, spent_total_minor FROM transactions t WHERE t.org_id = $1 AND t.requesting_agent_id = k.agent_id \
        AND t.currency = k.currency AND t.counted_at IS NOT NULL ORDER BY counted_at DESC, spent_total_minor DESC LIMIT 1) AS last ON true \
        LEFT JOIN LATERAL (SELECT spent_total_minor FROM transactions t WHERE t.org_id = $1 AND t.requesting_agent_id = k.agent_id \
        AND t.currency = k.currency AND t.counted_at <= $4 ORDER BY counted_at DESC, spent_total_minor DESC LIMIT 1) AS day ON true \
        LEFT JOIN LATERAL (SELECT spent_total_minor FROM transactions t WHERE t.org_id = $1 AND t.requesting_agent_id = k.agent_id \
        AND t.currency = k.currency AND t.counted_at <= $5 ORDER BY counted_at DESC, spent_total_minor DESC LIMIT 1) AS month ON true \
        CROSS JOIN LATERAL (SELECT coalesce(sum(amount_minor) FILTER (WHERE counted_at > $4), 0) AS daily, coalesce(sum(amount_minor), 0) AS monthly \
        FROM transactions t WHERE t.org_id = $1 AND t.requesting_agent_id = k.agent_id AND t.currency = k.currency AND t.counted_at > $5 \
        AND t.status = 'refunded') AS back")
    };
}

const LOCKED: &str = select_past!(
    "SELECT chain_seq, chain_hash FROM ledger_heads WHERE org_id = $1 FOR NO KEY UPDATE"
);
const PREVIEW: &str = select_past!("SELECT 0::bigint AS chain_seq, ''::bytea AS chain_hash");

/// What agents of an organisation, at least one, committed in a currency each, after the two instants. The end of the
/// ledger's chain stays locked until the transaction ends.
pub async fn lock(
    conn: &Conn,
    org_id: &str,
    keys: &[(&str, &str)],
    starts: (DateTime<Utc>, DateTime<Utc>),
) -> QueryResult<Past> {
    let mut rows = load(conn, LOCKED, org_id, keys, starts).await?;
    if rows.is_empty() {
        chain::begin(conn, org_id).await?;
        rows = load(conn, LOCKED, org_id, keys, starts).await?;
    }
    let head = rows.as_slice().first().map(|row| row.head.clone());
    past(rows, head)
}

/// The same for a transaction that moves no money: nothing is locked.
pub async fn preview(
    conn: &Conn,
    org_id: &str,
    keys: &[(&str, &str)],
    starts: (DateTime<Utc>, DateTime<Utc>),
) -> QueryResult<Past> {
    past(load(conn, PREVIEW, org_id, keys, starts).await?, None)
}

async fn load(
    mut conn: &Conn,
    text: &'static str,
    org_id: &str,
    keys: &[(&str, &str)],
    (day_start, month_start): (DateTime<Utc>, DateTime<Utc>),
) -> QueryResult<Vec<Row>> {
    prepared(text, |query| {
        query
            .bind::<Text, _>(org_id)
            .bind::<Array<Text>, _>(column(keys, |key| key.0))
            .bind::<Array<Text>, _>(column(keys, |key| key.1))
            .bind::<Timestamptz, _>(day_start)
            .bind::<Timestamptz, _>(month_start)
    })
    .load(&mut conn)
    .await
}

fn past(rows: Vec<Row>, head: Option<Head>) -> QueryResult<Past> {
    let first = rows.as_slice().first().ok_or(Error::NotFound)?;
    let mut past = Past {
        spent: HashMap::with_capacity(rows.len()),
        head,
        generation: first.generation,
        org_name: first.org_name.clone(),
        is_after_lock: first.is_after_lock,
    };
    for row in rows {
        let total_minor = row.total_minor.map(|text| text.parse()).transpose();
        let total_minor =
            total_minor.map_err(|error| Error::DeserializationError(Box::new(error)))?;
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
