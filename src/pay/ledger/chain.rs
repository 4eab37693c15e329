//! The chain of an organisation's journals: each hash covers the journal, its entries and the hash before.
//!
//! The text that is hashed, in UTF-8: `previous hash in hex|org_id|place|journal id|kind|transaction id|microseconds since
//! 1970`, and for each entry by its line a new line and `line|account|account_org_id|wallet id|currency|amount|balance
//! after`. What is absent is empty; no value has a `|` in it.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryResult, QueryableByName,
    sql_types::{BigInt, Binary, Text},
};
use diesel_async::RunQueryDsl;

use crate::db::{Conn, prepared::prepared};

use super::Posting;

/// The last journal of an organisation.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct Head {
    /// Its place; 0 before the first.
    #[diesel(sql_type = BigInt, column_name = chain_seq)]
    pub seq: i64,
    /// Its hash.
    #[diesel(sql_type = Binary, column_name = chain_hash)]
    pub hash: Vec<u8>,
}

/// A journal as it is hashed.
#[derive(Clone, Copy, Debug)]
pub struct Journal<'a> {
    /// The organisation.
    pub org_id: &'a str,
    /// jrn_…
    pub id: &'a str,
    /// Why money moved.
    pub kind: &'a str,
    /// The payment.
    pub transaction_id: Option<&'a str>,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// An entry as it is hashed.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Place in the journal.
    pub line: i16,
    /// wallet, held or external.
    pub account: &'a str,
    /// The organisation of the account.
    pub account_org_id: &'a str,
    /// The wallet.
    pub wallet_id: Option<&'a str>,
    /// ISO 4217 code.
    pub currency: &'a str,
    /// Signed.
    pub amount_minor: i64,
    /// The account's balance after it.
    pub balance_after_minor: Option<i64>,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            seq: 0,
            hash: vec![0; 32],
        }
    }
}

impl Head {
    /// The head after another journal.
    pub fn next<'l>(
        &self,
        journal: Journal<'_>,
        lines: impl IntoIterator<Item = Line<'l>>,
    ) -> Self {
        let seq = self.seq + 1;
        let mut text = String::with_capacity(512);
        for byte in &self.hash {
            let _ = write!(text, "{byte:02x}");
        }
        let _ = write!(
            text,
            "|{}|{seq}|{}|{}|{}|{}",
            journal.org_id,
            journal.id,
            journal.kind,
            journal.transaction_id.unwrap_or_default(),
            journal.created_at.timestamp_micros(),
        );
        for line in lines {
            let _ = write!(
                text,
                "\n{}|{}|{}|{}|{}|{}|",
                line.line,
                line.account,
                line.account_org_id,
                line.wallet_id.unwrap_or_default(),
                line.currency,
                line.amount_minor,
            );
            if let Some(balance) = line.balance_after_minor {
                let _ = write!(text, "{balance}");
            }
        }
        Self {
            seq,
            hash: digest(&SHA256, text.as_bytes()).as_ref().to_vec(),
        }
    }

    /// Adds a journal, and answers its place and hash.
    pub(super) fn add(&mut self, org_id: &str, posting: &Posting, now: DateTime<Utc>) -> Self {
        let journal = Journal {
            org_id,
            id: &posting.id,
            kind: posting.kind,
            transaction_id: posting.transaction_id.as_deref(),
            created_at: now,
        };
        *self = self.next(journal, posting.lines(org_id));
        self.clone()
    }
}

/// The head of an organisation's chain, locked until the transaction ends.
pub async fn lock(mut conn: &Conn, org_id: &str) -> QueryResult<Head> {
    const LOCK: &str =
        "SELECT chain_seq, chain_hash FROM ledger_heads WHERE org_id = $1 FOR NO KEY UPDATE";
    let find = || prepared(LOCK, |query| query.bind::<Text, _>(org_id));
    if let Some(head) = find().get_result(&mut conn).await.optional()? {
        return Ok(head);
    }
    begin(conn, org_id).await?;
    find().get_result(&mut conn).await
}

/// Begins the chain of an organisation that has none.
pub async fn begin(mut conn: &Conn, org_id: &str) -> QueryResult<()> {
    const BEGIN: &str = "INSERT INTO ledger_heads (org_id, chain_seq, chain_hash) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let first = Head::default();
    prepared(BEGIN, |query| {
        query
            .bind::<Text, _>(org_id)
            .bind::<BigInt, _>(first.seq)
            .bind::<Binary, _>(first.hash)
    })
    .execute(&mut conn)
    .await?;
    Ok(())
}
