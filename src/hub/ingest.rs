//! Taking events, once: the rules of a valid event, the deduplication, and the one statement that decides races.
//!
//! The first event with an external id wins; the type is not part of the key, so a later event of another type under
//! the same id is answered with the first one's id and dropped.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::{json, value::RawValue};

use super::{id, schema::hub_events};
use crate::{
    connectors::webhook::{MOST_DEPTH, depth},
    db::{Conn, Db},
    error::{Error, Result, Violation},
    events::{self, NewEvent},
    identity::digest,
};

/// Characters of a type or an external id.
pub const MOST_CHARS: usize = 255;

/// An event that passed [`Incoming::check`], or was read from a verified webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Canonical type.
    pub event_type: String,
    /// The id in the source system.
    pub external_id: String,
    /// When it happened; `None` for when it was received.
    pub occurred_at: Option<DateTime<Utc>>,
    /// The text of a JSON object.
    pub payload: String,
}

impl Incoming {
    /// Checks what a client sent; the error names every field that is wrong. An empty `payload` is `{}`.
    pub fn check(
        event_type: &str,
        external_id: &str,
        occurred_at: Option<&str>,
        payload: &str,
    ) -> Result<Self> {
        let mut violations = Vec::new();
        let mut wrong = |field: &str, description: &str| {
            violations.push(Violation {
                field: field.to_owned(),
                description: description.to_owned(),
            });
        };
        for (field, value) in [("type", event_type), ("externalId", external_id)] {
            if let Err(description) = check_name(value) {
                wrong(field, description);
            }
        }
        let instant = occurred_at
            .map(|text| parse_instant(text).ok_or(()))
            .transpose();
        if instant.is_err() {
            wrong(
                "occurredAt",
                "must be an instant in ISO 8601, for example 2026-06-16T10:00:00Z",
            );
        }
        let payload = if matches!(payload.trim(), "" | "null") {
            "{}"
        } else {
            payload
        };
        if let Err(description) = check_payload(payload) {
            wrong("payload", description);
        }
        if !violations.is_empty() {
            return Err(Error::invalid_fields(violations));
        }
        Ok(Self {
            event_type: event_type.to_owned(),
            external_id: external_id.to_owned(),
            occurred_at: instant.ok().flatten(),
            payload: payload.to_owned(),
        })
    }
}

/// A type or an external id; the error completes the field's name.
pub(super) fn check_name(value: &str) -> Result<(), &'static str> {
    match value {
        "" => Err("must be a text that is not empty"),
        long if long.chars().count() > MOST_CHARS => Err("must not be longer than 255 characters"),
        nul if nul.contains('\0') => Err("must not contain the character U+0000"),
        _ => Ok(()),
    }
}

fn check_payload(text: &str) -> Result<(), &'static str> {
    if depth(text) > MOST_DEPTH {
        return Err("must not be nested deeper than 100 levels");
    }
    match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) if raw.get().starts_with('{') => Ok(()),
        _ => Err("must be an object"),
    }
}

/// ISO 8601 as systems write it: with or without offset (UTC then), seconds or time.
pub(super) fn parse_instant(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.to_utc());
    }
    for form in [
        "%Y-%m-%dT%H:%M:%S%.f%z",
        "%Y-%m-%d %H:%M:%S%.f%z",
        "%Y-%m-%dT%H:%M%z",
    ] {
        if let Ok(at) = DateTime::parse_from_str(text, form) {
            return Some(at.to_utc());
        }
    }
    let bare = text.strip_suffix('Z').unwrap_or(text);
    for form in [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
    ] {
        if let Ok(at) = NaiveDateTime::parse_from_str(bare, form) {
            return Some(at.and_utc());
        }
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .map(|day| day.and_time(NaiveTime::MIN).and_utc())
}

/// SHA-256 in hexadecimal of `tenant_id + ":ingest:" + external_id`.
pub fn dedup_key(tenant_id: &str, external_id: &str) -> String {
    hex::encode(digest::sha256(format!("{tenant_id}:ingest:{external_id}")))
}

/// Stores the events in one transaction with their entries in the organisation's stream; answers their ids in order.
/// What was taken before is answered with its first id and nothing is written for it.
pub async fn ingest(
    db: &Db,
    org_id: &str,
    connection_id: Option<&str>,
    events: &[Incoming],
    now: DateTime<Utc>,
) -> Result<Vec<String>> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    db.transaction("ingest_events", async |conn| {
        let mut batch = Batch::new(org_id, connection_id, events, now);
        batch.insert(conn).await?;
        if !batch.written.is_empty() {
            events::append(conn, &batch.outbox(), now).await?;
        }
        batch.find_earlier(conn).await?;
        batch.ids()
    })
    .await
}

/// One event on its way into the table.
struct Candidate<'e> {
    id: String,
    dedup_key: String,
    event: &'e Incoming,
}

struct Batch<'e> {
    org_id: &'e str,
    connection_id: Option<&'e str>,
    now: DateTime<Utc>,
    /// In the order of the request.
    candidates: Vec<Candidate<'e>>,
    /// Ids that are stored, by deduplication key.
    stored: HashMap<String, String>,
    /// Ids this batch wrote.
    written: HashSet<String>,
}

#[derive(QueryableByName)]
struct Inserted {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    dedup_key: String,
}

impl<'e> Batch<'e> {
    fn new(
        org_id: &'e str,
        connection_id: Option<&'e str>,
        events: &'e [Incoming],
        now: DateTime<Utc>,
    ) -> Self {
        let candidate = |event: &'e Incoming| Candidate {
            id: id::new(now),
            dedup_key: dedup_key(org_id, &event.external_id),
            event,
        };
        let candidates = events.iter().map(candidate).collect();
        Self {
            org_id,
            connection_id,
            now,
            candidates,
            stored: HashMap::new(),
            written: HashSet::new(),
        }
    }

    /// The unique index decides who is first. Rows go in by key, so that batches never wait for one another in turns.
    async fn insert(&mut self, conn: &mut Conn) -> Result<()> {
        const STATEMENT: &str = "INSERT INTO hub_events
                (org_id, id, dedup_key, connection_id, type, external_id, occurred_at, payload, received_at)
            SELECT $1, id, dedup_key, $2, type, external_id, occurred_at, payload::json, $3
            FROM unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::text[])
                WITH ORDINALITY AS new(id, dedup_key, type, external_id, occurred_at, payload, place)
            ORDER BY dedup_key, place
            ON CONFLICT (org_id, dedup_key) DO NOTHING RETURNING id, dedup_key";
        let column = |value: fn(&Candidate<'e>) -> &'e str| {
            self.candidates.iter().map(value).collect::<Vec<&str>>()
        };
        let (types, external_ids) = (
            column(|c| &c.event.event_type),
            column(|c| &c.event.external_id),
        );
        let payloads = column(|c| &c.event.payload);
        let ids: Vec<&str> = self.candidates.iter().map(|c| c.id.as_str()).collect();
        let instants: Vec<_> = self
            .candidates
            .iter()
            .map(|c| c.event.occurred_at.unwrap_or(self.now))
            .collect();
        let inserted: Vec<Inserted> = diesel::sql_query(STATEMENT)
            .bind::<Text, _>(self.org_id)
            .bind::<Nullable<Text>, _>(self.connection_id)
            .bind::<Timestamptz, _>(self.now)
            .bind::<Array<Text>, _>(ids)
            .bind::<Array<Text>, _>(self.keys())
            .bind::<Array<Text>, _>(types)
            .bind::<Array<Text>, _>(external_ids)
            .bind::<Array<Timestamptz>, _>(instants)
            .bind::<Array<Text>, _>(payloads)
            .load(conn)
            .await?;
        for Inserted { id, dedup_key } in inserted {
            self.written.insert(id.clone());
            self.stored.insert(dedup_key, id);
        }
        Ok(())
    }

    /// One entry of the stream per event that is new.
    fn outbox(&self) -> Vec<NewEvent> {
        let new = self
            .candidates
            .iter()
            .filter(|candidate| self.written.contains(&candidate.id));
        new.map(|Candidate { id, event, .. }| NewEvent {
            org_id: self.org_id.to_owned(),
            kind: "hub.event.received",
            subject: id.clone(),
            payload: events::json(&json!({
                "eventId": id,
                "type": event.event_type,
                "externalId": event.external_id,
                "connectionId": self.connection_id,
                "occurredAt": event.occurred_at.unwrap_or(self.now),
            })),
        })
        .collect()
    }

    /// The ids of events that were there before. The insert waited for whoever was faster, so they are committed.
    async fn find_earlier(&mut self, conn: &mut Conn) -> Result<()> {
        let missing: Vec<&str> = self
            .keys()
            .into_iter()
            .filter(|key| !self.stored.contains_key(*key))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let earlier: Vec<(String, String)> = hub_events::table
            .filter(hub_events::org_id.eq(self.org_id))
            .filter(hub_events::dedup_key.eq_any(missing))
            .select((hub_events::dedup_key, hub_events::id))
            .load(conn)
            .await?;
        self.stored.extend(earlier);
        Ok(())
    }

    fn ids(&self) -> Result<Vec<String>> {
        let ids: Option<Vec<String>> = self
            .candidates
            .iter()
            .map(|c| self.stored.get(&c.dedup_key).cloned())
            .collect();
        ids.ok_or_else(|| Error::internal(anyhow::anyhow!("an event is neither new nor known")))
    }

    fn keys(&self) -> Vec<&str> {
        self.candidates
            .iter()
            .map(|candidate| candidate.dedup_key.as_str())
            .collect()
    }
}

#[cfg(test)]
#[path = "ingest_tests.rs"]
mod tests;
