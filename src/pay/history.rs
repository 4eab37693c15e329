//! What happened to a payment: its history, and the same for the streams of the organisations, in one transaction with
//! the change.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use futures_util::try_join;
use serde_json::{Value, json};

use crate::{
    db::Conn,
    events::{self, NewEvent},
    ids,
};

use super::transactions::{self, PaymentEventRow, TransactionRow};

/// The payment it happened to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) org_id: &'a str,
    pub(super) transaction_id: &'a str,
    pub(super) requesting_agent_id: &'a str,
    pub(super) counterparty_agent_id: Option<&'a str>,
    /// The receiving organisation, when it is another one.
    pub(super) counterparty_org_id: Option<&'a str>,
    pub(super) amount_minor: i64,
    pub(super) currency: &'a str,
    pub(super) tx_type: &'a str,
    pub(super) category: Option<&'a str>,
    pub(super) reference_id: Option<&'a str>,
}

impl<'a> From<&'a TransactionRow> for Subject<'a> {
    fn from(row: &'a TransactionRow) -> Self {
        Self {
            org_id: &row.org_id,
            transaction_id: &row.id,
            requesting_agent_id: &row.requesting_agent_id,
            counterparty_agent_id: row.counterparty_agent_id.as_deref(),
            counterparty_org_id: row.counterparty_org_id.as_deref(),
            amount_minor: row.amount_minor,
            currency: &row.currency,
            tx_type: &row.tx_type,
            category: row.category.as_deref(),
            reference_id: row.reference_id.as_deref(),
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
            What::EscrowHeld => "payment.escrow_held",
            What::EscrowReleased => "payment.escrow_released",
            What::EscrowExpired => "payment.escrow_expired",
            What::Disputed => "payment.disputed",
            What::Refunded => "payment.refunded",
        }
    }

    fn event_type(self) -> &'static str {
        self.kind().trim_start_matches("payment.")
    }

    /// Whether the receiving organisation hears of it: of money that is held, moves or is disputed, not of how the
    /// payer decides.
    fn is_for_receiver(self) -> bool {
        !matches!(
            self,
            What::Authorized | What::Denied | What::PendingHumanReview
        )
    }
}

/// Writes what happened to payments, in its order.
pub(super) async fn write(
    conn: &Conn,
    told: &[(Subject<'_>, Vec<(What, Value)>)],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let (mut rows, mut outbox) = (Vec::new(), Vec::new());
    for (subject, happened) in told {
        for (what, data) in happened {
            let row = PaymentEventRow {
                org_id: subject.org_id.to_owned(),
                id: ids::short("evt", 12),
                transaction_id: subject.transaction_id.to_owned(),
                event_type: what.event_type().to_owned(),
                event_data: data.clone(),
                created_at: now,
            };
            outbox.extend(announced(*subject, *what, &row));
            rows.push(row);
        }
    }
    try_join!(
        transactions::insert_events(conn, &rows, now),
        events::append(conn, &outbox, now)
    )?;
    Ok(())
}

/// The event for the organisation's stream, and for the receiving organisation's where it hears of it.
fn announced(subject: Subject<'_>, what: What, row: &PaymentEventRow) -> Vec<NewEvent> {
    let payload = json!({
        "event_id": row.id,
        "transaction_id": subject.transaction_id,
        "requesting_agent_id": subject.requesting_agent_id,
        "requesting_org_id": subject.org_id,
        "counterparty_agent_id": subject.counterparty_agent_id,
        "counterparty_org_id": subject.counterparty_org_id,
        "amount_minor": subject.amount_minor,
        "currency": subject.currency,
        "tx_type": subject.tx_type,
        "category": subject.category,
        "reference_id": subject.reference_id,
        "event_data": row.event_data,
    });
    let other = subject
        .counterparty_org_id
        .filter(|_| what.is_for_receiver());
    [other, Some(subject.org_id)]
        .into_iter()
        .flatten()
        .map(|org_id| NewEvent {
            org_id: org_id.to_owned(),
            kind: what.kind(),
            subject: subject.transaction_id.to_owned(),
            payload: payload.clone(),
        })
        .collect()
}
