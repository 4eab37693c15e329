//! Writing down what was decided: the transaction, the decision, its history, and the events of the outbox.

use std::{sync::Arc, time::Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::{
    db::{
        Conn,
        write::{self, Write},
    },
    error::{Error, Result},
    events::{self, NewEvent},
    ids,
    proto::pulpo::pay::v1 as pb,
};

use super::{
    compliance::{self, Prediction, Status},
    decision::{self, PolicySnapshot, Reason, Verdict},
    escrow::{self, EscrowRow},
    history::{self, Subject, What},
    request::Payment,
    review,
    time::{self, timestamp},
    transactions::{self, AuthorizationRow, NewTransaction},
    transitions::{self, Revision},
    windows::Counted,
};

/// A decided payment.
pub(super) struct Outcome<'a> {
    pub(super) org_id: &'a str,
    pub(super) transaction_id: String,
    pub(super) payment: &'a Payment,
    /// The policy that decided, if there was one.
    pub(super) policy: Option<Arc<PolicySnapshot>>,
    pub(super) verdict: Verdict,
    /// What the compliance precheck found, if it was made.
    pub(super) prediction: Option<Prediction>,
    /// What is held, for an approved payment that asks for escrow.
    pub(super) escrow: Option<EscrowRow>,
    /// Where it stands among its payer's, for an approved payment.
    pub(super) counted: Option<Counted>,
    /// When the request came in, for the measured time.
    pub(super) started: Instant,
    pub(super) now: DateTime<Utc>,
}

impl Outcome<'_> {
    /// What is stored as the transaction's status.
    fn status(&self) -> &'static str {
        match (&self.verdict, &self.escrow) {
            (Verdict::Approved, None) => "settled",
            (Verdict::Approved, Some(_)) => "escrow_held",
            (Verdict::Review { .. }, _) => "pending_human_review",
            (Verdict::Denied { .. }, _) => "denied",
            (Verdict::Failed { .. }, _) => "failed",
        }
    }

    fn policy_version_id(&self) -> Option<i64> {
        self.policy.as_ref().map(|policy| policy.version_id)
    }

    /// When the money reached the payee.
    fn settled_at(&self) -> Option<DateTime<Utc>> {
        (self.status() == "settled").then_some(self.now)
    }

    /// What the contract calls the verdict: decision, reason_code, reason_detail and compliance_status, which is clear when
    /// there was no precheck.
    fn words(
        &self,
    ) -> (
        &'static str,
        &'static str,
        Option<String>,
        Option<&'static str>,
    ) {
        let made = self.prediction.as_ref();
        let compliance = made.map_or(Status::Clear, |made| made.assessment.status);
        match &self.verdict {
            Verdict::Approved => (
                "approved",
                decision::POLICY_PASS,
                None,
                Some(compliance.word()),
            ),
            // Approved it was; the reason is why nothing came of it.
            Verdict::Failed { reason, detail } => (
                "approved",
                reason.code(),
                Some(detail.clone()),
                Some(compliance.word()),
            ),
            Verdict::Review { detail } => (
                "pending_human_review",
                Reason::HumanRequired.code(),
                Some(detail.clone()),
                None,
            ),
            Verdict::Denied { reason, detail } => {
                ("denied", reason.code(), Some(detail.clone()), None)
            }
        }
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            org_id: self.org_id,
            transaction_id: &self.transaction_id,
            counterparty_org_id: other_org_id(self.payment),
        }
    }
}

/// The status the request is answered with: the document says authorized where settled is stored.
fn answered(status: &'static str) -> &'static str {
    if status == "settled" {
        "authorized"
    } else {
        status
    }
}

/// Decided payments of an organisation, in their order, as they are stored.
pub(super) struct Records<'o> {
    org_id: &'o str,
    outcomes: &'o [Outcome<'o>],
    decided: Vec<AuthorizationRow>,
    events: Vec<NewEvent>,
    now: DateTime<Utc>,
}

impl<'o> Records<'o> {
    pub(super) fn new(org_id: &'o str, outcomes: &'o [Outcome<'o>], now: DateTime<Utc>) -> Self {
        Self {
            org_id,
            outcomes,
            decided: outcomes.iter().map(authorization).collect(),
            events: said(outcomes, None),
            now,
        }
    }

    /// What the requests are answered.
    pub(super) fn replies(&self) -> impl Iterator<Item = pb::RequestPaymentResponse> {
        let decided = self.outcomes.iter().zip(&self.decided);
        decided.map(|(outcome, decided)| reply(outcome, decided.clone()))
    }

    /// Transactions, histories and outbox, what is held, and what the prechecks found.
    pub(super) fn writes(&self) -> Result<Vec<Write<'_>>> {
        if self.outcomes.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.outcomes.iter().zip(&self.decided);
        let rows = rows.map(new_transaction).collect::<Result<Vec<_>>>()?;
        let mut writes = vec![transactions::insert_all(self.org_id, &rows, self.now)];
        writes.extend(told(self.org_id, self.outcomes, &self.events, self.now)?);
        Ok(writes)
    }
}

fn new_transaction<'o>(
    (outcome, authorization): (&'o Outcome<'_>, &'o AuthorizationRow),
) -> Result<NewTransaction<'o>> {
    let payment = outcome.payment;
    let terms = payment.escrow.as_ref().map(serde_json::to_string);
    Ok(NewTransaction {
        id: &outcome.transaction_id,
        requesting_agent_id: &payment.agent_id,
        counterparty_agent_id: payment.payee.as_ref().map(|payee| payee.agent_id.as_str()),
        counterparty_org_id: other_org_id(payment),
        amount_minor: payment.amount_minor,
        currency: &payment.currency,
        tx_type: &payment.tx_type,
        category: payment.category.as_deref(),
        description: payment.description.as_deref(),
        reference_id: payment.reference_id.as_deref(),
        metadata: &payment.metadata,
        status: outcome.status(),
        policy_version_id: outcome.policy_version_id(),
        escrow_terms: terms.transpose().map_err(Error::internal)?,
        settled_at: outcome.settled_at(),
        counted: outcome.counted,
        authorization,
    })
}

/// Writes what became of a payment that a human approved, over what was decided before.
pub(super) async fn revise(
    conn: &mut Conn,
    outcome: &Outcome<'_>,
    approval: &Value,
) -> Result<pb::RequestPaymentResponse> {
    let revision = Revision {
        status: outcome.status(),
        policy_version_id: outcome.policy_version_id(),
        settled_at: outcome.settled_at(),
        counted: outcome.counted,
    };
    let authorization = authorization(outcome);
    let of = (outcome.org_id, outcome.transaction_id.as_str());
    transitions::revise(conn, of, &revision, &authorization).await?;
    let outcomes = std::slice::from_ref(outcome);
    let events = said(outcomes, Some(approval));
    write::run_all(conn, told(outcome.org_id, outcomes, &events, outcome.now)?).await?;
    Ok(reply(outcome, authorization))
}

fn said(outcomes: &[Outcome<'_>], approval: Option<&Value>) -> Vec<NewEvent> {
    let told: Vec<_> = outcomes
        .iter()
        .map(|outcome| (outcome.subject(), happened(outcome, approval)))
        .collect();
    history::events(&told)
}

/// Histories and outbox, what is held, and what the prechecks found.
fn told<'o>(
    org_id: &'o str,
    outcomes: &'o [Outcome<'o>],
    events: &'o [NewEvent],
    now: DateTime<Utc>,
) -> Result<Vec<Write<'o>>> {
    let of_outcome = |outcome: &'o Outcome<'o>| {
        let made = outcome.prediction.as_ref()?;
        Some((outcome.transaction_id.as_str(), made))
    };
    let predictions: Vec<_> = outcomes.iter().filter_map(of_outcome).collect();
    let held: Vec<&EscrowRow> = outcomes
        .iter()
        .filter_map(|outcome| outcome.escrow.as_ref())
        .collect();
    let mut writes = vec![events::insert_all(events, now)];
    writes.extend((!held.is_empty()).then(|| escrow::insert_all(&held)));
    writes.extend(compliance::store_all(org_id, &predictions, now)?);
    Ok(writes)
}

/// What a payment would be answered.
pub(super) fn preview(outcome: &Outcome<'_>) -> pb::RequestPaymentResponse {
    reply(outcome, authorization(outcome))
}

fn reply(outcome: &Outcome<'_>, authorization: AuthorizationRow) -> pb::RequestPaymentResponse {
    pb::RequestPaymentResponse {
        transaction_id: outcome.transaction_id.clone(),
        status: answered(outcome.status()).to_owned(),
        authorization: Some(authorization.into()),
        settlement: outcome.settled_at().map(|at| pb::Settlement {
            settled_at: Some(timestamp(at)),
        }),
    }
}

fn other_org_id(payment: &Payment) -> Option<&str> {
    payment
        .payee
        .as_ref()
        .and_then(|payee| payee.other_org_id.as_deref())
}

fn authorization(outcome: &Outcome<'_>) -> AuthorizationRow {
    let (decision, reason_code, reason_detail, compliance_status) = outcome.words();
    AuthorizationRow {
        id: ids::short("auth", 12),
        decision: decision.to_owned(),
        reason_code: reason_code.to_owned(),
        reason_detail,
        compliance_status: compliance_status.map(str::to_owned),
        processing_time_ms: elapsed_ms(outcome.started),
        created_at: outcome.now,
    }
}

/// Milliseconds since then.
fn elapsed_ms(started: Instant) -> i64 {
    i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX)
}

fn happened(outcome: &Outcome<'_>, approval: Option<&Value>) -> Vec<(What, Value)> {
    let (decision, reason_code, reason_detail, _) = outcome.words();
    let (reason_code, reason_detail) = match outcome.verdict {
        // The reason is that of the failure, which comes after.
        Verdict::Failed { .. } => (decision::POLICY_PASS, None),
        _ => (reason_code, reason_detail),
    };
    let mut data = json!({"decision": decision, "reason_code": reason_code});
    if let Some(detail) = reason_detail {
        data["reason_detail"] = detail.into();
    }
    if let Some(approval) = approval {
        data["human_review"] = approval.clone();
    }
    let now = outcome.now;
    match (&outcome.verdict, &outcome.escrow) {
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
        (Verdict::Failed { reason, detail }, _) => {
            let failed = json!({"reason_code": reason.code(), "reason_detail": detail});
            vec![(What::Authorized, data), (What::Failed, failed)]
        }
    }
}
