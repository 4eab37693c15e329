//! Writing down what was decided: the transaction, the decision, its history, and the events of the outbox.

use std::time::Instant;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::{
    db::Conn,
    error::{Error, Result},
    events::{self, NewEvent},
    ids,
};

use super::{
    compliance::{Prediction, Status},
    decision::{self, PolicySnapshot, Verdict},
    request::Payment,
    time,
    transactions::{self, AuthorizationRow, JsonText, NewTransaction, PaymentEventRow},
};

/// A decided payment.
pub(super) struct Outcome<'a> {
    pub(super) org_id: &'a str,
    pub(super) payment: &'a Payment,
    /// The policy that decided, if there was one.
    pub(super) policy: Option<&'a PolicySnapshot>,
    /// What the compliance precheck found, if it was made.
    pub(super) prediction: Option<&'a Prediction>,
    pub(super) verdict: Verdict,
    /// When the request came in, for the measured time.
    pub(super) started: Instant,
    pub(super) now: DateTime<Utc>,
}

/// Stores the outcome; an approved payment is stored as settled, and the caller moves the money in the same
/// transaction.
pub(super) async fn store(conn: &mut Conn, outcome: &Outcome<'_>) -> Result<AuthorizationRow> {
    let Outcome {
        org_id,
        payment,
        now,
        ..
    } = *outcome;
    let transaction_id = ids::short("txn", 12);
    let authorization = authorization(outcome, &transaction_id);
    let history = history(outcome, &authorization);
    let is_approved = outcome.verdict == Verdict::Approved;
    let metadata = JsonText(payment.metadata.clone());
    let transaction = NewTransaction {
        org_id,
        id: &transaction_id,
        requesting_agent_id: &payment.agent_id,
        counterparty_agent_id: payment.payee.as_ref().map(|payee| payee.agent_id.as_str()),
        counterparty_org_id: other_org_id(payment),
        amount_minor: payment.amount_minor,
        currency: &payment.currency,
        tx_type: &payment.tx_type,
        category: payment.category.as_deref(),
        description: payment.description.as_deref(),
        reference_id: payment.reference_id.as_deref(),
        metadata: &metadata,
        status: if is_approved { "settled" } else { "denied" },
        policy_snapshot: outcome
            .policy
            .map(serde_json::to_value)
            .transpose()
            .map_err(Error::internal)?,
        settled_at: is_approved.then_some(now),
        created_at: now,
    };
    transactions::insert(conn, &transaction, &authorization, &history).await?;
    events::append(conn, &outbox(outcome, &history), now).await?;
    Ok(authorization)
}

fn other_org_id(payment: &Payment) -> Option<&str> {
    payment
        .payee
        .as_ref()
        .and_then(|payee| payee.other_org_id.as_deref())
}

/// The `compliance_status` of an approval; clear without a precheck.
fn compliance_status(outcome: &Outcome<'_>) -> &'static str {
    let status = outcome.prediction.map(|made| made.assessment.status);
    status.unwrap_or(Status::Clear).word()
}

fn authorization(outcome: &Outcome<'_>, transaction_id: &str) -> AuthorizationRow {
    let (decision, reason_code, reason_detail, compliance_status) = match &outcome.verdict {
        Verdict::Approved => (
            "approved",
            decision::POLICY_PASS,
            None,
            Some(compliance_status(outcome).to_owned()),
        ),
        Verdict::Denied { reason, detail } => ("denied", reason.code(), Some(detail.clone()), None),
    };
    AuthorizationRow {
        org_id: outcome.org_id.to_owned(),
        id: ids::short("auth", 12),
        transaction_id: transaction_id.to_owned(),
        decision: decision.to_owned(),
        reason_code: reason_code.to_owned(),
        reason_detail,
        compliance_status,
        processing_time_ms: i64::try_from(outcome.started.elapsed().as_millis())
            .unwrap_or(i64::MAX),
        created_at: outcome.now,
    }
}

fn history(outcome: &Outcome<'_>, authorization: &AuthorizationRow) -> Vec<PaymentEventRow> {
    let event = |event_type: &str, event_data: Value| PaymentEventRow {
        org_id: outcome.org_id.to_owned(),
        id: ids::short("evt", 12),
        transaction_id: authorization.transaction_id.clone(),
        event_type: event_type.to_owned(),
        event_data,
        created_at: outcome.now,
    };
    let reason_code = &authorization.reason_code;
    match &outcome.verdict {
        Verdict::Approved => vec![
            event(
                "authorized",
                json!({"decision": "approved", "reason_code": reason_code}),
            ),
            event("settled", json!({"settled_at": time::text(outcome.now)})),
        ],
        Verdict::Denied { detail, .. } => {
            vec![event(
                "denied",
                json!({"decision": "denied", "reason_code": reason_code, "reason_detail": detail}),
            )]
        }
    }
}

/// The same events for the organisation's stream; the receiving organisation's stream gets the settlement.
fn outbox(outcome: &Outcome<'_>, history: &[PaymentEventRow]) -> Vec<NewEvent> {
    let payment = outcome.payment;
    let mut out = Vec::with_capacity(history.len() + 1);
    for event in history {
        let kind = match event.event_type.as_str() {
            "authorized" => "payment.authorized",
            "settled" => "payment.settled",
            _ => "payment.denied",
        };
        let payload = json!({
            "event_id": event.id,
            "transaction_id": event.transaction_id,
            "requesting_agent_id": payment.agent_id,
            "requesting_org_id": outcome.org_id,
            "counterparty_agent_id": payment.payee.as_ref().map(|payee| &payee.agent_id),
            "counterparty_org_id": other_org_id(payment),
            "amount_minor": payment.amount_minor,
            "currency": payment.currency,
            "tx_type": payment.tx_type,
            "category": payment.category,
            "reference_id": payment.reference_id,
            "event_data": event.event_data,
        });
        let new = NewEvent {
            org_id: event.org_id.clone(),
            kind,
            subject: event.transaction_id.clone(),
            payload,
        };
        if let (Some(other), "payment.settled") = (other_org_id(payment), kind) {
            out.push(NewEvent {
                org_id: other.to_owned(),
                ..new.clone()
            });
        }
        out.push(new);
    }
    out
}
