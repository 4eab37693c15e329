//! The ledger: every movement of money is a journal whose entries sum to zero.
//!
//! Entries are never changed or deleted, which the database enforces, as it does the sum. A wallet has two accounts:
//! what can be spent and what escrow holds are the sums of their entries.

use chrono::{DateTime, Utc};
use diesel::{Insertable, QueryResult};
use diesel_async::RunQueryDsl;

use crate::{db::Conn, ids};

use super::schema::{ledger_entries, ledger_journals};

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
#[derive(Clone, Debug, PartialEq, Eq)]
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

#[derive(Insertable)]
#[diesel(table_name = ledger_journals)]
struct Journal<'a> {
    org_id: &'a str,
    id: &'a str,
    kind: &'static str,
    transaction_id: Option<&'a str>,
    created_at: DateTime<Utc>,
}

#[derive(Debug, PartialEq, Insertable)]
#[diesel(table_name = ledger_entries)]
struct Entry<'a> {
    org_id: &'a str,
    journal_id: &'a str,
    line: i16,
    account: &'static str,
    account_org_id: &'a str,
    wallet_id: Option<&'a str>,
    currency: &'a str,
    amount_minor: i64,
    balance_after_minor: Option<i64>,
    created_at: DateTime<Utc>,
}

/// Writes the journal of a movement, in the transaction that changes the wallets and after their rows are locked, so
/// that a wallet's entries follow one another.
pub async fn post(conn: &mut Conn, movement: &Movement<'_>, now: DateTime<Utc>) -> QueryResult<()> {
    let id = ids::sortable("jrn");
    let journal = Journal {
        org_id: movement.org_id,
        id: &id,
        kind: movement.kind.as_str(),
        transaction_id: movement.transaction_id,
        created_at: now,
    };
    diesel::insert_into(ledger_journals::table)
        .values(&journal)
        .execute(conn)
        .await?;
    let entries = entries(movement, &id, now);
    diesel::insert_into(ledger_entries::table)
        .values(&entries)
        .execute(conn)
        .await?;
    Ok(())
}

fn entries<'a>(movement: &Movement<'a>, journal_id: &'a str, now: DateTime<Utc>) -> Vec<Entry<'a>> {
    let entry = |line, account: &Account<'a>, amount_minor| {
        let (name, account_org_id, wallet_id, balance_after_minor) = match *account {
            Account::External => ("external", movement.org_id, None, None),
            Account::Held {
                org_id,
                id,
                balance_after_minor,
            } => ("held", org_id, Some(id), Some(balance_after_minor)),
            Account::Wallet {
                org_id,
                id,
                balance_after_minor,
            } => ("wallet", org_id, Some(id), Some(balance_after_minor)),
        };
        Entry {
            org_id: movement.org_id,
            journal_id,
            line,
            account: name,
            account_org_id,
            wallet_id,
            currency: movement.currency,
            amount_minor,
            balance_after_minor,
            created_at: now,
        }
    };
    vec![
        entry(1, &movement.from, -movement.amount_minor),
        entry(2, &movement.to, movement.amount_minor),
    ]
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
                let lines = entries(&movement, "jrn_1", DateTime::UNIX_EPOCH);
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
