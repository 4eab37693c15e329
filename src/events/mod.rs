//! The outbox: what happened, written in the transaction of the change.
//!
//! An event exists exactly when its change was committed. Consumers ([`consumer`]) read the stream in order; nobody is
//! called from here.

pub mod consumer;

use chrono::{DateTime, Utc};
use diesel::{
    QueryResult,
    sql_types::{Text, Timestamptz},
};
use serde::Serialize;

use crate::db::{Conn, Topic, rows::Rows, wake, write::Write};

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
        SELECT $1, r.org_id, r.kind, r.subject, r.payload::jsonb FROM {rows}";
    wake::note(Topic::Events);
    Rows::of(new)
        .value::<Timestamptz, _>(now)
        .column::<Text, _>("org_id", |event| event.org_id.as_str())
        .column::<Text, _>("kind", |event| event.kind)
        .column::<Text, _>("subject", |event| event.subject.as_str())
        .column::<Text, _>("payload", |event| event.payload.as_str())
        .write(INSERT)
}
