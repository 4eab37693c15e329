//! The outbox: what happened, written in the transaction of the change.
//!
//! An event exists exactly when its change was committed. Consumers ([`consumer`]) read the stream in order; nobody is
//! called from here.

pub mod consumer;

use chrono::{DateTime, Utc};
use diesel::{
    QueryResult,
    sql_types::{Array, Text, Timestamptz},
};
use serde::Serialize;

use crate::db::{Conn, Topic, prepared::column, wake, write::Write};

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// The organisation whose stream it goes to.
    pub org_id: String,
    /// What happened, for example `payment.settled`.
    pub kind: &'static str,
    /// The id of what it happened to; events of one subject stay in order.
    pub subject: String,
    /// What is known of it, as [`json`] writes it.
    pub payload: String,
}

/// A payload: texts, numbers, and maps and lists of them, which always serialise.
pub fn json(payload: &impl Serialize) -> String {
    serde_json::to_string(payload).unwrap_or_default()
}

/// Writes the events, in their order, in the caller's transaction.
pub async fn append(conn: &Conn, new: &[NewEvent], now: DateTime<Utc>) -> QueryResult<()> {
    insert_all(new, now).run(conn).await?;
    Ok(())
}

/// The events, in their order, to be written in the running transaction, whose commit announces them.
pub fn insert_all(new: &[NewEvent], now: DateTime<Utc>) -> Write<'_> {
    const INSERT: &str = "INSERT INTO events (created_at, org_id, kind, subject, payload) \
        SELECT $1, e.org_id, e.kind, e.subject, e.payload::jsonb \
        FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) \
        WITH ORDINALITY AS e (org_id, kind, subject, payload, place) ORDER BY e.place";
    wake::note(Topic::Events);
    Write::new(INSERT, |query| {
        query
            .bind::<Timestamptz, _>(now)
            .bind::<Array<Text>, _>(column(new, |event| &event.org_id))
            .bind::<Array<Text>, _>(column(new, |event| event.kind))
            .bind::<Array<Text>, _>(column(new, |event| &event.subject))
            .bind::<Array<Text>, _>(column(new, |event| &event.payload))
    })
}
