//! The ledger: every movement of money is a journal whose entries sum to zero.
//!
//! Entries are never changed or deleted, which the database enforces, as it does the sum. A wallet has two accounts:
//! what can be spent and what escrow holds are the sums of their entries. The journals of an organisation are chained
//! ([`chain`]), so that a history that was changed behind the program's back shows.

use chrono::{DateTime, Utc};
use diesel::{
    QueryResult,
    sql_types::{Array, BigInt, Binary, Nullable, SmallInt, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use futures_util::try_join;

use crate::{
    db::{
        Conn,
        prepared::{column, prepared},
    },
    ids,
};

pub mod chain;

use chain::Head;

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
    entries: [Entry; 2],
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    line: i16,
    account: &'static str,
    account_org_id: String,
    wallet_id: Option<String>,
    currency: String,
    amount_minor: i64,
    balance_after_minor: Option<i64>,
}

impl From<Movement<'_>> for Posting {
    fn from(movement: Movement<'_>) -> Self {
        let entry = |line, account, amount_minor| {
            let (account, account_org_id, wallet) = match account {
                Account::External => ("external", movement.org_id, None),
                Account::Held {
                    org_id,
                    id,
                    balance_after_minor,
                } => ("held", org_id, Some((id, balance_after_minor))),
                Account::Wallet {
                    org_id,
                    id,
                    balance_after_minor,
                } => ("wallet", org_id, Some((id, balance_after_minor))),
            };
            Entry {
                line,
                account,
                account_org_id: account_org_id.to_owned(),
                wallet_id: wallet.map(|(id, _)| id.to_owned()),
                currency: movement.currency.to_owned(),
                amount_minor,
                balance_after_minor: wallet.map(|(_, balance)| balance),
            }
        };
        Self {
            id: ids::sortable("jrn"),
            kind: movement.kind.as_str(),
            transaction_id: movement.transaction_id.map(str::to_owned),
            entries: [
                entry(1, movement.from, -movement.amount_minor),
                entry(2, movement.to, movement.amount_minor),
            ],
        }
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
    extend(conn, org_id, head, postings, now).await
}

/// [`post`] with the head of the chain locked before.
pub async fn extend(
    conn: &Conn,
    org_id: &str,
    mut head: Head,
    postings: &[Posting],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let links: Vec<Head> = postings
        .iter()
        .map(|posting| head.add(org_id, posting, now))
        .collect();
    insert_journals(conn, org_id, postings, &links, now).await?;
    try_join!(
        insert_entries(conn, org_id, postings, now),
        chain::store(conn, org_id, &head)
    )?;
    Ok(())
}

async fn insert_journals(
    mut conn: &Conn,
    org_id: &str,
    postings: &[Posting],
    links: &[Head],
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    const INSERT: &str = "INSERT INTO ledger_journals (org_id, created_at, id, kind, transaction_id, chain_seq, chain_hash) \
        SELECT $1, $2, j.* FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::bytea[]) AS j";
    prepared(INSERT, |query| {
        query
            .bind::<Text, _>(org_id)
            .bind::<Timestamptz, _>(now)
            .bind::<Array<Text>, _>(column(postings, |row| &row.id))
            .bind::<Array<Text>, _>(column(postings, |row| row.kind))
            .bind::<Array<Nullable<Text>>, _>(column(postings, |row| row.transaction_id.as_ref()))
            .bind::<Array<BigInt>, _>(column(links, |link| link.seq))
            .bind::<Array<Binary>, _>(column(links, |link| link.hash.as_slice()))
    })
    .execute(&mut conn)
    .await
}

async fn insert_entries(
    mut conn: &Conn,
    org_id: &str,
    postings: &[Posting],
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    // The order of writing is the order in which balances follow one another.
    const INSERT: &str = "INSERT INTO ledger_entries (org_id, created_at, journal_id, line, account, account_org_id, wallet_id, \
        currency, amount_minor, balance_after_minor) \
        SELECT $1, $2, e.journal_id, e.line, e.account, e.account_org_id, e.wallet_id, e.currency, e.amount_minor, e.balance_after_minor \
        FROM unnest($3::text[], $4::smallint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::bigint[]) \
        WITH ORDINALITY AS e (journal_id, line, account, account_org_id, wallet_id, currency, amount_minor, balance_after_minor, place) \
        ORDER BY e.place";
    let rows: Vec<(&str, &Entry)> = postings
        .iter()
        .flat_map(|posting| {
            posting
                .entries
                .iter()
                .map(|entry| (posting.id.as_str(), entry))
        })
        .collect();
    prepared(INSERT, |query| {
        query
            .bind::<Text, _>(org_id)
            .bind::<Timestamptz, _>(now)
            .bind::<Array<Text>, _>(column(&rows, |row| row.0))
            .bind::<Array<SmallInt>, _>(column(&rows, |row| row.1.line))
            .bind::<Array<Text>, _>(column(&rows, |row| row.1.account))
            .bind::<Array<Text>, _>(column(&rows, |row| &row.1.account_org_id))
            .bind::<Array<Nullable<Text>>, _>(column(&rows, |row| row.1.wallet_id.as_ref()))
            .bind::<Array<Text>, _>(column(&rows, |row| &row.1.currency))
            .bind::<Array<BigInt>, _>(column(&rows, |row| row.1.amount_minor))
            .bind::<Array<Nullable<BigInt>>, _>(column(&rows, |row| row.1.balance_after_minor))
    })
    .execute(&mut conn)
    .await
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
                let lines = Posting::from(movement).entries;
                prop_assert_eq!(lines.iter().map(|line| line.amount_minor).sum::<i64>(), 0);
                for line in lines {
                    let sum = sums.entry(line.wallet_id).or_default();
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
