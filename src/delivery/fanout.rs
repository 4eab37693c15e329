//! From a message to one delivery for each endpoint that wants it: one statement for many messages.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    QueryResult,
    sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::db::{
    Conn, Topic,
    prepared::{column, prepared},
    wake,
};

/// How long a delivery that waits for another one of its key sleeps before it is looked at again; the end of the other one
/// wakes it earlier.
pub(super) const WAIT: TimeDelta = TimeDelta::seconds(1);

/// Something to be delivered to whoever of an organisation wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Whose it is.
    pub org_id: String,
    /// The event, as its receivers know it.
    pub event_id: String,
    /// The event in the outbox.
    pub event_seq: i64,
    /// The kind of the event.
    pub kind: String,
    /// What it is about: messages of one key reach an endpoint in order.
    pub ordering_key: String,
    /// What endpoints may narrow their wishes to.
    pub labels: Vec<String>,
    /// The body, ready to be signed and sent.
    pub body: String,
    /// When it happened.
    pub created_at: DateTime<Utc>,
}

/// Writes the deliveries of messages that just happened, in their order: to the active endpoints that were registered
/// before. Answers how many.
pub async fn fan_out(
    conn: &mut Conn,
    api: &str,
    messages: &[Message],
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    write(conn, api, messages, None, now).await
}

/// The same for one endpoint, whenever they happened.
pub async fn replay(
    conn: &mut Conn,
    api: &str,
    messages: &[Message],
    endpoint_id: &str,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    write(conn, api, messages, Some(endpoint_id), now).await
}

async fn write(
    conn: &mut Conn,
    api: &str,
    messages: &[Message],
    endpoint_id: Option<&str>,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    if messages.is_empty() {
        return Ok(0);
    }
    // Texts always serialise.
    let labels = |message: &Message| serde_json::to_string(&message.labels).unwrap_or_default();
    let written = prepared(WRITE, |query| {
        query
            .bind::<Text, _>(api)
            .bind::<Array<Text>, _>(column(messages, |message| &message.org_id))
            .bind::<Array<Text>, _>(column(messages, |message| &message.event_id))
            .bind::<Array<BigInt>, _>(column(messages, |message| message.event_seq))
            .bind::<Array<Text>, _>(column(messages, |message| &message.kind))
            .bind::<Array<Text>, _>(column(messages, |message| &message.ordering_key))
            .bind::<Array<Text>, _>(column(messages, labels))
            .bind::<Array<Text>, _>(column(messages, |message| &message.body))
            .bind::<Array<Timestamptz>, _>(column(messages, |message| message.created_at))
            .bind::<Nullable<Text>, _>(endpoint_id)
            .bind::<Timestamptz, _>(now)
            .bind::<Timestamptz, _>(now + WAIT)
            .bind::<Bool, _>(endpoint_id.is_some())
    })
    .execute(conn)
    .await?;
    if written > 0 {
        wake::note(Topic::Deliveries);
    }
    Ok(written)
}

/// The first of a key may go at once, later ones when it is done. Ids begin with the time, in microseconds, and the place in
/// the statement, so that they sort in the order of writing.
const WRITE: &str = "\
INSERT INTO deliveries (org_id, endpoint_id, id, api, event_id, event_seq, event_type, ordering_key, body, due_at, created_at)
SELECT m.org_id, e.id,
    'dlv_' || lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000000)::bigint), 14, '0')
        || lpad(to_hex(row_number() OVER (ORDER BY m.ord, e.id)), 6, '0')
        || substr(replace(gen_random_uuid()::text, '-', ''), 1, 12),
    $1, m.event_id, m.event_seq, m.kind, m.ordering_key, m.body,
    CASE WHEN row_number() OVER (PARTITION BY e.org_id, e.id, m.ordering_key ORDER BY m.ord) > 1 OR EXISTS (
        SELECT 1 FROM deliveries AS p WHERE p.org_id = e.org_id AND p.endpoint_id = e.id
        AND p.ordering_key = m.ordering_key AND p.status = 'pending') THEN $12 ELSE $11 END,
    $11
FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::timestamptz[])
    WITH ORDINALITY AS m (org_id, event_id, event_seq, kind, ordering_key, labels, body, created_at, ord)
JOIN delivery_endpoints AS e ON e.org_id = m.org_id AND e.api = $1 AND e.status = 'active'
    AND m.kind = ANY(e.kinds) AND (e.labels = '{}' OR m.labels::jsonb ?| e.labels)
    AND CASE WHEN $13 THEN e.id = $10 ELSE m.created_at >= e.created_at END
ORDER BY m.ord, e.id";
