//! The tables behind durable keys.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::window::{WINDOW_US, Window, day_of};
use crate::{
    db::{
        Conn,
        prepared::{column, prepared},
    },
    error::Result,
};

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
    #[diesel(sql_type = Nullable<BigInt>)]
    last: Option<i64>,
}

/// What is stored of a key: its last minute and its day. And the last batch of which it is.
pub(super) async fn load(conn: &mut Conn, key: &str, now: DateTime<Utc>) -> Result<(Window, i64)> {
    const QUERY: &str =
        "SELECT at, n, NULL::bigint AS last FROM rate_hits WHERE key = $1 AND at > $2
        UNION ALL SELECT NULL, count, NULL FROM rate_days WHERE key = $1 AND day = $3
        UNION ALL SELECT NULL, 0, last FROM rate_batches";
    let now_us = now.timestamp_micros();
    let since = DateTime::from_timestamp_micros(now_us - WINDOW_US).unwrap_or(now);
    let rows: Vec<Stored> = diesel::sql_query(QUERY)
        .bind::<Text, _>(key)
        .bind::<Timestamptz, _>(since)
        .bind::<diesel::sql_types::Date, _>(now.date_naive())
        .load(conn)
        .await?;
    let (mut hits, mut day_count, mut batch) = (Vec::new(), 0, 0);
    for Stored { at, n, last } in rows {
        let n = u32::try_from(n).unwrap_or(0);
        match (at, last) {
            (Some(at), _) => hits.extend(std::iter::repeat_n(at.timestamp_micros(), n as usize)),
            (None, Some(last)) => batch = last,
            (None, None) => day_count = n,
        }
    }
    Ok((Window::restore(hits, day_of(now_us), day_count), batch))
}

/// Requests that another process let through.
#[derive(QueryableByName)]
pub(super) struct Others {
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) key: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(super) at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Integer)]
    pub(super) n: i32,
    #[diesel(sql_type = BigInt)]
    pub(super) batch: i64,
}

/// What others than `process` stored behind a batch, of no instant before `from`. A row without key says the last batch.
pub(super) async fn behind(
    conn: &mut Conn,
    batch: i64,
    process: Uuid,
    from: DateTime<Utc>,
) -> Result<Vec<Others>> {
    const QUERY: &str =
        "SELECT key, at, n, batch FROM rate_hits WHERE batch > $1 AND process <> $2 AND at > $3
        UNION ALL SELECT NULL, NULL, 0, last FROM rate_batches";
    let rows = prepared(QUERY, |query| {
        query
            .bind::<BigInt, _>(batch)
            .bind::<diesel::sql_types::Uuid, _>(process)
            .bind::<Timestamptz, _>(from)
    });
    Ok(rows.load(conn).await?)
}

/// Instants are stored in steps of this; a request counts as the end of its step, so that no limit gets larger by it.
const STEP_US: i64 = 20_000;

/// Stores a batch in one statement: how many in each step, and the sum of each day.
pub(super) async fn save(conn: &mut Conn, hits: &[Hit], process: Uuid) -> Result<()> {
    const STATEMENT: &str =
        "WITH batch AS (UPDATE rate_batches SET last = last + 1 RETURNING last), stored AS (
            INSERT INTO rate_hits (key, at, n, batch, process)
            SELECT key, timestamptz 'epoch' + us * interval '1 microsecond', n, batch.last, $7
            FROM batch, unnest($1::text[], $2::bigint[], $3::integer[]) AS hit (key, us, n)
        )
        INSERT INTO rate_days (key, day, count) SELECT key, date '1970-01-01' + day::integer, n
        FROM unnest($4::text[], $5::bigint[], $6::integer[]) AS hit (key, day, n)
        ON CONFLICT (key, day) DO UPDATE SET count = rate_days.count + excluded.count";
    // Sorted, so that no two batches wait for each other.
    let (mut steps, mut days) = (BTreeMap::new(), BTreeMap::new());
    for hit in hits {
        let into_us = hit.at_us.rem_euclid(STEP_US);
        let step_us = hit.at_us.saturating_add((STEP_US - into_us) % STEP_US);
        *steps.entry((&*hit.key, step_us)).or_insert(0_i32) += 1;
        *days.entry((&*hit.key, day_of(hit.at_us))).or_insert(0_i32) += 1;
    }
    let steps: Vec<_> = steps.into_iter().collect();
    let days: Vec<_> = days.into_iter().collect();
    prepared(STATEMENT, |query| {
        query
            .bind::<Array<Text>, _>(column(&steps, |((key, _), _)| *key))
            .bind::<Array<BigInt>, _>(column(&steps, |((_, us), _)| *us))
            .bind::<Array<Integer>, _>(column(&steps, |(_, n)| *n))
            .bind::<Array<Text>, _>(column(&days, |((key, _), _)| *key))
            .bind::<Array<BigInt>, _>(column(&days, |((_, day), _)| *day))
            .bind::<Array<Integer>, _>(column(&days, |(_, n)| *n))
            .bind::<diesel::sql_types::Uuid, _>(process)
    })
    .execute(conn)
    .await?;
    Ok(())
}

/// How long requests are kept.
pub(super) const KEPT: TimeDelta = TimeDelta::minutes(5);

/// Deletes what no limit can ask for any more; a margin stays for replicas whose clocks differ.
pub(super) async fn prune(conn: &mut Conn, now: DateTime<Utc>) -> Result<()> {
    let (minutes, days) = (now - KEPT, now.date_naive() - chrono::Days::new(2));
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
