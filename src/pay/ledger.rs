//! The ledger: every movement of money is a journal, a row with two sides. Out of one account and into another go the same
//! amount by construction; the view `ledger_entries` shows each side as an entry, which sum to zero.
//!
//! Journals are never changed or deleted, which the database enforces. A wallet has two accounts: what can be spent and
//! what escrow holds are the sums of their entries. The journals of an organisation are chained ([`chain`]), so that a
//! history that was changed behind the program's back shows.

use chrono::{DateTime, Utc};
use diesel::{
    QueryResult,
    sql_types::{BigInt, Binary, Nullable, Text, Timestamptz},
};

use crate::{
    db::{Conn, rows::Rows, write::Write},
    ids,
};

pub mod chain;

use chain::{Head, Line};

/// Why money moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalKind {
    /// A wallet was created with money in it.
    Opening,
    /// Money was added from outside.
    Fund,
    /// Money was taken out.
    Withdraw,
    /// A payment was settled.
    Payment,
    /// A payment was put aside.
    EscrowHold,
    /// What was put aside went to the payee.
    EscrowRelease,
    /// What was put aside went back.
    EscrowRefund,
}

impl JournalKind {
    fn as_str(self) -> &'static str {
        match self {
            JournalKind::Opening => "opening",
            JournalKind::Fund => "fund",
            JournalKind::Withdraw => "withdraw",
            JournalKind::Payment => "payment",
            JournalKind::EscrowHold => "escrow_hold",
            JournalKind::EscrowRelease => "escrow_release",
            JournalKind::EscrowRefund => "escrow_refund",
        }
    }
}

/// One side of a movement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account<'a> {
    /// Outside of Pulpo.
    External,
    /// What escrow holds of a wallet.
    Held {
        /// Its organisation.
        org_id: &'a str,
        /// wal_…
        id: &'a str,
        /// Its held balance after the movement.
        balance_after_minor: i64,
    },
    /// What can be spent of a wallet.
    Wallet {
        /// Its organisation.
        org_id: &'a str,
        /// wal_…
        id: &'a str,
        /// Its available balance after the movement.
        balance_after_minor: i64,
    },
}

/// A movement of one amount between two accounts: two entries that cancel out by construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement<'a> {
    /// The organisation that moves the money.
    pub org_id: &'a str,
    /// Why.
    pub kind: JournalKind,
    /// The payment, for payments and escrow.
    pub transaction_id: Option<&'a str>,
    /// ISO 4217 code.
    pub currency: &'a str,
    /// How much; positive.
    pub amount_minor: i64,
    /// Where it comes from.
    pub from: Account<'a>,
    /// Where it goes.
    pub to: Account<'a>,
}

/// A journal to write: a movement that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    id: String,
    kind: &'static str,
    transaction_id: Option<String>,
    currency: String,
    amount_minor: i64,
    from: Side,
    /// Its organisation, when it is another one.
    to_org_id: Option<String>,
    to: Side,
}

/// An account with its balance after the movement.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Side {
    account: &'static str,
    wallet_id: Option<String>,
    balance_minor: Option<i64>,
}

impl Account<'_> {
    fn org_id(&self) -> Option<&str> {
        match *self {
            Account::External => None,
            Account::Held { org_id, .. } | Account::Wallet { org_id, .. } => Some(org_id),
        }
    }

    fn side(&self) -> Side {
        let (account, wallet) = match *self {
            Account::External => ("external", None),
            Account::Held {
                id,
                balance_after_minor,
                ..
            } => ("held", Some((id, balance_after_minor))),
            Account::Wallet {
                id,
                balance_after_minor,
                ..
            } => ("wallet", Some((id, balance_after_minor))),
        };
        Side {
            account,
            wallet_id: wallet.map(|(id, _)| id.to_owned()),
            balance_minor: wallet.map(|(_, balance)| balance),
        }
    }
}

impl From<Movement<'_>> for Posting {
    fn from(movement: Movement<'_>) -> Self {
        let to_org_id = movement.to.org_id();
        Self {
            id: ids::sortable("jrn"),
            kind: movement.kind.as_str(),
            transaction_id: movement.transaction_id.map(str::to_owned),
            currency: movement.currency.to_owned(),
            amount_minor: movement.amount_minor,
            from: movement.from.side(),
            to_org_id: to_org_id
                .filter(|id| *id != movement.org_id)
                .map(str::to_owned),
            to: movement.to.side(),
        }
    }
}

impl Posting {
    /// The two entries.
    fn lines<'p>(&'p self, org_id: &'p str) -> [Line<'p>; 2] {
        let line = |line, side: &'p Side, account_org_id, amount_minor| Line {
            line,
            account: side.account,
            account_org_id,
            wallet_id: side.wallet_id.as_deref(),
            currency: &self.currency,
            amount_minor,
            balance_after_minor: side.balance_minor,
        };
        let to_org_id = self.to_org_id.as_deref().unwrap_or(org_id);
        [
            line(1, &self.from, org_id, -self.amount_minor),
            line(2, &self.to, to_org_id, self.amount_minor),
        ]
    }
}

/// Writes journals of an organisation in their order, in the transaction that changes the wallets and after their rows
/// are locked, so that a wallet's entries follow one another. The head of the chain is locked last.
pub async fn post(
    conn: &Conn,
    org_id: &str,
    postings: &[Posting],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let head = chain::lock(conn, org_id).await?;
    extend(org_id, head, postings, now).run(conn).await?;
    Ok(())
}

/// [`post`] with the head of the chain locked before, still to be written.
pub fn extend<'a>(
    org_id: &'a str,
    mut head: Head,
    postings: &'a [Posting],
    now: DateTime<Utc>,
) -> Write<'a> {
    // The order of writing is the order in which balances follow one another.
    const EXTEND: &str = "WITH written AS (INSERT INTO ledger_journals (org_id, created_at, id, kind, transaction_id, currency, amount_minor, \
        from_account, from_wallet_id, from_balance_minor, to_account, to_org_id, to_wallet_id, to_balance_minor, chain_seq, chain_hash) \
        SELECT $1, $2, r.* FROM {rows}) UPDATE ledger_heads SET chain_seq = $3, chain_hash = $4 WHERE org_id = $1";
    let link = |posting: &'a Posting| (posting, head.add(org_id, posting, now));
    let links: Vec<(&Posting, Head)> = postings.iter().map(link).collect();
    Rows::of(&links)
        .value::<Text, _>(org_id)
        .value::<Timestamptz, _>(now)
        .value::<BigInt, _>(head.seq)
        .value::<Binary, _>(head.hash)
        .column::<Text, _>("id", |(row, _)| row.id.as_str())
        .column::<Text, _>("kind", |(row, _)| row.kind)
        .column::<Nullable<Text>, _>("transaction_id", |(row, _)| row.transaction_id.as_deref())
        .column::<Text, _>("currency", |(row, _)| row.currency.as_str())
        .column::<BigInt, _>("amount_minor", |(row, _)| row.amount_minor)
        .column::<Text, _>("from_account", |(row, _)| row.from.account)
        .column::<Nullable<Text>, _>("from_wallet_id", |(row, _)| row.from.wallet_id.as_deref())
        .column::<Nullable<BigInt>, _>("from_balance_minor", |(row, _)| row.from.balance_minor)
        .column::<Text, _>("to_account", |(row, _)| row.to.account)
        .column::<Nullable<Text>, _>("to_org_id", |(row, _)| row.to_org_id.as_deref())
        .column::<Nullable<Text>, _>("to_wallet_id", |(row, _)| row.to.wallet_id.as_deref())
        .column::<Nullable<BigInt>, _>("to_balance_minor", |(row, _)| row.to.balance_minor)
        .column::<BigInt, _>("chain_seq", |(_, link)| link.seq)
        .column::<Binary, _>("chain_hash", |(_, link)| link.hash.clone())
        .write(EXTEND)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const WALLETS: [&str; 3] = ["wal_a", "wal_b", "wal_c"];

    proptest! {
        /// Any row of movements between three wallets and the outside, against plain balances.
        #[test]
        fn entries_cancel_out_and_add_up(
            moves in proptest::collection::vec((0..4_usize, 0..4_usize, 1..1_000_000_i64), 1..80),
        ) {
            let mut balances = [0_i64; 3];
            let mut sums: HashMap<Option<String>, i64> = HashMap::new();
            for (from, to, amount_minor) in moves {
                let covered = balances.get(from).is_none_or(|balance| *balance >= amount_minor);
                if from == to || !covered {
                    continue;
                }
                if let Some(balance) = balances.get_mut(from) {
                    *balance -= amount_minor;
                }
                if let Some(balance) = balances.get_mut(to) {
                    *balance += amount_minor;
                }
                let account = |i: usize| match WALLETS.get(i) {
                    Some(id) => Account::Wallet { org_id: "org_a", id, balance_after_minor: balances[i] },
                    None => Account::External,
                };
                let movement = Movement {
                    org_id: "org_a",
                    kind: JournalKind::Payment,
                    transaction_id: Some("txn_1"),
                    currency: "USD",
                    amount_minor,
                    from: account(from),
                    to: account(to),
                };
                let posting = Posting::from(movement);
                let lines = posting.lines("org_a");
                prop_assert_eq!(lines.iter().map(|line| line.amount_minor).sum::<i64>(), 0);
                for line in lines {
                    let sum = sums.entry(line.wallet_id.map(str::to_owned)).or_default();
                    *sum += line.amount_minor;
                    if let Some(balance_after_minor) = line.balance_after_minor {
                        prop_assert_eq!(*sum, balance_after_minor);
                        prop_assert!(*sum >= 0);
                    }
                }
            }
            prop_assert_eq!(sums.values().sum::<i64>(), 0);
        }
    }
}
