//! Moving the money of a payment, between rows that are locked: to the payee, into escrow, and out of it.

use chrono::{DateTime, Utc};

use crate::{
    db::{Conn, write},
    error::{Error, Result},
};

use super::{
    ledger::{self, Account, JournalKind, Movement, Posting},
    request::Payment,
    wallets::{self as wallet_rows, WalletKey, WalletRow, balance_too_large},
};

/// The wallets of a payment, locked until the transaction ends.
#[derive(Clone, Debug)]
pub(super) struct Locked {
    pub(super) payer: WalletRow,
    /// None for a payment to the outside.
    pub(super) payee: Option<WalletRow>,
}

/// Locks the wallets of a payment that was approved before; both exist.
pub(super) async fn lock(conn: &Conn, org_id: &str, payment: &Payment) -> Result<Locked> {
    let payer = wallet_rows::key(org_id, &payment.agent_id, &payment.currency);
    let payee = payment
        .payee
        .as_ref()
        .map(|payee| wallet_rows::key(payee.org_id(org_id), &payee.agent_id, &payment.currency));
    let keys: Vec<_> = [Some(payer.clone()), payee.clone()]
        .into_iter()
        .flatten()
        .collect();
    let mut rows = wallet_rows::lock(conn, &keys).await?;
    let mut take = |key: &WalletKey| rows.remove(key).ok_or_else(vanished);
    Ok(Locked {
        payer: take(&payer)?,
        payee: payee.as_ref().map(take).transpose()?,
    })
}

fn vanished() -> Error {
    Error::internal(anyhow::anyhow!("a wallet of a payment vanished"))
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

/// Moves the money of a payment between its wallets, which are changed, and answers the journal to write. Nothing is
/// changed by an error.
///
/// # Errors
/// 400 when the payee's wallet cannot hold so much.
pub(super) fn shift(
    step: Step,
    (org_id, transaction_id): (&str, &str),
    payment: &Payment,
    wallets: &mut Locked,
    now: DateTime<Utc>,
) -> Result<Posting> {
    let Locked { payer, payee } = wallets;
    let amount_minor = payment.amount_minor;
    let received = match payee.as_ref().filter(|_| step.pays()) {
        Some(payee) => Some(received(payee, amount_minor)?),
        None => None,
    };
    let mut paid = payer.clone();
    if step.takes_held() {
        paid.held_minor = take(paid.held_minor, amount_minor)?;
    } else {
        paid.available_minor = take(paid.available_minor, amount_minor)?;
    }
    match step {
        Step::Hold => paid.held_minor = add(paid.held_minor, amount_minor)?,
        Step::Refund => paid.available_minor = add(paid.available_minor, amount_minor)?,
        Step::Settle | Step::Release => {
            paid.lifetime_sent_minor = add(paid.lifetime_sent_minor, amount_minor)?;
        }
    }
    *payer = paid;
    touch(payer, now);
    if let Some(received) = received {
        let payee = payee.insert(received);
        touch(payee, now);
    }
    Ok(Posting::from(Movement {
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
    }))
}

/// The wallet of a payee after it was paid.
fn received(payee: &WalletRow, amount_minor: i64) -> Result<WalletRow> {
    let mut payee = payee.clone();
    payee.available_minor = add(payee.available_minor, amount_minor)?;
    // What is held must have room to come back.
    add(payee.available_minor, payee.held_minor)?;
    payee.lifetime_received_minor = add(payee.lifetime_received_minor, amount_minor)?;
    Ok(payee)
}

fn touch(wallet: &mut WalletRow, now: DateTime<Utc>) {
    wallet.last_transaction_at = Some(now);
    wallet.updated_at = now;
}

/// Moves the money between the locked wallets, and writes them and the journal.
pub(super) async fn apply(
    conn: &mut Conn,
    step: Step,
    of: (&str, &str),
    payment: &Payment,
    mut wallets: Locked,
    now: DateTime<Utc>,
) -> Result<()> {
    let posting = shift(step, of, payment, &mut wallets, now)?;
    let Locked { payer, payee } = wallets;
    let changed: Vec<WalletRow> = [Some(payer), payee.filter(|_| step.pays())]
        .into_iter()
        .flatten()
        .collect();
    let changed = wallet_rows::store(changed.iter().collect());
    write::run_all(conn, changed).await?;
    ledger::post(conn, of.0, &[posting], now).await?;
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
