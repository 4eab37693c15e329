//! The queue's table and its statements. All of them take many jobs at once.

use chrono::{DateTime, Utc};
use diesel::{
    Insertable, OptionalExtension, QueryResult, QueryableByName,
    sql_types::{Array, BigInt, Integer, Jsonb, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use crate::{
    db::{Conn, Topic, wake},
    shares::Shares,
};

use schema::jobs;

mod schema {
    diesel::table! {
        jobs (id) {
            id -> Int8,
            org_id -> Nullable<Text>,
            kind -> Text,
            payload -> Jsonb,
            ordering_key -> Nullable<Text>,
            priority -> Int2,
            run_at -> Timestamptz,
            created_at -> Timestamptz,
        }
    }
}

/// A job to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// The organisation it works for; none for work of the installation.
    pub org_id: Option<String>,
    /// Which handler does it.
    pub kind: &'static str,
    /// What the handler needs to know.
    pub payload: Value,
    /// Jobs of one key run one at a time and in order. Begin it with the kind: keys are shared by all.
    pub ordering_key: Option<String>,
    /// Higher ones of a kind go first.
    pub priority: i16,
    /// Not before this instant; as soon as possible when none.
    pub run_at: Option<DateTime<Utc>>,
}

impl NewJob {
    /// A job of this kind, to be done as soon as possible and in no order.
    pub fn new(kind: &'static str, payload: Value) -> Self {
        Self {
            org_id: None,
            kind,
            payload,
            ordering_key: None,
            priority: 0,
            run_at: None,
        }
    }
}

#[derive(Insertable)]
#[diesel(table_name = jobs)]
struct Row<'a> {
    org_id: Option<&'a str>,
    kind: &'a str,
    payload: &'a Value,
    ordering_key: Option<&'a str>,
    priority: i16,
    run_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
}

/// Writes the jobs, in their order, in the caller's transaction.
pub async fn enqueue(conn: &mut Conn, new: &[NewJob], now: DateTime<Utc>) -> QueryResult<()> {
    let rows: Vec<Row<'_>> = new
        .iter()
        .map(|job| Row {
            org_id: job.org_id.as_deref(),
            kind: job.kind,
            payload: &job.payload,
            ordering_key: job.ordering_key.as_deref(),
            priority: job.priority,
            run_at: job.run_at.unwrap_or(now),
            created_at: now,
        })
        .collect();
    diesel::insert_into(jobs::table)
        .values(&rows)
        .execute(conn)
        .await?;
    wake::note(Topic::Jobs);
    Ok(())
}

/// A job under a lease.
#[derive(Clone, Debug, PartialEq, QueryableByName)]
pub struct Job {
    /// Its number.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// The organisation it works for.
    #[diesel(sql_type = Nullable<Text>)]
    pub org_id: Option<String>,
    /// Which handler does it.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// What the handler needs to know.
    #[diesel(sql_type = Jsonb)]
    pub payload: Value,
    /// Which attempt this is, from 1.
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
    /// The lease's number: who holds an older one may finish nothing.
    #[diesel(sql_type = BigInt)]
    pub token: i64,
    /// When it was written.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
}

/// Whether the job's lease is still held. The row is locked until the transaction ends, so that whatever the handler writes in
/// it is written under the lease.
pub async fn holds(conn: &mut Conn, job: &Job) -> QueryResult<bool> {
    let held = diesel::sql_query(
        "SELECT id AS n FROM jobs WHERE id = $1 AND token = $2 AND state = 'running' FOR UPDATE",
    )
    .bind::<BigInt, _>(job.id)
    .bind::<BigInt, _>(job.token)
    .get_result::<Number>(conn)
    .await
    .optional()?;
    Ok(held.is_some_and(|number| number.n == job.id))
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// What may be taken of a kind.
pub(super) struct Wanted<'a> {
    pub(super) kind: &'a str,
    /// What there is of it for organisations.
    pub(super) shares: Shares<'a>,
}

/// Takes due jobs of these kinds until `lease_until`, of each organisation as many as its share allows. Rows that others are taking are passed over;
/// of one ordering key only the first is taken, and none while another one of it runs.
pub(super) async fn claim(
    conn: &mut Conn,
    wanted: &[Wanted<'_>],
    worker: &str,
    now: DateTime<Utc>,
    lease_until: DateTime<Utc>,
) -> QueryResult<Vec<Job>> {
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let of = |value: fn(&Wanted<'_>) -> usize| -> Vec<i64> {
        wanted.iter().map(|w| number(value(w))).collect()
    };
    let held = wanted.iter().flat_map(|w| {
        let rooms = w.shares.rooms();
        rooms.map(|(org_id, n)| (w.kind, (org_id, number(n))))
    });
    // As an array, so that the order of the index stays what is read in.
    let full = wanted.iter().flat_map(|w| {
        let full = w.shares.full();
        full.map(|org_id| format!("{} {org_id}", w.kind))
    });
    let (held_kinds, held): (Vec<_>, Vec<_>) = held.unzip();
    let (org_ids, rooms): (Vec<_>, Vec<_>) = held.into_iter().unzip();
    diesel::sql_query(
        "WITH wanted AS (SELECT * FROM unnest($1::text[], $2::bigint[], $6::bigint[]) AS w (kind, n, room)), \
         held AS (SELECT * FROM unnest($7::text[], $8::text[], $9::bigint[]) AS h (kind, org_id, room)), \
         due AS (SELECT taken.id, taken.org_id, coalesce(h.room, w.room) AS room, \
             row_number() OVER (PARTITION BY w.kind, taken.org_id ORDER BY taken.priority DESC, taken.run_at, taken.id) AS place \
             FROM wanted AS w CROSS JOIN LATERAL ( \
             SELECT j.id, j.org_id, j.priority, j.run_at FROM jobs AS j WHERE j.kind = w.kind AND j.state IN ('waiting', 'running') \
             AND NOT (coalesce(j.kind || ' ' || j.org_id, '') = ANY($10)) \
             AND j.run_at <= $4 AND (j.ordering_key IS NULL OR NOT EXISTS ( \
                 SELECT 1 FROM jobs AS e WHERE e.ordering_key = j.ordering_key \
                 AND e.state IN ('waiting', 'running') AND e.id <> j.id AND (e.id < j.id OR e.state = 'running'))) \
             ORDER BY j.priority DESC, j.run_at, j.id LIMIT w.n FOR UPDATE SKIP LOCKED) AS taken \
             LEFT JOIN held AS h ON h.kind = w.kind AND h.org_id = taken.org_id) \
         UPDATE jobs AS j SET state = 'running', worker = $3, run_at = $5, token = token + 1, attempts = attempts + 1 \
         FROM due WHERE j.id = due.id AND (due.org_id IS NULL OR due.place <= due.room) \
         RETURNING j.id, j.org_id, j.kind, j.payload, j.attempts, j.token, j.created_at",
    )
    .bind::<Array<Text>, _>(wanted.iter().map(|w| w.kind).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(of(|w| w.shares.at_once()))
    .bind::<Text, _>(worker)
    .bind::<Timestamptz, _>(now)
    .bind::<Timestamptz, _>(lease_until)
    .bind::<Array<BigInt>, _>(of(|w| w.shares.room_of_new()))
    .bind::<Array<Text>, _>(held_kinds)
    .bind::<Array<Text>, _>(org_ids)
    .bind::<Array<BigInt>, _>(rooms)
    .bind::<Array<Text>, _>(full.collect::<Vec<_>>())
    .load(conn)
    .await
}

/// What became of a job.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    Done,
    /// Again from this instant on, because of this.
    Again(DateTime<Utc>, String),
    /// Given up because of this.
    Dead(String),
    /// Not begun, or interrupted by a stop: as if it had not been taken.
    GivenBack,
}

/// Records what became of jobs, by number and lease; those whose lease has been lost are left alone. Answers how many
/// were recorded.
pub(super) async fn finish(
    conn: &mut Conn,
    outcomes: &[(i64, i64, Outcome)],
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    let (mut ids, mut tokens, mut states) = (Vec::new(), Vec::new(), Vec::new());
    let (mut run_ats, mut errors, mut attempts) = (Vec::new(), Vec::new(), Vec::new());
    for (id, token, outcome) in outcomes {
        ids.push(*id);
        tokens.push(*token);
        let (state, run_at, error, attempt) = match outcome {
            Outcome::Done => ("done", None, None, 0),
            Outcome::Again(at, error) => ("waiting", Some(*at), Some(error.as_str()), 0),
            Outcome::Dead(error) => ("dead", None, Some(error.as_str()), 0),
            Outcome::GivenBack => ("waiting", Some(now), None, 1),
        };
        states.push(state);
        run_ats.push(run_at);
        errors.push(error);
        attempts.push(attempt);
    }
    diesel::sql_query(
        "UPDATE jobs AS j SET state = o.state, worker = NULL, run_at = coalesce(o.run_at, j.run_at), \
         last_error = coalesce(o.error, j.last_error), attempts = j.attempts - o.attempt, \
         finished_at = CASE WHEN o.state IN ('done', 'dead') THEN $7 END \
         FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::timestamptz[], $5::text[], $6::integer[]) \
         AS o (id, token, state, run_at, error, attempt) \
         WHERE j.id = o.id AND j.token = o.token AND j.state = 'running'",
    )
    .bind::<Array<BigInt>, _>(ids)
    .bind::<Array<BigInt>, _>(tokens)
    .bind::<Array<Text>, _>(states)
    .bind::<Array<Nullable<Timestamptz>>, _>(run_ats)
    .bind::<Array<Nullable<Text>>, _>(errors)
    .bind::<Array<Integer>, _>(attempts)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await
}

/// Extends the leases of these jobs, by number and lease; answers the numbers of those that are still held.
pub(super) async fn extend(
    conn: &mut Conn,
    held: &[(i64, i64)],
    lease_until: DateTime<Utc>,
) -> QueryResult<Vec<i64>> {
    let (ids, tokens): (Vec<_>, Vec<_>) = held.iter().copied().unzip();
    let kept: Vec<Number> = diesel::sql_query(
        "UPDATE jobs AS j SET run_at = $3 FROM unnest($1::bigint[], $2::bigint[]) AS h (id, token) \
         WHERE j.id = h.id AND j.token = h.token AND j.state = 'running' RETURNING j.id AS n",
    )
    .bind::<Array<BigInt>, _>(ids)
    .bind::<Array<BigInt>, _>(tokens)
    .bind::<Timestamptz, _>(lease_until)
    .load(conn)
    .await?;
    Ok(kept.into_iter().map(|number| number.n).collect())
}

/// Moves a schedule to `slot_at` unless it is there or further; answers whether this caller moved it past a slot that had
/// been enqueued before, that is, whether the job of the slot is the caller's to enqueue.
pub(super) async fn take_slot(
    conn: &mut Conn,
    name: &str,
    slot_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    // A schedule that is seen for the first time begins with its next slot.
    let first = diesel::sql_query(
        "INSERT INTO job_schedules (name, slot_at, updated_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind::<Text, _>(name)
    .bind::<Timestamptz, _>(slot_at)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    if first == 1 {
        return Ok(false);
    }
    let moved = diesel::sql_query(
        "UPDATE job_schedules SET slot_at = $2, updated_at = $3 WHERE name = $1 AND slot_at < $2",
    )
    .bind::<Text, _>(name)
    .bind::<Timestamptz, _>(slot_at)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(moved == 1)
}
