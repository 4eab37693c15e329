//! The table of deliveries: handing them out under leases, recording what became of them, and reading them. Statements
//! take many at once.
//!
//! `due_at` of a pending delivery is when it may be taken; while a worker holds one it is the end of the lease, so that the
//! lease of a worker that died ends by itself. A delivery that is not the first of its key is put off when it is met,
//! and woken when the one before it is done.

use chrono::{DateTime, Utc};
use diesel::{
    QueryResult, QueryableByName,
    sql_types::{Array, BigInt, Binary, Integer, Jsonb, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use super::fanout::WAIT;
use crate::{
    db::{
        Conn,
        prepared::{column, prepared},
    },
    shares::Shares,
};

/// A delivery under a lease, with what is needed to send it.
#[derive(Clone, Debug, QueryableByName)]
pub(super) struct Claimed {
    #[diesel(sql_type = Text)]
    pub(super) org_id: String,
    #[diesel(sql_type = Text)]
    pub(super) endpoint_id: String,
    #[diesel(sql_type = Text)]
    pub(super) id: String,
    #[diesel(sql_type = Text)]
    pub(super) api: String,
    #[diesel(sql_type = Text)]
    pub(super) event_id: String,
    #[diesel(sql_type = Text)]
    pub(super) event_type: String,
    #[diesel(sql_type = Text)]
    pub(super) body: String,
    #[diesel(sql_type = Integer)]
    pub(super) attempts: i32,
    #[diesel(sql_type = BigInt)]
    pub(super) token: i64,
    #[diesel(sql_type = Text)]
    pub(super) url: String,
    #[diesel(sql_type = Text)]
    pub(super) endpoint_status: String,
    #[diesel(sql_type = Binary)]
    pub(super) secret: Vec<u8>,
    #[diesel(sql_type = Nullable<Binary>)]
    pub(super) previous_secret: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(super) previous_valid_until: Option<DateTime<Utc>>,
}

/// How many may be taken.
pub(super) struct Room<'a> {
    /// Of one endpoint.
    pub(super) of_endpoint: i64,
    /// Endpoints that have none left.
    pub(super) full: &'a [&'a str],
    /// What there is for organisations.
    pub(super) shares: Shares<'a>,
}

/// Takes due deliveries until `lease_until`. Rows that others hold are passed over; of one endpoint and key only the first
/// pending one is taken.
pub(super) async fn claim(
    conn: &mut Conn,
    room: &Room<'_>,
    worker: &str,
    now: DateTime<Utc>,
    lease_until: DateTime<Utc>,
) -> QueryResult<Vec<Claimed>> {
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    // As an array, so that the order of the index stays what is read in.
    let full: Vec<_> = room.shares.full().collect();
    let rooms = room.shares.rooms().map(|(org_id, n)| (org_id, number(n)));
    let (org_ids, rooms): (Vec<_>, Vec<_>) = rooms.unzip();
    prepared(CLAIM, |query| {
        query
            .bind::<Timestamptz, _>(now)
            .bind::<BigInt, _>(number(room.shares.at_once()))
            .bind::<Array<Text>, _>(room.full)
            .bind::<BigInt, _>(room.of_endpoint)
            .bind::<Text, _>(worker)
            .bind::<Timestamptz, _>(lease_until)
            .bind::<Timestamptz, _>(now + WAIT)
            .bind::<BigInt, _>(number(room.shares.room_of_new()))
            .bind::<Array<Text>, _>(org_ids)
            .bind::<Array<BigInt>, _>(rooms)
            .bind::<Array<Text>, _>(full)
    })
    .load(conn)
    .await
}

const CLAIM: &str = "\
WITH held AS MATERIALIZED (SELECT * FROM unnest($9::text[], $10::bigint[]) AS h (org_id, room)),
due AS MATERIALIZED (
    SELECT d.org_id, d.endpoint_id, d.id, d.seq, d.ordering_key, d.due_at FROM deliveries AS d
    WHERE d.status = 'pending' AND d.due_at <= $1 AND NOT (d.endpoint_id = ANY($3))
    AND NOT (d.org_id = ANY($11))
    ORDER BY d.due_at LIMIT $2 FOR UPDATE SKIP LOCKED),
ranked AS (
    SELECT due.*, before.due_at AS before_due_at, before.worker AS before_worker, before.due_at IS NOT NULL AS is_blocked,
        row_number() OVER (PARTITION BY due.org_id, due.endpoint_id ORDER BY due.due_at, due.seq) AS place,
        row_number() OVER (PARTITION BY due.org_id ORDER BY due.due_at, due.seq) AS place_of_org,
        coalesce((SELECT h.room FROM held AS h WHERE h.org_id = due.org_id), $8) AS room
    FROM due LEFT JOIN LATERAL (
        SELECT p.due_at, p.worker FROM deliveries AS p WHERE p.org_id = due.org_id AND p.endpoint_id = due.endpoint_id
        AND p.ordering_key = due.ordering_key AND p.status = 'pending' AND p.seq < due.seq ORDER BY p.seq LIMIT 1
    ) AS before ON true),
put_off AS (
    UPDATE deliveries AS d SET due_at = CASE WHEN r.before_worker IS NULL THEN greatest(r.before_due_at, $7) ELSE $7 END
    FROM ranked AS r WHERE r.is_blocked AND d.org_id = r.org_id AND d.endpoint_id = r.endpoint_id AND d.id = r.id),
taken AS (
    UPDATE deliveries AS d SET worker = $5, due_at = $6, token = d.token + 1, attempts = d.attempts + 1
    FROM ranked AS r WHERE NOT r.is_blocked AND r.place <= $4 AND r.place_of_org <= r.room
    AND d.org_id = r.org_id AND d.endpoint_id = r.endpoint_id AND d.id = r.id
    RETURNING d.*)
SELECT t.org_id, t.endpoint_id, t.id, t.api, t.event_id, t.event_type, t.body, t.attempts, t.token,
    e.url, e.status AS endpoint_status, e.secret, e.previous_secret, e.previous_valid_until
FROM taken AS t JOIN delivery_endpoints AS e ON e.org_id = t.org_id AND e.id = t.endpoint_id ORDER BY t.seq";

/// What becomes of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Delivered,
    /// Given up.
    Failed,
    /// To be sent again from this instant on.
    Again(DateTime<Utc>),
    /// Not sent: as if it had not been taken, from this instant on.
    GivenBack(DateTime<Utc>),
}

/// One attempt, to be recorded.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) org_id: String,
    pub(super) endpoint_id: String,
    pub(super) id: String,
    pub(super) token: i64,
    pub(super) next: Next,
    pub(super) attempted_at: DateTime<Utc>,
    pub(super) request_headers: Option<Value>,
    pub(super) response_status: Option<i32>,
    pub(super) response_body: Option<String>,
    pub(super) duration_ms: Option<i64>,
    pub(super) error: Option<String>,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// Records attempts whose leases are held, wakes the next delivery of each key, and forgets the past failures of endpoints
/// where something was delivered, those in `counted` excepted. Answers how many were recorded.
pub(super) async fn record(
    conn: &mut Conn,
    attempts: &[Attempt],
    counted: &[&str],
    now: DateTime<Utc>,
) -> QueryResult<i64> {
    let (mut states, mut due_ats, mut unsent) = (Vec::new(), Vec::new(), Vec::new());
    for attempt in attempts {
        let (state, due_at, is_unsent) = match attempt.next {
            Next::Delivered => ("delivered", None, 0),
            Next::Failed => ("failed", None, 0),
            Next::Again(at) => ("pending", Some(at), 0),
            Next::GivenBack(at) => ("pending", Some(at), 1),
        };
        states.push(state);
        due_ats.push(due_at);
        unsent.push(is_unsent);
    }
    let recorded: Count = prepared(RECORD, |query| {
        query
            .bind::<Array<Text>, _>(column(attempts, |a| &a.org_id))
            .bind::<Array<Text>, _>(column(attempts, |a| &a.endpoint_id))
            .bind::<Array<Text>, _>(column(attempts, |a| &a.id))
            .bind::<Array<BigInt>, _>(column(attempts, |a| a.token))
            .bind::<Array<Text>, _>(states)
            .bind::<Array<Nullable<Timestamptz>>, _>(due_ats)
            .bind::<Array<Integer>, _>(unsent)
            .bind::<Array<Timestamptz>, _>(column(attempts, |a| a.attempted_at))
            .bind::<Array<Nullable<Jsonb>>, _>(column(attempts, |a| a.request_headers.as_ref()))
            .bind::<Array<Nullable<Integer>>, _>(column(attempts, |a| a.response_status))
            .bind::<Array<Nullable<Text>>, _>(column(attempts, |a| a.response_body.as_deref()))
            .bind::<Array<Nullable<BigInt>>, _>(column(attempts, |a| a.duration_ms))
            .bind::<Array<Nullable<Text>>, _>(column(attempts, |a| a.error.as_deref()))
            .bind::<Timestamptz, _>(now)
            .bind::<Array<Text>, _>(counted)
    })
    .get_result(conn)
    .await?;
    Ok(recorded.n)
}

const RECORD: &str = "\
WITH attempted AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::timestamptz[], $7::integer[],
        $8::timestamptz[], $9::jsonb[], $10::integer[], $11::text[], $12::bigint[], $13::text[])
    AS a (org_id, endpoint_id, id, token, status, due_at, unsent, attempted_at, request_headers, response_status,
        response_body, duration_ms, error)),
recorded AS (
    UPDATE deliveries AS d SET status = a.status, worker = NULL, due_at = coalesce(a.due_at, d.due_at),
        attempts = d.attempts - a.unsent,
        delivered_at = CASE WHEN a.status = 'delivered' THEN $14 END,
        attempted_at = CASE WHEN a.unsent = 0 THEN a.attempted_at ELSE d.attempted_at END,
        request_headers = CASE WHEN a.unsent = 0 THEN a.request_headers ELSE d.request_headers END,
        response_status = CASE WHEN a.unsent = 0 THEN a.response_status ELSE d.response_status END,
        response_body = CASE WHEN a.unsent = 0 THEN a.response_body ELSE d.response_body END,
        duration_ms = CASE WHEN a.unsent = 0 THEN a.duration_ms ELSE d.duration_ms END,
        last_error = CASE WHEN a.unsent = 0 THEN a.error ELSE d.last_error END
    FROM attempted AS a WHERE d.org_id = a.org_id AND d.endpoint_id = a.endpoint_id AND d.id = a.id
    AND d.token = a.token AND d.status = 'pending'
    RETURNING d.org_id, d.endpoint_id, d.ordering_key, d.seq, d.status),
waiting AS (
    SELECT n.org_id, n.endpoint_id, n.id FROM recorded AS r CROSS JOIN LATERAL (
        SELECT p.org_id, p.endpoint_id, p.id, p.attempts, p.worker FROM deliveries AS p WHERE p.org_id = r.org_id
        AND p.endpoint_id = r.endpoint_id AND p.ordering_key = r.ordering_key AND p.status = 'pending' AND p.seq > r.seq
        ORDER BY p.seq LIMIT 1) AS n
    WHERE r.status <> 'pending' AND n.attempts = 0 AND n.worker IS NULL),
woken AS (
    UPDATE deliveries AS d SET due_at = least(d.due_at, $14) FROM waiting AS w
    WHERE d.org_id = w.org_id AND d.endpoint_id = w.endpoint_id AND d.id = w.id AND d.worker IS NULL),
well AS (
    UPDATE delivery_endpoints AS e SET failure_count = 0, last_error = NULL
    FROM (SELECT DISTINCT org_id, endpoint_id FROM recorded WHERE status = 'delivered') AS s
    WHERE e.org_id = s.org_id AND e.id = s.endpoint_id AND e.status = 'active' AND NOT (e.id = ANY($15))
    AND (e.failure_count > 0 OR e.last_error IS NOT NULL))
SELECT count(*) AS n FROM recorded";

/// An endpoint whose failures are being counted.
#[derive(Debug, QueryableByName)]
pub(super) struct Counted {
    #[diesel(sql_type = Text)]
    pub(super) org_id: String,
    #[diesel(sql_type = Text)]
    pub(super) id: String,
    #[diesel(sql_type = Integer)]
    pub(super) failure_count: i32,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) last_error: Option<String>,
    #[diesel(sql_type = Text)]
    pub(super) status: String,
}

/// These endpoints, locked until the transaction ends, in the order of their ids.
pub(super) async fn lock_endpoints(
    conn: &mut Conn,
    org_ids: &[&str],
    ids: &[&str],
) -> QueryResult<Vec<Counted>> {
    diesel::sql_query(
        "SELECT org_id, id, failure_count, last_error, status FROM delivery_endpoints \
         WHERE (org_id, id) IN (SELECT * FROM unnest($1::text[], $2::text[])) ORDER BY org_id, id FOR NO KEY UPDATE",
    )
    .bind::<Array<Text>, _>(org_ids)
    .bind::<Array<Text>, _>(ids)
    .load(conn)
    .await
}

/// Writes the counts of failures. Those that are disabled lose what nobody has taken yet: it has failed.
pub(super) async fn count(conn: &mut Conn, endpoints: &[Counted]) -> QueryResult<()> {
    let texts = |of: fn(&Counted) -> &str| endpoints.iter().map(of).collect::<Vec<_>>();
    diesel::sql_query(
        "UPDATE delivery_endpoints AS e SET failure_count = c.failure_count, last_error = c.last_error, status = c.status \
         FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[], $5::text[]) \
         AS c (org_id, id, failure_count, last_error, status) WHERE e.org_id = c.org_id AND e.id = c.id",
    )
    .bind::<Array<Text>, _>(texts(|e| &e.org_id))
    .bind::<Array<Text>, _>(texts(|e| &e.id))
    .bind::<Array<Integer>, _>(endpoints.iter().map(|e| e.failure_count).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(
        endpoints.iter().map(|e| e.last_error.as_deref()).collect::<Vec<_>>(),
    )
    .bind::<Array<Text>, _>(texts(|e| &e.status))
    .execute(conn)
    .await?;
    for endpoint in endpoints
        .iter()
        .filter(|e| e.status == super::endpoints::DISABLED)
    {
        give_up(conn, &endpoint.org_id, &endpoint.id).await?;
    }
    Ok(())
}

/// Everything that waits for a disabled endpoint has failed; what is being sent ends by itself.
pub async fn give_up(conn: &mut Conn, org_id: &str, endpoint_id: &str) -> QueryResult<usize> {
    diesel::sql_query(
        "UPDATE deliveries SET status = 'failed', last_error = $3 \
         WHERE org_id = $1 AND endpoint_id = $2 AND status = 'pending' AND worker IS NULL",
    )
    .bind::<Text, _>(org_id)
    .bind::<Text, _>(endpoint_id)
    .bind::<Text, _>(ENDPOINT_DISABLED)
    .execute(conn)
    .await
}

/// Why a delivery failed that was never sent.
pub(super) const ENDPOINT_DISABLED: &str = "the endpoint was disabled";
