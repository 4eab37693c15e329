//! What happened to a payment: written into the streams of the organisations, in one transaction with the change. The
//! stream of the paying one is the payment's whole history.

use chrono::{DateTime, Utc};
use diesel::{
    QueryResult, QueryableByName,
    sql_types::{Jsonb, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use serde_json::Value;

use crate::{
    db::{Conn, prepared::prepared},
    events::{self, NewEvent},
    ids,
    proto::pulpo::{pay::v1 as pb, r#type::v1::Json as JsonMessage},
};

use super::{time::timestamp, transactions::TransactionRow};

/// The payment it happened to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) org_id: &'a str,
    pub(super) transaction_id: &'a str,
    /// The receiving organisation, when it is another one.
    pub(super) counterparty_org_id: Option<&'a str>,
}

impl<'a> From<&'a TransactionRow> for Subject<'a> {
    fn from(row: &'a TransactionRow) -> Self {
        Self {
            org_id: &row.org_id,
            transaction_id: &row.id,
            counterparty_org_id: row.counterparty_org_id.as_deref(),
        }
    }
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Authorized,
    Denied,
    PendingHumanReview,
    Settled,
    Failed,
    EscrowHeld,
    EscrowReleased,
    EscrowExpired,
    Disputed,
    Refunded,
}

impl What {
    /// The kind of the event in the outbox; without `payment.` it is the type in the history.
    fn kind(self) -> &'static str {
        match self {
            What::Authorized => "payment.authorized",
            What::Denied => "payment.denied",
            What::PendingHumanReview => "payment.pending_human_review",
            What::Settled => "payment.settled",
            What::Failed => "payment.failed",
            What::EscrowHeld => "payment.escrow_held",
            What::EscrowReleased => "payment.escrow_released",
            What::EscrowExpired => "payment.escrow_expired",
            What::Disputed => "payment.disputed",
            What::Refunded => "payment.refunded",
        }
    }

    /// Whether the receiving organisation hears of it: of money that is held, moves or is disputed, not of how the
    /// payer decides.
    fn is_for_receiver(self) -> bool {
        !matches!(
            self,
            What::Authorized | What::Denied | What::PendingHumanReview | What::Failed
        )
    }
}

/// Something that happened, as stored.
#[derive(Debug, QueryableByName)]
pub(super) struct EventRow {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    event_type: String,
    #[diesel(sql_type = Jsonb)]
    event_data: Value,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
}

impl From<EventRow> for pb::PaymentEventSummary {
    fn from(row: EventRow) -> Self {
        Self {
            id: row.id,
            event_type: row.event_type,
            created_at: Some(timestamp(row.created_at)),
        }
    }
}

impl From<EventRow> for pb::PaymentEvent {
    fn from(row: EventRow) -> Self {
        Self {
            id: row.id,
            event_type: row.event_type,
            event_data: Some(JsonMessage {
                text: row.event_data.to_string(),
            }),
            created_at: Some(timestamp(row.created_at)),
        }
    }
}

/// Writes what happened to payments, in its order.
pub(super) async fn write(
    conn: &Conn,
    told: &[(Subject<'_>, Vec<(What, Value)>)],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    events::append(conn, &events(told), now).await
}

/// What is said of it in the streams.
pub(super) fn events(told: &[(Subject<'_>, Vec<(What, Value)>)]) -> Vec<NewEvent> {
    let mut events = Vec::new();
    for (subject, happened) in told {
        for (what, data) in happened {
            events.extend(announced(*subject, *what, data));
        }
    }
    events
}

/// The history of a transaction, oldest first: what the organisation's stream says of it. That of the paying one is whole;
/// the receiving one's has what is for it.
pub(super) async fn read(
    conn: &mut Conn,
    org_id: &str,
    transaction_id: &str,
) -> QueryResult<Vec<EventRow>> {
    const READ: &str = "SELECT payload->>'event_id' AS id, substr(kind, length('payment.') + 1) AS event_type, \
        payload->'event_data' AS event_data, created_at FROM events \
        WHERE subject = $2 AND org_id = $1 AND kind LIKE 'payment.%' ORDER BY seq";
    prepared(READ, |query| {
        query
            .bind::<Text, _>(org_id)
            .bind::<Text, _>(transaction_id)
    })
    .load(conn)
    .await
}

/// What an event says of itself. What the payment is does not change, and is read with it.
#[derive(Serialize)]
struct Payload<'p> {
    event_id: &'p str,
    /// Whose payment it is, for another organisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    requesting_org_id: Option<&'p str>,
    event_data: &'p Value,
}

/// The event for the organisation's stream, and for the receiving organisation's where it hears of it; both have one id.
fn announced(subject: Subject<'_>, what: What, data: &Value) -> Vec<NewEvent> {
    let id = ids::short("evt", 12);
    let event = |org_id: &str, requesting_org_id| NewEvent {
        org_id: org_id.to_owned(),
        kind: what.kind(),
        subject: subject.transaction_id.to_owned(),
        payload: events::json(&Payload {
            event_id: &id,
            requesting_org_id,
            event_data: data,
        }),
    };
    let other = subject
        .counterparty_org_id
        .filter(|_| what.is_for_receiver());
    let heard = other.map(|other| event(other, Some(subject.org_id)));
    heard
        .into_iter()
        .chain([event(subject.org_id, None)])
        .collect()
}
