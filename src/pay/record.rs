//! Writing down what was decided: the transaction, the decision, its history, and the events of the outbox.

use std::time::Instant;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::{
    db::Conn,
    error::{Error, Result},
    ids,
};

use super::{
    compliance::{self, Prediction, Status},
    decision::{self, PolicySnapshot, Reason, Verdict},
    escrow::EscrowRow,
    history::{self, Subject, What},
    request::Payment,
    review, time,
    transactions::{self, AuthorizationRow, JsonText, NewTransaction},
    transitions::{self, Revision},
};

/// A decided payment.
pub(super) struct Outcome<'a> {
    pub(super) org_id: &'a str,
    pub(super) transaction_id: &'a str,
    pub(super) payment: &'a Payment,
    /// The policy that decided, if there was one.
    pub(super) policy: Option<&'a PolicySnapshot>,
    pub(super) verdict: &'a Verdict,
    /// What the compliance precheck found, if it was made.
    pub(super) prediction: Option<&'a Prediction>,
    /// What is held, for an approved payment that asks for escrow.
    pub(super) escrow: Option<&'a EscrowRow>,
    /// When the request came in, for the measured time.
    pub(super) started: Instant,
    pub(super) now: DateTime<Utc>,
}

impl<'a> Outcome<'a> {
    /// What is stored as the transaction's status.
    pub(super) fn status(&self) -> &'static str {
        match (self.verdict, self.escrow) {
            (Verdict::Approved, None) => "settled",
            (Verdict::Approved, Some(_)) => "escrow_held",
            (Verdict::Review { .. }, _) => "pending_human_review",
            (Verdict::Denied { .. }, _) => "denied",
        }
    }

    /// When the money reached the payee.
    pub(super) fn settled_at(&self) -> Option<DateTime<Utc>> {
        (self.status() == "settled").then_some(self.now)
    }

    fn policy_snapshot(&self) -> Result<Option<Value>> {
        let snapshot = self.policy.map(serde_json::to_value).transpose();
        snapshot.map_err(Error::internal)
    }

    fn subject(&self) -> Subject<'a> {
        let payment = self.payment;
        Subject {
            org_id: self.org_id,
            transaction_id: self.transaction_id,
            requesting_agent_id: &payment.agent_id,
            counterparty_agent_id: payment.payee.as_ref().map(|payee| payee.agent_id.as_str()),
            counterparty_org_id: other_org_id(payment),
            amount_minor: payment.amount_minor,
            currency: &payment.currency,
            tx_type: &payment.tx_type,
            category: payment.category.as_deref(),
            reference_id: payment.reference_id.as_deref(),
        }
    }
}

/// The status the request is answered with: the document says authorized where settled is stored.
pub(super) fn answered(status: &'static str) -> &'static str {
    if status == "settled" {
        "authorized"
    } else {
        status
    }
}

/// Stores a new payment with its outcome; the caller moves the money in the same transaction.
pub(super) async fn store(conn: &mut Conn, outcome: &Outcome<'_>) -> Result<AuthorizationRow> {
    let payment = outcome.payment;
    let authorization = authorization(outcome);
    let metadata = JsonText(payment.metadata.clone());
    let terms = payment.escrow.as_ref().map(serde_json::to_value);
    let transaction = NewTransaction {
        org_id: outcome.org_id,
        id: outcome.transaction_id,
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
        status: outcome.status(),
        policy_snapshot: outcome.policy_snapshot()?,
        escrow_terms: terms.transpose().map_err(Error::internal)?,
        settled_at: outcome.settled_at(),
        created_at: outcome.now,
    };
    transactions::insert(conn, &transaction, &authorization).await?;
    tell(conn, outcome, None).await?;
    Ok(authorization)
}

/// Writes what became of a payment that a human approved, over what was decided before.
pub(super) async fn revise(
    conn: &mut Conn,
    outcome: &Outcome<'_>,
    approval: &Value,
) -> Result<AuthorizationRow> {
    let revision = Revision {
        status: outcome.status(),
        policy_snapshot: outcome.policy_snapshot()?,
        settled_at: outcome.settled_at(),
        approved_at: (*outcome.verdict == Verdict::Approved).then_some(outcome.now),
    };
    let authorization = authorization(outcome);
    transitions::revise(
        conn,
        (outcome.org_id, outcome.transaction_id),
        &revision,
        &authorization,
    )
    .await?;
    tell(conn, outcome, Some(approval)).await?;
    Ok(authorization)
}

/// Writes the history and the outbox, and what the precheck found.
async fn tell(conn: &mut Conn, outcome: &Outcome<'_>, approval: Option<&Value>) -> Result<()> {
    let happened = happened(outcome, approval);
    history::write(conn, outcome.subject(), &happened, outcome.now).await?;
    if let Some(prediction) = outcome.prediction {
        let of = (outcome.org_id, outcome.transaction_id);
        compliance::store(conn, of, prediction, outcome.now).await?;
    }
    Ok(())
}

fn other_org_id(payment: &Payment) -> Option<&str> {
    payment
        .payee
        .as_ref()
        .and_then(|payee| payee.other_org_id.as_deref())
}

/// What the contract calls a verdict: decision, reason_code, reason_detail and compliance_status, which is clear when
/// there was no precheck.
pub(super) fn words(
    verdict: &Verdict,
    prediction: Option<&Prediction>,
) -> (
    &'static str,
    &'static str,
    Option<String>,
    Option<&'static str>,
) {
    match verdict {
        Verdict::Approved => {
            let status = prediction.map_or(Status::Clear, |made| made.assessment.status);
            ("approved", decision::POLICY_PASS, None, Some(status.word()))
        }
        Verdict::Review { detail } => (
            "pending_human_review",
            Reason::HumanRequired.code(),
            Some(detail.clone()),
            None,
        ),
        Verdict::Denied { reason, detail } => ("denied", reason.code(), Some(detail.clone()), None),
    }
}

fn authorization(outcome: &Outcome<'_>) -> AuthorizationRow {
    let (decision, reason_code, reason_detail, compliance_status) =
        words(outcome.verdict, outcome.prediction);
    AuthorizationRow {
        org_id: outcome.org_id.to_owned(),
        id: ids::short("auth", 12),
        transaction_id: outcome.transaction_id.to_owned(),
        decision: decision.to_owned(),
        reason_code: reason_code.to_owned(),
        reason_detail,
        compliance_status: compliance_status.map(str::to_owned),
        processing_time_ms: elapsed_ms(outcome.started),
        created_at: outcome.now,
    }
}

/// Milliseconds since then.
pub(super) fn elapsed_ms(started: Instant) -> i64 {
    i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX)
}

fn happened(outcome: &Outcome<'_>, approval: Option<&Value>) -> Vec<(What, Value)> {
    let (decision, reason_code, reason_detail, _) = words(outcome.verdict, outcome.prediction);
    let mut data = json!({"decision": decision, "reason_code": reason_code});
    if let Some(detail) = reason_detail {
        data["reason_detail"] = detail.into();
    }
    if let Some(approval) = approval {
        data["human_review"] = approval.clone();
    }
    let now = outcome.now;
    match (outcome.verdict, outcome.escrow) {
        (Verdict::Approved, None) => vec![
            (What::Authorized, data),
            (What::Settled, json!({"settled_at": time::text(now)})),
        ],
        (Verdict::Approved, Some(escrow)) => {
            let held = json!({"escrow_id": escrow.id, "expires_at": time::text(escrow.expires_at)});
            vec![(What::Authorized, data), (What::EscrowHeld, held)]
        }
        (Verdict::Review { .. }, _) => {
            data["answer_by"] = time::text(review::ends_at(now)).into();
            vec![(What::PendingHumanReview, data)]
        }
        (Verdict::Denied { .. }, _) => vec![(What::Denied, data)],
    }
}
