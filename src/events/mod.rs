//! The outbox: what happened, written in the transaction of the change.
//!
//! An event exists exactly when its change was committed. Consumers ([`consumer`]) read the stream in order; nobody is
//! called from here.

pub mod consumer;

use chrono::{DateTime, Utc};
use diesel::{Insertable, QueryResult};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use crate::{
    db::{Conn, Topic, wake},
    ids,
};

use schema::events;

mod schema {
    diesel::table! {
        events (seq) {
            seq -> Int8,
            id -> Text,
            org_id -> Text,
            kind -> Text,
            subject -> Text,
            payload -> Jsonb,
            created_at -> Timestamptz,
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// The organisation whose stream it goes to.
    pub org_id: String,
    /// What happened, for example `payment.settled`.
    pub kind: &'static str,
    /// The id of what it happened to; events of one subject stay in order.
    pub subject: String,
    /// What is known of it.
    pub payload: Value,
}

#[derive(Insertable)]
#[diesel(table_name = events)]
struct Row<'a> {
    id: String,
    org_id: &'a str,
    kind: &'static str,
    subject: &'a str,
    payload: &'a Value,
    created_at: DateTime<Utc>,
}

/// Writes the events, in their order, in the caller's transaction.
pub async fn append(conn: &mut Conn, new: &[NewEvent], now: DateTime<Utc>) -> QueryResult<()> {
    let rows: Vec<Row<'_>> = new
        .iter()
        .map(|event| Row {
            id: ids::sortable("evt"),
            org_id: &event.org_id,
            kind: event.kind,
            subject: &event.subject,
            payload: &event.payload,
            created_at: now,
        })
        .collect();
    diesel::insert_into(events::table)
        .values(&rows)
        .execute(conn)
        .await?;
    wake::note(Topic::Events);
    Ok(())
}
