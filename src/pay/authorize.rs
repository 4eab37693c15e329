//! Deciding a payment in its own transaction: the facts are read, decided on, and decided again on locked wallets.
//!
//! Requests of one agent are decided one after the other under an advisory lock, so no two of them count the same
//! windows. Wallet rows are locked in the order of their ids.

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Utc};
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;

use crate::{
    db::Conn,
    error::{Error, Result},
    proto::pulpo::pay::v1 as pb,
};

use super::{
    compliance::{self, Prediction, RuleBook},
    decision::{self, Counterparty, Facts, PolicySnapshot, Verdict},
    escrow::{self, EscrowRow},
    policies,
    record::{self, Outcome},
    request::{Payee, Payment},
    settlement::{self, Locked, Step},
    time::timestamp,
    transactions::{self, AuthorizationRow, WindowSums},
    wallets,
};

/// What was decided, and the locked wallets of an approved payment.
pub(super) struct Decided {
    pub(super) policy: Option<PolicySnapshot>,
    pub(super) verdict: Verdict,
    pub(super) prediction: Option<Prediction>,
    pub(super) wallets: Option<Locked>,
}

impl Decided {
    /// The escrow of an approved payment that asks for one.
    pub(super) fn escrow(
        &self,
        (org_id, transaction_id): (&str, &str),
        payment: &Payment,
        now: DateTime<Utc>,
    ) -> Option<EscrowRow> {
        let terms = payment
            .escrow
            .as_ref()
            .filter(|_| self.verdict == Verdict::Approved)?;
        Some(EscrowRow::new(org_id, transaction_id, payment, terms, now))
    }
}

/// What a decision is made on, as it is now.
struct Grounds {
    policy: Option<PolicySnapshot>,
    receiver_policy: Option<PolicySnapshot>,
    sums: WindowSums,
    available_minor: Option<i64>,
    prediction: Option<Prediction>,
    is_payee_closed: bool,
    is_human_approved: bool,
    now: DateTime<Utc>,
}

impl Grounds {
    fn decide(&self, payment: &Payment) -> Verdict {
        let terms = payment.escrow.as_ref();
        decision::decide(&Facts {
            policy: self.policy.as_ref(),
            payer_agent_id: &payment.agent_id,
            amount_minor: payment.amount_minor,
            currency: &payment.currency,
            daily_sum_minor: self.sums.daily_minor,
            monthly_sum_minor: self.sums.monthly_minor,
            counterparty: payment.payee.as_ref().map(|payee| Counterparty {
                agent_id: &payee.agent_id,
                receiver_policy: self.receiver_policy.as_ref(),
                is_closed: self.is_payee_closed,
            }),
            category: payment.category.as_deref(),
            available_minor: self.available_minor,
            compliance: self.prediction.as_ref().map(Prediction::verdict),
            is_human_approved: self.is_human_approved,
            is_escrow_over: terms.is_some_and(|terms| terms.ends_at(self.now) <= self.now),
        })
    }
}

/// Decides a payment; the payer is locked ([`lock_payer`]). The wallets of an approved one are locked until the
/// transaction ends.
pub(super) async fn authorize(
    conn: &mut Conn,
    rules: &RuleBook,
    org_id: &str,
    payment: &Payment,
    is_human_approved: bool,
    now: DateTime<Utc>,
) -> Result<Decided> {
    let mut grounds = gather(conn, rules, org_id, payment, is_human_approved, now).await?;
    let mut verdict = grounds.decide(payment);
    let mut locked = None;
    if verdict == Verdict::Approved {
        // Decided again on what the locked rows say: others may have withdrawn meanwhile.
        let wallets = settlement::lock(conn, org_id, payment, now).await?;
        let payer = &wallets.payer;
        grounds.available_minor = payer.is_active.then_some(payer.available_minor);
        grounds.is_payee_closed = wallets
            .payee
            .as_ref()
            .is_some_and(|wallet| !wallet.is_active);
        verdict = grounds.decide(payment);
        locked = Some(wallets);
    }
    Ok(Decided {
        policy: grounds.policy,
        verdict,
        prediction: grounds.prediction,
        wallets: locked,
    })
}

/// What would be decided now, without locks and without writing.
pub(super) async fn preview(
    conn: &mut Conn,
    rules: &RuleBook,
    org_id: &str,
    payment: &Payment,
    now: DateTime<Utc>,
) -> Result<(Verdict, Option<Prediction>)> {
    let mut grounds = gather(conn, rules, org_id, payment, false, now).await?;
    if let Some(payee) = &payment.payee {
        let payee_org_id = payee.org_id(org_id);
        let wallet = wallets::find(conn, payee_org_id, &payee.agent_id, &payment.currency).await?;
        grounds.is_payee_closed = wallet.is_some_and(|wallet| !wallet.is_active);
    }
    Ok((grounds.decide(payment), grounds.prediction))
}

async fn gather(
    conn: &mut Conn,
    rules: &RuleBook,
    org_id: &str,
    payment: &Payment,
    is_human_approved: bool,
    now: DateTime<Utc>,
) -> Result<Grounds> {
    let policy = policies::in_force(conn, org_id, &payment.agent_id).await?;
    let receiver_policy = match &payment.payee {
        Some(Payee {
            agent_id,
            other_org_id: Some(other),
        }) => policies::in_force(conn, other, agent_id).await?,
        _ => None,
    };
    let windows = decision::window_starts(now);
    let currency = payment.currency.as_str();
    let sums =
        transactions::window_sums(conn, org_id, &payment.agent_id, currency, windows).await?;
    let payer = wallets::find(conn, org_id, &payment.agent_id, currency).await?;
    let prediction =
        compliance::precheck(conn, rules, org_id, policy.as_ref(), payment, now).await?;
    Ok(Grounds {
        policy,
        receiver_policy,
        sums,
        available_minor: payer
            .filter(|wallet| wallet.is_active)
            .map(|wallet| wallet.available_minor),
        prediction,
        is_payee_closed: false,
        is_human_approved,
        now,
    })
}

/// 404 when the payment goes to an organisation that does not exist.
pub(super) async fn require_payee_organization(conn: &mut Conn, payment: &Payment) -> Result<()> {
    let other_org_id = payment
        .payee
        .as_ref()
        .and_then(|payee| payee.other_org_id.as_deref());
    match other_org_id {
        Some(other) if !policies::organization_exists(conn, other).await? => Err(Error::not_found(
            "ORGANIZATION_NOT_FOUND",
            format!("There is no organization {other}"),
        )),
        _ => Ok(()),
    }
}

/// Moves the money of an approved payment whose outcome was written, and words the answer.
pub(super) async fn carry_out(
    conn: &mut Conn,
    outcome: &Outcome<'_>,
    authorization: AuthorizationRow,
    wallets: Option<Locked>,
) -> Result<pb::RequestPaymentResponse> {
    if let (Verdict::Approved, Some(wallets)) = (outcome.verdict, wallets) {
        let step = match outcome.escrow {
            Some(escrow) => {
                escrow::insert(conn, escrow).await?;
                Step::Hold
            }
            None => Step::Settle,
        };
        let of = (outcome.org_id, outcome.transaction_id);
        settlement::apply(conn, step, of, outcome.payment, wallets, outcome.now).await?;
    }
    Ok(pb::RequestPaymentResponse {
        transaction_id: outcome.transaction_id.to_owned(),
        status: record::answered(outcome.status()).to_owned(),
        authorization: Some(authorization.into()),
        settlement: outcome.settled_at().map(|at| pb::Settlement {
            settled_at: Some(timestamp(at)),
        }),
    })
}

/// Waits until no other request of the agent is being decided, on any replica; released with the transaction.
pub(super) async fn lock_payer(conn: &mut Conn, org_id: &str, agent_id: &str) -> Result<()> {
    let hash = digest(
        &SHA256,
        format!("pay\u{1f}{org_id}\u{1f}{agent_id}").as_bytes(),
    );
    let key = hash
        .as_ref()
        .iter()
        .take(8)
        .fold(0_i64, |key, byte| (key << 8) | i64::from(*byte));
    diesel::sql_query("SELECT pg_advisory_xact_lock($1)")
        .bind::<BigInt, _>(key)
        .execute(conn)
        .await?;
    Ok(())
}
