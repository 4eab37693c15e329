//! What the command line and the demo data do: wallets and policies without a caller.

use chrono::{DateTime, Utc};

use crate::{
    db::Conn,
    error::{Error, Result},
    proto::pulpo::pay::v1::CreatePolicyRequest,
};

use super::{
    compliance::RuleBook,
    input::Input,
    ledger::{self, Account, JournalKind, Movement},
    policies::{self, PolicyRow},
    policy_input,
    wallets::{self, WalletRow},
};

/// Creates a wallet with money in it, which the ledger shows as coming from outside. 409 when the agent has a wallet
/// in that currency. To be called in a transaction.
pub async fn create_wallet(
    conn: &mut Conn,
    org_id: &str,
    agent_id: &str,
    currency: &str,
    opening_minor: i64,
    now: DateTime<Utc>,
) -> Result<WalletRow> {
    let mut input = Input::default();
    input.name("agent_id", agent_id);
    input.currency(Some(currency));
    if opening_minor < 0 {
        input.fault("opening_balance", "must not be negative");
    }
    input.finish()?;
    if policies::existing_organizations(conn, &[org_id])
        .await?
        .is_empty()
    {
        return Err(Error::not_found(
            "ORGANIZATION_NOT_FOUND",
            format!("There is no organization {org_id}"),
        ));
    }
    let mut wallet = WalletRow::empty(org_id, agent_id, currency, now);
    wallet.available_minor = opening_minor;
    wallet.last_transaction_at = (opening_minor > 0).then_some(now);
    if !wallets::insert(conn, &wallet).await? {
        return Err(Error::conflict(
            "WALLET_EXISTS",
            format!("Agent {agent_id} has a {currency} wallet already; fund it instead"),
        ));
    }
    if opening_minor > 0 {
        let movement = Movement {
            org_id,
            kind: JournalKind::Opening,
            transaction_id: None,
            currency,
            amount_minor: opening_minor,
            from: Account::External,
            to: wallet.account(),
        };
        ledger::post(conn, org_id, &[movement.into()], now).await?;
    }
    Ok(wallet)
}

/// Creates a policy by the rules of the API. 409 when the agent has an active one.
pub async fn create_policy(
    conn: &mut Conn,
    org_id: &str,
    request: CreatePolicyRequest,
    rules: &RuleBook,
    now: DateTime<Utc>,
) -> Result<PolicyRow> {
    let row = policy_input::new_row(org_id, request, rules, now)?;
    policies::insert(conn, &row).await?;
    Ok(row)
}
