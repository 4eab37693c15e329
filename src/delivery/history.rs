//! What was sent to an endpoint, for its owner.

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryResult, QueryableByName,
    sql_types::{BigInt, Integer, Jsonb, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use super::queue::Attempt;
use crate::db::Conn;

/// A delivery.
#[derive(Clone, Debug, QueryableByName)]
pub struct DeliveryRow {
    /// dlv_…
    #[diesel(sql_type = Text)]
    pub id: String,
    /// The event, as its receiver knows it.
    #[diesel(sql_type = Text)]
    pub event_id: String,
    /// The kind of the event.
    #[diesel(sql_type = Text)]
    pub event_type: String,
    /// The body that is sent.
    #[diesel(sql_type = Text)]
    pub body: String,
    /// pending, delivered or failed.
    #[diesel(sql_type = Text)]
    pub status: String,
    /// How often it was sent.
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
    /// When it is sent next, while it is pending.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When the last attempt was made.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub attempted_at: Option<DateTime<Utc>>,
    /// The headers of the last attempt, by name.
    #[diesel(sql_type = Nullable<Jsonb>)]
    pub request_headers: Option<Value>,
    /// The status of its response.
    #[diesel(sql_type = Nullable<Integer>)]
    pub response_status: Option<i32>,
    /// The beginning of its response.
    #[diesel(sql_type = Nullable<Text>)]
    pub response_body: Option<String>,
    /// How long it took.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub duration_ms: Option<i64>,
    /// Why it failed.
    #[diesel(sql_type = Nullable<Text>)]
    pub last_error: Option<String>,
    /// When it was made.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// When it was answered with 2xx.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub delivered_at: Option<DateTime<Utc>>,
}

const COLUMNS: &str = "id, event_id, event_type, body, status, attempts, \
    CASE WHEN status = 'pending' THEN due_at END AS next_attempt_at, attempted_at, request_headers, response_status, \
    response_body, duration_ms, last_error, created_at, delivered_at";

/// The deliveries of an endpoint, newest first.
pub async fn list(
    conn: &mut Conn,
    org_id: &str,
    endpoint_id: &str,
    limit: i64,
) -> QueryResult<Vec<DeliveryRow>> {
    diesel::sql_query(format!(
        "SELECT {COLUMNS} FROM deliveries WHERE org_id = $1 AND endpoint_id = $2 ORDER BY id DESC LIMIT $3"
    ))
    .bind::<Text, _>(org_id)
    .bind::<Text, _>(endpoint_id)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await
}

/// A delivery of an endpoint.
pub async fn find(
    conn: &mut Conn,
    org_id: &str,
    endpoint_id: &str,
    id: &str,
) -> QueryResult<Option<DeliveryRow>> {
    diesel::sql_query(format!(
        "SELECT {COLUMNS} FROM deliveries WHERE org_id = $1 AND endpoint_id = $2 AND id = $3"
    ))
    .bind::<Text, _>(org_id)
    .bind::<Text, _>(endpoint_id)
    .bind::<Text, _>(id)
    .get_result(conn)
    .await
    .optional()
}

/// What was sent without waiting in the queue.
pub(super) struct Sent<'a> {
    pub(super) api: &'a str,
    pub(super) event_id: &'a str,
    pub(super) event_type: &'a str,
    pub(super) body: &'a str,
    pub(super) is_delivered: bool,
}

/// Keeps a delivery that was made at once and is not repeated. The endpoint may be gone meanwhile: then nothing is kept.
pub(super) async fn insert(
    conn: &mut Conn,
    sent: &Sent<'_>,
    attempt: &Attempt,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    diesel::sql_query(
        "INSERT INTO deliveries (org_id, endpoint_id, id, api, event_id, event_type, ordering_key, body, status, attempts, \
         due_at, attempted_at, request_headers, response_status, response_body, duration_ms, last_error, created_at, delivered_at) \
         SELECT e.org_id, e.id, $3, $4, $5, $6, $5, $7, $8, 1, $9, $9, $10, $11, $12, $13, $14, $9, $15 \
         FROM delivery_endpoints AS e WHERE e.org_id = $1 AND e.id = $2 FOR KEY SHARE",
    )
    .bind::<Text, _>(&attempt.org_id)
    .bind::<Text, _>(&attempt.endpoint_id)
    .bind::<Text, _>(&attempt.id)
    .bind::<Text, _>(sent.api)
    .bind::<Text, _>(sent.event_id)
    .bind::<Text, _>(sent.event_type)
    .bind::<Text, _>(sent.body)
    .bind::<Text, _>(if sent.is_delivered { "delivered" } else { "failed" })
    .bind::<Timestamptz, _>(attempt.attempted_at)
    .bind::<Nullable<Jsonb>, _>(&attempt.request_headers)
    .bind::<Nullable<Integer>, _>(attempt.response_status)
    .bind::<Nullable<Text>, _>(&attempt.response_body)
    .bind::<Nullable<BigInt>, _>(attempt.duration_ms)
    .bind::<Nullable<Text>, _>(&attempt.error)
    .bind::<Nullable<Timestamptz>, _>(sent.is_delivered.then_some(now))
    .execute(conn)
    .await
}
