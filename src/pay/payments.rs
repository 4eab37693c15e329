//! `PaymentService`: requesting and reading payments.

use std::time::Instant;

use tonic::{Request, Response, Status};

use crate::{
    db::Conn,
    error::{Error, Result},
    identity::Caller,
    proto::pulpo::pay::v1::{self as pb, payment_service_server::PaymentService},
};

use super::{
    Pay, escrow, history,
    input::Input,
    lapse,
    listing::{self, Filter},
    request,
    transactions::{self, TransactionRow},
};

/// Rows of a page when no limit is given.
const LIMIT_DEFAULT: i64 = 50;
/// Most rows of a page; higher limits are cut to it.
const LIMIT_MAX: i64 = 200;
/// Every status a transaction can have.
const STATUSES: [&str; 9] = [
    "pending_human_review",
    "authorized",
    "executing",
    "settled",
    "denied",
    "failed",
    "escrow_held",
    "disputed",
    "refunded",
];

#[tonic::async_trait]
impl PaymentService for Pay {
    async fn request_payment(
        &self,
        request: Request<pb::RequestPaymentRequest>,
    ) -> Result<Response<pb::RequestPaymentResponse>, Status> {
        let started = Instant::now();
        let caller = Caller::of(&request)?;
        Ok(Response::new(
            request::request_payment(self, &caller, request.into_inner(), started).await?,
        ))
    }

    async fn dry_run_payment(
        &self,
        request: Request<pb::DryRunPaymentRequest>,
    ) -> Result<Response<pb::DryRunPaymentResponse>, Status> {
        let started = Instant::now();
        let caller = Caller::of(&request)?;
        Ok(Response::new(
            request::dry_run(self, &caller, request.into_inner(), started).await?,
        ))
    }

    async fn list_payments(
        &self,
        request: Request<pb::ListPaymentsRequest>,
    ) -> Result<Response<pb::ListPaymentsResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(
            list(self, &caller, request.into_inner()).await?,
        ))
    }

    async fn get_payment(
        &self,
        request: Request<pb::GetPaymentRequest>,
    ) -> Result<Response<pb::GetPaymentResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(
            detail(self, &caller, &request.get_ref().id).await?,
        ))
    }

    async fn list_payment_events(
        &self,
        request: Request<pb::ListPaymentEventsRequest>,
    ) -> Result<Response<pb::ListPaymentEventsResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(
            events(self, &caller, &request.get_ref().id).await?,
        ))
    }
}

/// A page of the organisation's transactions, newest first.
async fn list(
    pay: &Pay,
    caller: &Caller,
    request: pb::ListPaymentsRequest,
) -> Result<pb::ListPaymentsResponse> {
    if let Some(agent_id) = &request.agent_id {
        caller.require_agent(agent_id)?;
    }
    let mut filter = filter(request)?;
    filter.agents = caller.agents()?.map(<[String]>::to_vec);
    let mut conn = pay.db.connection().await?;
    let rows = listing::list(&mut conn, caller.org_id()?, &filter).await?;
    let transactions: Vec<_> = rows.into_iter().map(pb::TransactionSummary::from).collect();
    Ok(pb::ListPaymentsResponse {
        count: i64::try_from(transactions.len()).unwrap_or(i64::MAX),
        transactions,
        limit: filter.limit,
        offset: filter.offset,
    })
}

fn filter(request: pb::ListPaymentsRequest) -> Result<Filter> {
    let mut input = Input::default();
    let filter = Filter {
        limit: input.limit(request.limit, LIMIT_DEFAULT, LIMIT_MAX),
        offset: input.offset(request.offset),
        from: input.date_from(request.date_from.as_deref()),
        before: input.date_to(request.date_to.as_deref()),
        status: request.status,
        tx_type: request.tx_type,
        agent_id: request.agent_id,
        agents: None,
    };
    if filter
        .status
        .as_deref()
        .is_some_and(|status| !STATUSES.contains(&status))
    {
        input.fault("status", format!("must be one of {}", STATUSES.join(", ")));
    }
    input.label("tx_type", filter.tx_type.as_deref());
    input.label("agent_id", filter.agent_id.as_deref());
    input.finish()?;
    Ok(filter)
}

/// One transaction with its decision and history.
async fn detail(pay: &Pay, caller: &Caller, id: &str) -> Result<pb::GetPaymentResponse> {
    let row = lapse::current(pay, caller, id).await?;
    let org_id = caller.org_id()?;
    let mut conn = pay.db.connection().await?;
    let mut authorization = transactions::authorization(&mut conn, &row.org_id, &row.id).await?;
    if row.org_id != org_id {
        // It names the payer's limits, or says what a human thought: none of the receiver's business.
        authorization.reason_detail = None;
    }
    let events = history::read(&mut conn, org_id, &row.id).await?;
    let escrow = escrow::find(&mut conn, (&row.org_id, &row.id)).await?;
    Ok(pb::GetPaymentResponse {
        transaction: Some(row.into()),
        authorization: Some(authorization.into()),
        events: events.into_iter().map(Into::into).collect(),
        escrow: escrow.map(TryInto::try_into).transpose()?,
    })
}

/// The history of one transaction as the caller's organisation has it, oldest first.
async fn events(pay: &Pay, caller: &Caller, id: &str) -> Result<pb::ListPaymentEventsResponse> {
    let row = lapse::current(pay, caller, id).await?;
    let mut conn = pay.db.connection().await?;
    let events = history::read(&mut conn, caller.org_id()?, &row.id).await?;
    Ok(pb::ListPaymentEventsResponse {
        events: events.into_iter().map(Into::into).collect(),
    })
}

/// The transaction, if the caller's organisation pays or receives it, 404 otherwise; 403 when it is between agents the
/// key is not bound to.
pub(super) async fn require(conn: &mut Conn, caller: &Caller, id: &str) -> Result<TransactionRow> {
    let org_id = caller.org_id()?;
    let row = transactions::find(conn, org_id, id).await?.ok_or_else(|| {
        Error::not_found(
            "TRANSACTION_NOT_FOUND",
            "There is no transaction with this id",
        )
    })?;
    match caller.agents()? {
        Some(agents) if !listing::concerns(&row, org_id, agents) => Err(Error::forbidden(
            "AGENT_NOT_ALLOWED",
            "This key may act for some agents only, and this transaction concerns none of them",
        )),
        _ => Ok(row),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_cut_and_refused() {
        let limit = |limit| {
            filter(pb::ListPaymentsRequest {
                limit,
                ..Default::default()
            })
            .map(|f| f.limit)
        };
        assert_eq!(limit(None).unwrap(), 50);
        assert_eq!(limit(Some(i64::MAX)).unwrap(), 200);
        assert_eq!(limit(Some(0)).unwrap_err().violations[0].field, "limit");
        let status = pb::ListPaymentsRequest {
            status: Some("paid".to_owned()),
            ..Default::default()
        };
        assert_eq!(filter(status).unwrap_err().violations[0].field, "status");
    }
}
