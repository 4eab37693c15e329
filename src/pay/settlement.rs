//! Moving the money of a payment, between rows that are locked: to the payee, into escrow, and out of it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::{
    db::Conn,
    error::{Error, Result},
};

use super::{
    ledger::{self, Account, JournalKind, Movement},
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

/// What moves the money of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// From the payer to the payee.
    Settle,
    /// From the payer's wallet to what is held of it.
    Hold,
    /// From what is held to the payee.
    Release,
    /// From what is held back to the payer's wallet.
    Refund,
}

impl Step {
    fn kind(self) -> JournalKind {
        match self {
            Self::Settle => JournalKind::Payment,
            Self::Hold => JournalKind::EscrowHold,
            Self::Release => JournalKind::EscrowRelease,
            Self::Refund => JournalKind::EscrowRefund,
        }
    }

    fn takes_held(self) -> bool {
        matches!(self, Self::Release | Self::Refund)
    }

    fn pays(self) -> bool {
        matches!(self, Self::Settle | Self::Release)
    }
}

/// Moves the money between the locked wallets, and writes the journal.
pub(super) async fn apply(
    conn: &mut Conn,
    step: Step,
    (org_id, transaction_id): (&str, &str),
    payment: &Payment,
    locked: Locked,
    now: DateTime<Utc>,
) -> Result<()> {
    let Locked {
        mut payer,
        mut payee,
    } = locked;
    let amount_minor = payment.amount_minor;
    if step.takes_held() {
        payer.held_minor = take(payer.held_minor, amount_minor)?;
    } else {
        payer.available_minor = take(payer.available_minor, amount_minor)?;
    }
    match step {
        Step::Hold => payer.held_minor = add(payer.held_minor, amount_minor)?,
        Step::Refund => payer.available_minor = add(payer.available_minor, amount_minor)?,
        Step::Settle | Step::Release => {
            payer.lifetime_sent_minor = add(payer.lifetime_sent_minor, amount_minor)?;
        }
    }
    store(conn, &payer, now).await?;
    if let Some(payee) = payee.as_mut().filter(|_| step.pays()) {
        payee.available_minor = add(payee.available_minor, amount_minor)?;
        // What is held must have room to come back.
        add(payee.available_minor, payee.held_minor)?;
        payee.lifetime_received_minor = add(payee.lifetime_received_minor, amount_minor)?;
        store(conn, payee, now).await?;
    }
    let movement = Movement {
        org_id,
        kind: step.kind(),
        transaction_id: Some(transaction_id),
        currency: &payment.currency,
        amount_minor,
        from: if step.takes_held() {
            payer.held_account()
        } else {
            payer.account()
        },
        to: match step {
            Step::Hold => payer.held_account(),
            Step::Refund => payer.account(),
            Step::Settle | Step::Release => {
                payee.as_ref().map_or(Account::External, WalletRow::account)
            }
        },
    };
    ledger::post(conn, &movement, now).await?;
    Ok(())
}

/// What is left; the decision or the escrow's row promised that it is there.
fn take(balance_minor: i64, amount_minor: i64) -> Result<i64> {
    balance_minor
        .checked_sub(amount_minor)
        .filter(|left| *left >= 0)
        .ok_or_else(|| Error::internal(anyhow::anyhow!("a payment exceeds the balance")))
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
            wallets::held_minor.eq(wallet.held_minor),
            wallets::lifetime_sent_minor.eq(wallet.lifetime_sent_minor),
            wallets::lifetime_received_minor.eq(wallet.lifetime_received_minor),
            wallets::last_transaction_at.eq(now),
            wallets::updated_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}
