//! Requesting a payment: read, decide, and, when approved, settle, all in one transaction.
//!
//! Requests of one agent are decided one after the other under an advisory lock, so no two of them count the same
//! windows. Wallet rows are locked in the order of their ids. A denial is stored like an approval.

use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Utc};
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use prost::Message;

use crate::{
    db::Conn,
    error::{Error, Result},
    idempotency::{self, Keyed},
    identity::Caller,
    proto::pulpo::pay::v1 as pb,
};

use super::{
    Pay,
    compliance::{self, Prediction, RuleBook},
    decision::{self, Counterparty, Facts, PolicySnapshot, Verdict},
    input::Input,
    money::decimal,
    policies,
    record::{self, Outcome},
    settlement::{self, Locked},
    time::timestamp,
    transactions, wallets,
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
    pub(super) wants_escrow: bool,
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

/// Decides a payment and settles it when approved. Repeating it under its idempotency key gives the first answer.
pub(super) async fn request_payment(
    pay: &Pay,
    caller: &Caller,
    request: pb::RequestPaymentRequest,
    started: Instant,
) -> Result<pb::RequestPaymentResponse> {
    let org_id = caller.org_id()?;
    if !request.requesting_agent_id.is_empty() {
        caller.require_agent(&request.requesting_agent_id)?;
    }
    let (payment, keyed) = read(org_id, request)?;
    let now = pay.clock.now();
    pay.db
        .transaction("pay_request_payment", async |conn: &mut Conn| {
            if let Some(first) = idempotency::replay(conn, keyed.as_ref(), now).await? {
                return Ok(first);
            }
            let reply = authorize(conn, &pay.rules, org_id, &payment, started, now).await?;
            idempotency::keep(conn, keyed.as_ref(), &reply).await?;
            Ok(reply)
        })
        .await
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
    let wants_escrow = input
        .object("escrow_conditions", request.escrow_conditions)
        .is_some();

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
        wants_escrow,
    };
    Ok((payment, keyed))
}

/// Gathers the facts, decides, settles and records, in the caller's transaction.
async fn authorize(
    conn: &mut Conn,
    rules: &RuleBook,
    org_id: &str,
    payment: &Payment,
    started: Instant,
    now: DateTime<Utc>,
) -> Result<pb::RequestPaymentResponse> {
    let other_org_id = payment
        .payee
        .as_ref()
        .and_then(|payee| payee.other_org_id.as_deref());
    if let Some(other) = other_org_id
        && !policies::organization_exists(conn, other).await?
    {
        return Err(Error::not_found(
            "ORGANIZATION_NOT_FOUND",
            format!("There is no organization {other}"),
        ));
    }
    lock_payer(conn, org_id, &payment.agent_id).await?;
    let policy = policies::in_force(conn, org_id, &payment.agent_id).await?;
    let receiver_policy = match &payment.payee {
        Some(Payee {
            agent_id,
            other_org_id: Some(other),
        }) => policies::in_force(conn, other, agent_id).await?,
        _ => None,
    };
    let windows = decision::window_starts(now);
    let sums =
        transactions::window_sums(conn, org_id, &payment.agent_id, &payment.currency, windows)
            .await?;
    let payer = wallets::find(conn, org_id, &payment.agent_id, &payment.currency).await?;

    let prediction =
        compliance::precheck(conn, rules, org_id, policy.as_ref(), payment, now).await?;

    let mut facts = facts(payment, policy.as_ref(), receiver_policy.as_ref(), sums);
    facts.compliance = prediction.as_ref().map(Prediction::verdict);
    facts.available_minor = payer
        .filter(|wallet| wallet.is_active)
        .map(|wallet| wallet.available_minor);
    let mut verdict = decision::decide(&facts);
    let mut locked = None;
    if verdict == Verdict::Approved {
        // Decided again on what the locked rows say: others may have withdrawn meanwhile.
        let wallets = settlement::lock(conn, org_id, payment, now).await?;
        facts.available_minor = wallets
            .payer
            .is_active
            .then_some(wallets.payer.available_minor);
        if let Some(counterparty) = &mut facts.counterparty {
            counterparty.is_closed = wallets
                .payee
                .as_ref()
                .is_some_and(|wallet| !wallet.is_active);
        }
        verdict = decision::decide(&facts);
        locked = Some(wallets);
    }
    conclude(
        conn,
        &Outcome {
            org_id,
            payment,
            policy: policy.as_ref(),
            prediction: prediction.as_ref(),
            verdict,
            started,
            now,
        },
        locked,
    )
    .await
}

fn facts<'a>(
    payment: &'a Payment,
    policy: Option<&'a PolicySnapshot>,
    receiver_policy: Option<&'a PolicySnapshot>,
    sums: transactions::WindowSums,
) -> Facts<'a> {
    Facts {
        policy,
        payer_agent_id: &payment.agent_id,
        amount_minor: payment.amount_minor,
        currency: &payment.currency,
        daily_sum_minor: sums.daily_minor,
        monthly_sum_minor: sums.monthly_minor,
        counterparty: payment.payee.as_ref().map(|payee| Counterparty {
            agent_id: &payee.agent_id,
            receiver_policy,
            is_closed: false,
        }),
        category: payment.category.as_deref(),
        available_minor: None,
        compliance: None,
        wants_escrow: payment.wants_escrow,
    }
}

/// Writes the outcome, moves the money when approved, and words the answer.
async fn conclude(
    conn: &mut Conn,
    outcome: &Outcome<'_>,
    locked: Option<Locked>,
) -> Result<pb::RequestPaymentResponse> {
    let authorization = record::store(conn, outcome).await?;
    if let Some(prediction) = outcome.prediction {
        let of = (outcome.org_id, authorization.transaction_id.as_str());
        compliance::store(conn, of, prediction, outcome.now).await?;
    }
    let approved = outcome.verdict == Verdict::Approved;
    if let (true, Some(wallets)) = (approved, locked) {
        settlement::settle(conn, outcome, &authorization.transaction_id, wallets).await?;
    }
    Ok(pb::RequestPaymentResponse {
        transaction_id: authorization.transaction_id,
        status: if approved { "authorized" } else { "denied" }.to_owned(),
        authorization: Some(pb::Decision {
            decision: authorization.decision,
            reason_code: authorization.reason_code,
            reason_detail: authorization.reason_detail,
            compliance_status: authorization.compliance_status,
            processing_time_ms: authorization.processing_time_ms,
        }),
        settlement: approved.then(|| pb::Settlement {
            settled_at: Some(timestamp(outcome.now)),
        }),
    })
}

/// Waits until no other request of the agent is being decided, on any replica; released with the transaction.
async fn lock_payer(conn: &mut Conn, org_id: &str, agent_id: &str) -> Result<()> {
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
