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
    /// None for a payment to the outside, and for a step that gives the payee nothing.
    pub(super) payee: Option<WalletRow>,
}

/// The wallets that a step of a payment changes that was approved before.
struct Taken {
    wallets: Locked,
    /// The payee has no wallet yet: this is the first money it gets.
    opens_payee: bool,
}

/// Locks the wallets that `step` changes.
async fn lock(
    conn: &Conn,
    step: Step,
    org_id: &str,
    payment: &Payment,
    now: DateTime<Utc>,
) -> Result<Taken> {
    let key = |org_id, agent_id| wallet_rows::key(org_id, agent_id, &payment.currency);
    let payer = key(org_id, &payment.agent_id);
    let paid = payment.payee.as_ref().filter(|_| step.pays());
    let payee = paid.map(|payee| key(payee.org_id(org_id), &payee.agent_id));
    let keys: Vec<_> = [Some(payer.clone()), payee.clone()]
        .into_iter()
        .flatten()
        .collect();
    let mut rows = wallet_rows::lock(conn, &keys).await?;
    let vanished = || Error::internal(anyhow::anyhow!("the wallet of a payer vanished"));
    let payer = rows.remove(&payer).ok_or_else(vanished)?;
    let opens_payee = payee.as_ref().is_some_and(|key| !rows.contains_key(key));
    let open = |key: WalletKey| WalletRow::empty(&key.0, &key.1, &key.2, now);
    let payee = payee.map(|key| rows.remove(&key).unwrap_or_else(|| open(key)));
    Ok(Taken {
        wallets: Locked { payer, payee },
        opens_payee,
    })
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

    /// Whether the payee gets the money.
    pub(super) fn pays(self) -> bool {
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

/// Moves the money of a payment that was approved before, and writes the wallets and the journal. A payee without a
/// wallet gets one with the money.
///
/// # Errors
/// 400 when the payee's wallet is closed or cannot hold so much.
pub(super) async fn apply(
    conn: &mut Conn,
    step: Step,
    of: (&str, &str),
    payment: &Payment,
    now: DateTime<Utc>,
) -> Result<()> {
    let Taken {
        mut wallets,
        opens_payee,
    } = lock(conn, step, of.0, payment, now).await?;
    if wallets.payee.as_ref().is_some_and(|payee| !payee.is_active) {
        return Err(Error::precondition(
            "PAYEE_WALLET_CLOSED",
            "The wallet of the payee is not active; refund the payment instead",
        ));
    }
    let posting = shift(step, of, payment, &mut wallets, now)?;
    let Locked { payer, payee } = &wallets;
    let (opened, paid) = match payee {
        Some(payee) if opens_payee => (vec![payee], None),
        payee => (Vec::new(), payee.as_ref()),
    };
    let changed = [Some(payer), paid].into_iter().flatten().collect();
    let writes = wallet_rows::insert_all(opened)
        .into_iter()
        .chain(wallet_rows::store(changed))
        .collect::<Vec<_>>();
    write::run_all(conn, writes)
        .await
        .map_err(wallet_rows::conflict)?;
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
