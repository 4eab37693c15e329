//! Requesting a payment: read, decide, and, when approved, settle or hold, all in one transaction. A denial is stored
//! like an approval.

use std::time::Instant;

use prost::Message;

use crate::{
    db::{Conn, Plans, transaction},
    error::Result,
    idempotency::Keyed,
    identity::Caller,
    proto::pulpo::pay::v1 as pb,
};

use super::{
    Pay,
    engine::{
        Ask,
        book::{Book, Read},
    },
    escrow::Terms,
    input::Input,
    money::decimal,
    record,
    transactions::TransactionRow,
};

/// A payment that is well-formed.
#[derive(Clone, Debug)]
pub(super) struct Payment {
    pub(super) agent_id: String,
    pub(super) payee: Option<Payee>,
    pub(super) amount_minor: i64,
    pub(super) currency: String,
    pub(super) tx_type: String,
    pub(super) category: Option<String>,
    pub(super) description: Option<String>,
    pub(super) reference_id: Option<String>,
    pub(super) metadata: String,
    /// The escrow that is asked for instead of settlement.
    pub(super) escrow: Option<Terms>,
}

/// The receiver of a payment.
#[derive(Clone, Debug)]
pub(super) struct Payee {
    pub(super) agent_id: String,
    /// Its organisation, when it is not the payer's.
    pub(super) other_org_id: Option<String>,
}

impl Payee {
    pub(super) fn org_id<'a>(&'a self, payer_org_id: &'a str) -> &'a str {
        self.other_org_id.as_deref().unwrap_or(payer_org_id)
    }
}

impl Payment {
    /// A stored payment, with the escrow it asks for.
    pub(super) fn of(row: &TransactionRow, escrow: Option<Terms>) -> Self {
        Self {
            agent_id: row.requesting_agent_id.clone(),
            payee: row.counterparty_agent_id.clone().map(|agent_id| Payee {
                agent_id,
                other_org_id: row.counterparty_org_id.clone(),
            }),
            amount_minor: row.amount_minor,
            currency: row.currency.clone(),
            tx_type: row.tx_type.clone(),
            category: row.category.clone(),
            description: row.description.clone(),
            reference_id: row.reference_id.clone(),
            metadata: row.metadata.0.clone(),
            escrow,
        }
    }
}

/// Decides a payment and settles or holds it when approved. Repeating it under its idempotency key gives the first answer.
pub(super) async fn request_payment(
    pay: &Pay,
    caller: &Caller,
    request: pb::RequestPaymentRequest,
    started: Instant,
) -> Result<pb::RequestPaymentResponse> {
    match ask(caller, request, started) {
        Ok(ask) => pay.engine.ask(caller.org_id()?, ask).await?,
        Err(error) => {
            caller.confirm(&pay.db).await?;
            Err(error)
        }
    }
}

fn ask(caller: &Caller, request: pb::RequestPaymentRequest, started: Instant) -> Result<Ask> {
    if !request.requesting_agent_id.is_empty() {
        caller.require_agent(&request.requesting_agent_id)?;
    }
    let (payment, keyed) = read(caller.org_id()?, request)?;
    Ok(Ask {
        payment,
        keyed,
        unconfirmed: caller.key()?.unconfirmed.clone(),
        started,
    })
}

/// Checks the request, and names every fault.
fn read(org_id: &str, mut request: pb::RequestPaymentRequest) -> Result<(Payment, Option<Keyed>)> {
    let mut input = Input::default();
    input.name("requesting_agent_id", &request.requesting_agent_id);
    let amount_minor = input.amount("amount", request.amount.as_ref());
    input.name("tx_type", &request.tx_type);
    let currency = input.currency(request.currency.as_deref());
    input.optional_name(
        "counterparty_agent_id",
        request.counterparty_agent_id.as_deref(),
    );
    input.optional_name(
        "counterparty_org_id",
        request.counterparty_org_id.as_deref(),
    );
    input.label("category", request.category.as_deref());
    input.description("description", request.description.as_deref());
    input.label("reference_id", request.reference_id.as_deref());
    let key = request.idempotency_key.take();
    // What two spellings of one request have in common, kept before the JSON texts are taken out.
    request.amount = Some(decimal(amount_minor));
    request.currency = Some(currency.clone());
    let canonical = key.is_some().then(|| request.encode_to_vec());
    let metadata = input.object("metadata", request.metadata);
    let escrow = Terms::read(&mut input, request.escrow_conditions);

    let other_org_id = request.counterparty_org_id.filter(|id| id != org_id);
    if other_org_id.is_some() && request.counterparty_agent_id.is_none() {
        input.fault(
            "counterparty_agent_id",
            "is required with counterparty_org_id",
        );
    }
    if other_org_id.is_none()
        && request.counterparty_agent_id.as_deref() == Some(&request.requesting_agent_id)
    {
        input.fault("counterparty_agent_id", "must not be the paying agent");
    }
    input.finish()?;

    let keyed = match (key, canonical) {
        (Some(key), Some(canonical)) => {
            Some(Keyed::new(org_id, "pay.request_payment", key, &canonical)?)
        }
        _ => None,
    };
    let payment = Payment {
        agent_id: request.requesting_agent_id,
        payee: request.counterparty_agent_id.map(|agent_id| Payee {
            agent_id,
            other_org_id,
        }),
        amount_minor,
        currency,
        tx_type: request.tx_type,
        category: request.category,
        description: request.description,
        reference_id: request.reference_id,
        metadata: metadata.unwrap_or_else(|| "{}".to_owned()),
        escrow,
    };
    Ok((payment, keyed))
}

/// Says what a payment would be decided now. Nothing is written, which the database enforces.
pub(super) async fn dry_run(
    pay: &Pay,
    caller: &Caller,
    request: pb::DryRunPaymentRequest,
    started: Instant,
) -> Result<pb::DryRunPaymentResponse> {
    let org_id = caller.org_id()?;
    if !request.requesting_agent_id.is_empty() {
        caller.require_agent(&request.requesting_agent_id)?;
    }
    let (payment, _) = read(org_id, request.into())?;
    let now = pay.clock.now();
    pay.db
        .transaction_with(
            Plans::Kept,
            "pay_dry_run_payment",
            async |conn: &mut Conn| {
                transaction::begin_snapshot(conn).await?;
                let payments = vec![&payment];
                let mut book =
                    Book::read(conn, &pay.sources, org_id, payments, Read::Preview, now).await?;
                let outcome = book.decide(0, None, started)?;
                let reply = record::preview(&outcome);
                Ok(pb::DryRunPaymentResponse {
                    dry_run: true,
                    status: reply.status,
                    authorization: reply.authorization,
                })
            },
        )
        .await
}

impl From<pb::DryRunPaymentRequest> for pb::RequestPaymentRequest {
    fn from(request: pb::DryRunPaymentRequest) -> Self {
        Self {
            requesting_agent_id: request.requesting_agent_id,
            counterparty_agent_id: request.counterparty_agent_id,
            counterparty_org_id: request.counterparty_org_id,
            amount: request.amount,
            currency: request.currency,
            tx_type: request.tx_type,
            category: request.category,
            description: request.description,
            reference_id: request.reference_id,
            metadata: request.metadata,
            escrow_conditions: request.escrow_conditions,
            idempotency_key: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::proto::pulpo::r#type::v1::{Decimal, Json};

    use super::*;

    fn request() -> pb::RequestPaymentRequest {
        pb::RequestPaymentRequest {
            requesting_agent_id: "agent-a".to_owned(),
            counterparty_agent_id: Some("agent-b".to_owned()),
            amount: Some(Decimal {
                value: "2500.00".to_owned(),
            }),
            tx_type: "vendor_payment".to_owned(),
            ..Default::default()
        }
    }

    fn faults(request: pb::RequestPaymentRequest) -> Vec<String> {
        read("org_a", request)
            .unwrap_err()
            .violations
            .into_iter()
            .map(|v| v.field)
            .collect()
    }

    #[test]
    fn defaults_and_own_organisation() {
        let (payment, keyed) = read(
            "org_a",
            pb::RequestPaymentRequest {
                counterparty_org_id: Some("org_a".to_owned()),
                ..request()
            },
        )
        .unwrap();
        assert_eq!(
            (
                payment.amount_minor,
                payment.currency.as_str(),
                payment.metadata.as_str()
            ),
            (250_000, "USD", "{}")
        );
        assert_eq!(payment.payee.unwrap().other_org_id, None);
        assert!(keyed.is_none());
    }

    #[test]
    fn every_fault_at_once() {
        assert_eq!(
            faults(pb::RequestPaymentRequest::default()),
            ["requesting_agent_id", "amount", "tx_type"]
        );
        assert_eq!(
            faults(pb::RequestPaymentRequest {
                metadata: Some(Json {
                    text: "[]".to_owned()
                }),
                ..request()
            }),
            ["metadata"]
        );
        assert_eq!(
            faults(pb::RequestPaymentRequest {
                counterparty_agent_id: Some("agent-a".to_owned()),
                ..request()
            }),
            ["counterparty_agent_id"]
        );
        let to_nobody = pb::RequestPaymentRequest {
            counterparty_agent_id: None,
            counterparty_org_id: Some("org_b".to_owned()),
            ..request()
        };
        assert_eq!(faults(to_nobody), ["counterparty_agent_id"]);
        // The same name in another organisation is another agent.
        let elsewhere = pb::RequestPaymentRequest {
            counterparty_agent_id: Some("agent-a".to_owned()),
            counterparty_org_id: Some("org_b".to_owned()),
            ..request()
        };
        assert!(read("org_a", elsewhere).is_ok());
    }
}
