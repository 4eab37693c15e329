//! Moving the money of an approved payment, between rows that are locked.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::{
    db::Conn,
    error::{Error, Result},
};

use super::{
    ledger::{self, Account, JournalKind, Movement},
    record::Outcome,
    request::Payment,
    schema::wallets,
    wallets::{self as wallet_rows, WalletRow, balance_too_large},
};

/// The wallets of a payment, locked until the transaction ends.
pub(super) struct Locked {
    pub(super) payer: WalletRow,
    /// None for a payment to the outside.
    pub(super) payee: Option<WalletRow>,
}

/// Locks the wallets of a payment in the order of their ids; the payee's is created before, so that nothing is waited
/// for while a row is locked. The payer's must exist.
pub(super) async fn lock(
    conn: &mut Conn,
    org_id: &str,
    payment: &Payment,
    now: DateTime<Utc>,
) -> Result<Locked> {
    let currency = payment.currency.as_str();
    let (payee_org_id, payee_agent_id) = match &payment.payee {
        Some(payee) => (payee.org_id(org_id), payee.agent_id.as_str()),
        None => (org_id, payment.agent_id.as_str()),
    };
    if payment.payee.is_some()
        && wallet_rows::find(conn, payee_org_id, payee_agent_id, currency)
            .await?
            .is_none()
    {
        wallet_rows::insert(
            conn,
            &WalletRow::empty(payee_org_id, payee_agent_id, currency, now),
        )
        .await?;
    }
    let of_payer = wallets::org_id
        .eq(org_id)
        .and(wallets::agent_id.eq(&payment.agent_id));
    let of_payee = wallets::org_id
        .eq(payee_org_id)
        .and(wallets::agent_id.eq(payee_agent_id));
    let rows = wallets::table
        .filter(wallets::currency.eq(currency).and(of_payer.or(of_payee)))
        .order((wallets::id, wallets::org_id))
        .select(WalletRow::as_select())
        .for_no_key_update()
        .load(conn)
        .await?;
    let (mut payer, mut payee) = (None, None);
    for row in rows {
        if row.org_id == org_id && row.agent_id == payment.agent_id {
            payer = Some(row);
        } else {
            payee = Some(row);
        }
    }
    match payer {
        Some(payer) if payee.is_some() == payment.payee.is_some() => Ok(Locked { payer, payee }),
        _ => Err(Error::internal(anyhow::anyhow!(
            "a wallet vanished while it was being locked"
        ))),
    }
}

/// Debits the payer, credits the payee, and writes the journal.
pub(super) async fn settle(
    conn: &mut Conn,
    outcome: &Outcome<'_>,
    transaction_id: &str,
    locked: Locked,
) -> Result<()> {
    let (payment, now) = (outcome.payment, outcome.now);
    let Locked {
        mut payer,
        mut payee,
    } = locked;
    let amount_minor = payment.amount_minor;
    payer.available_minor = payer
        .available_minor
        .checked_sub(amount_minor)
        .filter(|available| *available >= 0)
        .ok_or_else(|| {
            Error::internal(anyhow::anyhow!("an approved payment exceeds the balance"))
        })?;
    payer.lifetime_sent_minor = add(payer.lifetime_sent_minor, amount_minor)?;
    store(conn, &payer, now).await?;
    if let Some(payee) = &mut payee {
        payee.available_minor = add(payee.available_minor, amount_minor)?;
        payee.lifetime_received_minor = add(payee.lifetime_received_minor, amount_minor)?;
        store(conn, payee, now).await?;
    }
    let movement = Movement {
        org_id: outcome.org_id,
        kind: JournalKind::Payment,
        transaction_id: Some(transaction_id),
        currency: &payment.currency,
        amount_minor,
        from: payer.account(),
        to: payee.as_ref().map_or(Account::External, WalletRow::account),
    };
    ledger::post(conn, &movement, now).await?;
    Ok(())
}

fn add(balance_minor: i64, amount_minor: i64) -> Result<i64> {
    balance_minor
        .checked_add(amount_minor)
        .ok_or_else(|| balance_too_large("amount"))
}

/// Writes the balances of a locked wallet.
async fn store(conn: &mut Conn, wallet: &WalletRow, now: DateTime<Utc>) -> QueryResult<()> {
    diesel::update(wallets::table.find((&wallet.org_id, &wallet.id)))
        .set((
            wallets::available_minor.eq(wallet.available_minor),
            wallets::lifetime_sent_minor.eq(wallet.lifetime_sent_minor),
            wallets::lifetime_received_minor.eq(wallet.lifetime_received_minor),
            wallets::last_transaction_at.eq(now),
            wallets::updated_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}
