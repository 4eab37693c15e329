//! The tables behind durable keys.

use chrono::{DateTime, NaiveDate, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use super::window::{WINDOW_US, Window, day_of};
use crate::{db::Conn, error::Result};

/// One counted request that is not stored yet.
pub(super) struct Hit {
    pub(super) key: std::sync::Arc<str>,
    pub(super) at_us: i64,
}

#[derive(QueryableByName)]
struct Stored {
    #[diesel(sql_type = Nullable<Timestamptz>)]
    at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Integer)]
    n: i32,
}

/// What is stored of a key: its last minute and its day.
pub(super) async fn load(conn: &mut Conn, key: &str, now: DateTime<Utc>) -> Result<Window> {
    const QUERY: &str = "SELECT at, n FROM rate_hits WHERE key = $1 AND at > $2
        UNION ALL SELECT NULL, count FROM rate_days WHERE key = $1 AND day = $3";
    let now_us = now.timestamp_micros();
    let since = DateTime::from_timestamp_micros(now_us - WINDOW_US).unwrap_or(now);
    let rows: Vec<Stored> = diesel::sql_query(QUERY)
        .bind::<Text, _>(key)
        .bind::<Timestamptz, _>(since)
        .bind::<diesel::sql_types::Date, _>(now.date_naive())
        .load(conn)
        .await?;
    let (mut hits, mut day_count) = (Vec::new(), 0);
    for row in rows {
        let n = usize::try_from(row.n).unwrap_or(0);
        match row.at {
            Some(at) => hits.extend(std::iter::repeat_n(at.timestamp_micros(), n)),
            None => day_count = u32::try_from(row.n).unwrap_or(0),
        }
    }
    Ok(Window::restore(hits, day_of(now_us), day_count))
}

/// Stores a batch in one statement: each instant, and the sum of each day.
pub(super) async fn save(conn: &mut Conn, hits: &[Hit]) -> Result<()> {
    const STATEMENT: &str = "WITH given AS (
            SELECT key, at, count(*)::integer AS n FROM unnest($1::text[], $2::bigint[]) AS hit(key, us)
            CROSS JOIN LATERAL (SELECT timestamptz 'epoch' + us * interval '1 microsecond' AS at) AS instant
            GROUP BY key, at
        ), stored AS (
            INSERT INTO rate_hits (key, at, n) SELECT key, at, n FROM given ORDER BY key, at
            ON CONFLICT (key, at) DO UPDATE SET n = rate_hits.n + excluded.n
        )
        INSERT INTO rate_days (key, day, count)
        SELECT key, (at AT TIME ZONE 'UTC')::date, sum(n)::integer FROM given GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (key, day) DO UPDATE SET count = rate_days.count + excluded.count";
    let (keys, instants): (Vec<&str>, Vec<i64>) =
        hits.iter().map(|hit| (&*hit.key, hit.at_us)).unzip();
    diesel::sql_query(STATEMENT)
        .bind::<Array<Text>, _>(keys)
        .bind::<Array<BigInt>, _>(instants)
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes what no limit can ask for any more; a margin stays for replicas whose clocks differ.
pub(super) async fn prune(conn: &mut Conn, now: DateTime<Utc>) -> Result<()> {
    let (minutes, days) = (
        now - chrono::TimeDelta::minutes(5),
        now.date_naive() - chrono::Days::new(2),
    );
    diesel::sql_query("DELETE FROM rate_hits WHERE at < $1")
        .bind::<Timestamptz, DateTime<Utc>>(minutes)
        .execute(conn)
        .await?;
    diesel::sql_query("DELETE FROM rate_days WHERE day < $1")
        .bind::<diesel::sql_types::Date, NaiveDate>(days)
        .execute(conn)
        .await?;
    Ok(())
}
