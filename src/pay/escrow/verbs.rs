//! Dispute, release, refund: read, lock, ask the state, change.

use prost::Message;

use crate::{
    db::Conn,
    error::{Error, Result},
    idempotency::{self, Keyed},
    identity::Caller,
    proto::pulpo::pay::v1 as pb,
};

use super::{
    super::{
        Pay,
        input::Input,
        lapse,
        time::{optional_timestamp, timestamp},
        transactions::TransactionRow,
    },
    change,
    rows::{self, EscrowRow},
    state::{self, Event, Refusal},
    terms::{self, Condition, PASSED, STATUSES},
};

/// Raises a dispute.
pub(super) async fn dispute(
    pay: &Pay,
    caller: &Caller,
    request: pb::DisputePaymentRequest,
) -> Result<pb::DisputePaymentResponse> {
    let mut input = Input::default();
    input.description("reason", request.reason.as_deref());
    input.finish()?;
    let row = lapse::current(pay, caller, &request.id).await?;
    let (of, now) = ((row.org_id.as_str(), row.id.as_str()), pay.clock.now());
    let reason = request.reason.as_deref();
    pay.db
        .transaction("pay_dispute_payment", async |conn: &mut Conn| {
            let mut escrow = lock(conn, of).await?;
            let change = state::step(escrow.state(), Event::Dispute, now).map_err(refused)?;
            change::apply(conn, &row, &mut escrow, change, reason, now).await?;
            Ok(pb::DisputePaymentResponse {
                disputed: true,
                escrow_id: escrow.id,
                status: escrow.status,
                disputed_at: Some(timestamp(now)),
            })
        })
        .await
}

/// Marks conditions, and releases the money once all have passed. Repeating it under its idempotency key gives the first
/// answer.
pub(super) async fn release(
    pay: &Pay,
    caller: &Caller,
    mut request: pb::ReleasePaymentRequest,
) -> Result<pb::ReleasePaymentResponse> {
    let key = request.idempotency_key.take();
    let keyed = keyed(caller, "pay.release_payment", key, &request)?;
    let mark = request.condition.map(read_mark).transpose()?;
    let row = lapse::current(pay, caller, &request.id).await?;
    require_payer(caller, &row)?;
    let (of, now) = ((row.org_id.as_str(), row.id.as_str()), pay.clock.now());
    pay.db
        .transaction("pay_release_payment", async |conn: &mut Conn| {
            if let Some(first) = idempotency::replay(conn, keyed.as_ref(), now).await? {
                return Ok(first);
            }
            let mut escrow = lock(conn, of).await?;
            let mut conditions = escrow.conditions()?;
            set(&mut conditions, mark.as_ref())?;
            escrow.set_conditions(&conditions);
            let all_passed = terms::all_passed(&conditions);
            let event = Event::Mark { all_passed };
            let change = state::step(escrow.state(), event, now).map_err(refused)?;
            change::apply(conn, &row, &mut escrow, change, None, now).await?;
            let reply = pb::ReleasePaymentResponse {
                released: escrow.released_at.is_some(),
                release_conditions: Some(escrow.conditions_message()?),
                escrow_id: escrow.id,
                status: escrow.status,
                released_at: optional_timestamp(escrow.released_at),
            };
            idempotency::keep(conn, keyed.as_ref(), &reply).await?;
            Ok(reply)
        })
        .await
}

/// Gives the money back. Repeating it under its idempotency key gives the first answer.
pub(super) async fn refund(
    pay: &Pay,
    caller: &Caller,
    mut request: pb::RefundPaymentRequest,
) -> Result<pb::RefundPaymentResponse> {
    let key = request.idempotency_key.take();
    let keyed = keyed(caller, "pay.refund_payment", key, &request)?;
    let mut input = Input::default();
    input.description("reason", request.reason.as_deref());
    input.finish()?;
    let row = lapse::current(pay, caller, &request.id).await?;
    require_payee(caller, &row)?;
    let (of, now) = ((row.org_id.as_str(), row.id.as_str()), pay.clock.now());
    let reason = request.reason.as_deref();
    pay.db
        .transaction("pay_refund_payment", async |conn: &mut Conn| {
            if let Some(first) = idempotency::replay(conn, keyed.as_ref(), now).await? {
                return Ok(first);
            }
            let mut escrow = lock(conn, of).await?;
            let change = state::step(escrow.state(), Event::Refund, now).map_err(refused)?;
            change::apply(conn, &row, &mut escrow, change, reason, now).await?;
            let reply = pb::RefundPaymentResponse {
                refunded: true,
                escrow_id: escrow.id,
                status: escrow.status,
                refunded_at: optional_timestamp(escrow.refunded_at),
            };
            idempotency::keep(conn, keyed.as_ref(), &reply).await?;
            Ok(reply)
        })
        .await
}

fn keyed(
    caller: &Caller,
    scope: &'static str,
    key: Option<String>,
    request: &impl Message,
) -> Result<Option<Keyed>> {
    let new = |key| Keyed::new(caller.org_id()?, scope, key, &request.encode_to_vec());
    key.map(new).transpose()
}

/// The escrow, locked; 400 when the payment has none.
async fn lock(conn: &mut Conn, of: (&str, &str)) -> Result<EscrowRow> {
    rows::lock(conn, of).await?.ok_or_else(|| {
        Error::precondition("NO_ESCROW", "This transaction has no escrow; only payments with escrow_conditions can be disputed, released or refunded")
    })
}

fn read_mark(mark: pb::ConditionMark) -> Result<Condition> {
    let mut input = Input::default();
    input.name("condition.type", &mark.r#type);
    input.name("condition.target", &mark.target);
    let status = mark.status.unwrap_or_else(|| PASSED.to_owned());
    terms::one_of(&mut input, "condition.status", &status, &STATUSES);
    input.finish()?;
    Ok(Condition {
        r#type: mark.r#type,
        target: mark.target,
        status,
    })
}

/// Sets the condition that is marked, or all to passed; 400 when there is no such condition.
fn set(conditions: &mut [Condition], mark: Option<&Condition>) -> Result<()> {
    let Some(mark) = mark else {
        for condition in conditions {
            PASSED.clone_into(&mut condition.status);
        }
        return Ok(());
    };
    let marked = conditions
        .iter_mut()
        .find(|c| c.r#type == mark.r#type && c.target == mark.target);
    let Some(condition) = marked else {
        return Err(Error::invalid(
            "condition",
            "must be a release condition of this escrow, by its type and target",
        ));
    };
    condition.status.clone_from(&mark.status);
    Ok(())
}

/// Only the paying side gives to the payee.
fn require_payer(caller: &Caller, row: &TransactionRow) -> Result<()> {
    if row.org_id != caller.org_id()? {
        return Err(Error::forbidden(
            "NOT_THE_PAYER",
            "Only the paying organization can do this; the receiving one can refund or dispute",
        ));
    }
    caller.require_agent(&row.requesting_agent_id)
}

/// Only the receiving side gives back; for payments to the outside the payer, who is the only one here.
fn require_payee(caller: &Caller, row: &TransactionRow) -> Result<()> {
    let receiver_org_id = row.counterparty_org_id.as_ref().unwrap_or(&row.org_id);
    if receiver_org_id != caller.org_id()? {
        return Err(Error::forbidden(
            "NOT_THE_PAYEE",
            "Only the receiving organization can refund; the paying one can release or dispute",
        ));
    }
    let payee = row.counterparty_agent_id.as_ref();
    caller.require_agent(payee.unwrap_or(&row.requesting_agent_id))
}

fn refused(refusal: Refusal) -> Error {
    let (reason, message) = match refusal {
        Refusal::Released => (
            "ESCROW_RELEASED",
            "The escrow was released; its money went to the payee",
        ),
        Refusal::Refunded => (
            "ESCROW_REFUNDED",
            "The escrow was refunded; its money went back to the payer",
        ),
        Refusal::Disputed => ("ESCROW_DISPUTED", "The escrow is disputed already"),
        Refusal::Expired | Refusal::NotDue => (
            "ESCROW_EXPIRED",
            "The escrow is over; its money goes back to the payer",
        ),
    };
    Error::conflict(reason, message)
}
