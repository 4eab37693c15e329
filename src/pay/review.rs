//! Human review: a payment above a policy's threshold waits for a human, who approves or rejects it, for 72 hours.
//!
//! Approving decides the payment again by everything but the human step, as things are now: it may still be denied, and it fails
//! when nothing forbids it and what it takes is gone. The row decides between approval, rejection and the end of the time. No
//! money is held meanwhile.

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use prost::Message;
use serde_json::json;
use tonic::{Request, Response, Status};

use crate::{
    db::{Conn, Plans, write},
    error::{Error, Result},
    idempotency::{self, Keyed},
    identity::Caller,
    proto::pulpo::pay::v1::{self as pb, review_service_server::ReviewService},
};

use super::{
    Pay,
    decision::Reason,
    engine::book::{Book, Read},
    history::{self, What},
    input::Input,
    lapse, record,
    request::Payment,
    transactions::{AuthorizationRow, TransactionRow},
    transitions::{self, Denied},
    wallets,
};

/// How long a payment waits for a human.
pub(super) const LIFETIME: TimeDelta = TimeDelta::hours(72);

/// The first instant at which a payment requested then does not wait any more.
pub(super) fn ends_at(created_at: DateTime<Utc>) -> DateTime<Utc> {
    created_at + LIFETIME
}

#[tonic::async_trait]
impl ReviewService for Pay {
    async fn approve_payment(
        &self,
        request: Request<pb::ApprovePaymentRequest>,
    ) -> Result<Response<pb::ApprovePaymentResponse>, Status> {
        let started = Instant::now();
        let caller = Caller::of(&request)?;
        Ok(Response::new(
            approve(self, &caller, request.into_inner(), started).await?,
        ))
    }

    async fn reject_payment(
        &self,
        request: Request<pb::RejectPaymentRequest>,
    ) -> Result<Response<pb::RejectPaymentResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(
            reject(self, &caller, request.into_inner()).await?,
        ))
    }
}

/// Decides again, and settles, holds, denies or fails. Repeating it under its idempotency key gives the first answer.
async fn approve(
    pay: &Pay,
    caller: &Caller,
    mut request: pb::ApprovePaymentRequest,
    started: Instant,
) -> Result<pb::ApprovePaymentResponse> {
    let org_id = caller.org_id()?;
    let key = request.idempotency_key.take();
    let new = |key| Keyed::new(org_id, "pay.approve_payment", key, &request.encode_to_vec());
    let keyed = key.map(new).transpose()?;
    let found = find(pay, caller, &request.id, request.reason.as_deref()).await?;
    let now = pay.clock.now();
    let mut approval = json!({"approved_by": caller.key()?.id});
    if let Some(reason) = request.reason {
        approval["reason"] = reason.into();
    }
    pay.db
        .transaction_with(
            Plans::Kept,
            "pay_approve_payment",
            async |conn: &mut Conn| {
                if let Some(first) = idempotency::replay(conn, keyed.as_ref(), now).await? {
                    return Ok(first);
                }
                let (row, terms) = transitions::lock(conn, org_id, &found.id).await?;
                if row.status != "pending_human_review" || ends_at(row.created_at) <= now {
                    return Err(not_pending(&row.status));
                }
                let terms = terms.map(serde_json::from_value).transpose();
                let payment = Payment::of(&row, terms.map_err(Error::internal)?);
                let payments = vec![&payment];
                let mut book =
                    Book::read(conn, &pay.sources, org_id, payments, Read::Locked, now).await?;
                let outcome = book.decide(0, Some(&row.id), started)?;
                let reply = record::revise(conn, &outcome, &approval).await?;
                write::run_all(conn, book.writes()?)
                    .await
                    .map_err(wallets::conflict)?;
                let reply = pb::ApprovePaymentResponse {
                    transaction_id: reply.transaction_id,
                    status: reply.status,
                    authorization: reply.authorization,
                    settlement: reply.settlement,
                };
                idempotency::keep(conn, keyed.as_ref(), &reply).await?;
                Ok(reply)
            },
        )
        .await
}

/// Denies.
async fn reject(
    pay: &Pay,
    caller: &Caller,
    request: pb::RejectPaymentRequest,
) -> Result<pb::RejectPaymentResponse> {
    let row = find(pay, caller, &request.id, request.reason.as_deref()).await?;
    let now = pay.clock.now();
    let detail = request.reason.filter(|reason| !reason.trim().is_empty());
    let detail = detail.unwrap_or_else(|| "A human denied the payment".to_owned());
    let denial = Denial {
        reason: Reason::HumanDenied,
        detail: &detail,
        is_over: false,
    };
    let of = (row.org_id.as_str(), row.id.as_str());
    let denied = pay
        .db
        .transaction("pay_reject_payment", async |conn: &mut Conn| {
            deny(conn, of, &denial, now).await
        })
        .await?;
    let authorization = denied.ok_or_else(|| not_pending(&row.status))?;
    Ok(pb::RejectPaymentResponse {
        transaction_id: row.id,
        status: "denied".to_owned(),
        authorization: Some(authorization.into()),
    })
}

/// Denies a payment whose time is over; says whether it waited.
pub(super) async fn time_out(
    conn: &mut Conn,
    of: (&str, &str),
    now: DateTime<Utc>,
) -> Result<bool> {
    let denial = Denial {
        reason: Reason::EscalationTimeout,
        detail: "No human answered within 72 hours",
        is_over: true,
    };
    Ok(deny(conn, of, &denial, now).await?.is_some())
}

/// Why a payment that waits is denied.
struct Denial<'a> {
    reason: Reason,
    detail: &'a str,
    /// Whether its time must be over, or must not be.
    is_over: bool,
}

/// Denies a payment if it waits; the condition is in the statement that changes the row.
async fn deny(
    conn: &mut Conn,
    of: (&str, &str),
    denial: &Denial<'_>,
    now: DateTime<Utc>,
) -> Result<Option<AuthorizationRow>> {
    let (code, detail) = (denial.reason.code(), denial.detail);
    let overdue = (now - LIFETIME, denial.is_over);
    let denied = Denied {
        status: "denied",
        decision: "denied",
        reason_code: code,
        reason_detail: detail,
        decided_at: now,
    };
    let denied = transitions::deny_pending(conn, of, overdue, denied).await?;
    let Some((row, authorization)) = denied else {
        return Ok(None);
    };
    let data = json!({"decision": "denied", "reason_code": code, "reason_detail": detail});
    history::write(conn, &[((&row).into(), vec![(What::Denied, data)])], now).await?;
    Ok(Some(authorization))
}

/// The payment, if the caller's organisation pays it: what the payer decides is none of the receiver's business.
async fn find(
    pay: &Pay,
    caller: &Caller,
    id: &str,
    reason: Option<&str>,
) -> Result<TransactionRow> {
    let mut input = Input::default();
    input.description("reason", reason);
    input.finish()?;
    let row = lapse::current(pay, caller, id).await?;
    if row.org_id != caller.org_id()? {
        return Err(Error::forbidden(
            "NOT_THE_PAYER",
            "Only the paying organization can approve or reject a payment",
        ));
    }
    caller.require_agent(&row.requesting_agent_id)?;
    Ok(row)
}

fn not_pending(status: &str) -> Error {
    let message = match status {
        "pending_human_review" => {
            "The payment does not wait for a human any more: somebody was faster, or its 72 hours are over".to_owned()
        }
        status => format!("Only payments that wait for a human can be approved or rejected; this one is {status}"),
    };
    Error::conflict("NOT_PENDING_HUMAN_REVIEW", message)
}
