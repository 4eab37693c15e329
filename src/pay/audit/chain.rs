//! The check of the chain: every journal is hashed again, in the order of the chains.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    QueryResult, QueryableByName,
    sql_types::{BigInt, Nullable, SmallInt, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use futures_util::TryStreamExt;

use crate::db::Conn;

use super::{
    super::ledger::chain::{Head, Journal, Line},
    Checked, FAULTS_MAX, Fault,
};

/// An entry with its journal; a journal without entries has one row.
#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    org_id: String,
    #[diesel(embed)]
    link: Head,
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Nullable<Text>)]
    transaction_id: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    line: Option<i16>,
    #[diesel(sql_type = Nullable<Text>)]
    account: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    account_org_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    wallet_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    currency: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    amount_minor: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    balance_after_minor: Option<i64>,
}

impl Row {
    fn journal(&self) -> Journal<'_> {
        Journal {
            org_id: &self.org_id,
            id: &self.id,
            kind: &self.kind,
            transaction_id: self.transaction_id.as_deref(),
            created_at: self.created_at,
        }
    }

    fn entry(&self) -> Option<Line<'_>> {
        Some(Line {
            line: self.line?,
            account: self.account.as_deref()?,
            account_org_id: self.account_org_id.as_deref()?,
            wallet_id: self.wallet_id.as_deref(),
            currency: self.currency.as_deref()?,
            amount_minor: self.amount_minor?,
            balance_after_minor: self.balance_after_minor,
        })
    }
}

#[derive(QueryableByName)]
struct Stored {
    #[diesel(sql_type = Text)]
    org_id: String,
    #[diesel(embed)]
    head: Head,
}

/// The chains as far as they were read.
#[derive(Default)]
struct Chains {
    ends: HashMap<String, Head>,
    total: i64,
    faults: Vec<Fault>,
}

impl Chains {
    fn fault(&mut self, org_id: &str, subject: &str, detail: String) {
        self.total += 1;
        if i64::try_from(self.faults.len()).is_ok_and(|named| named < FAULTS_MAX) {
            self.faults.push(Fault {
                org_id: Some(org_id.to_owned()),
                subject: subject.to_owned(),
                detail,
            });
        }
    }

    /// The next journal with its entries. A break is named once: the chain goes on from what is stored.
    fn link(&mut self, rows: &[Row]) {
        let Some(first) = rows.first() else { return };
        let before = self.ends.get(&first.org_id).cloned().unwrap_or_default();
        let expected = before.next(first.journal(), rows.iter().filter_map(Row::entry));
        if first.link.seq != expected.seq {
            let detail = format!(
                "place {} of the chain follows {}",
                first.link.seq, before.seq
            );
            self.fault(&first.org_id, &first.id, detail);
        } else if first.link.hash != expected.hash {
            let detail = format!(
                "its hash at place {} is not that of its content and the hash before",
                expected.seq
            );
            self.fault(&first.org_id, &first.id, detail);
        }
        self.ends.insert(first.org_id.clone(), first.link.clone());
    }

    fn head(&mut self, stored: Stored) {
        let end = self.ends.remove(&stored.org_id).unwrap_or_default();
        if end != stored.head {
            let detail = format!(
                "the chain ends at place {}, its head says {}",
                end.seq, stored.head.seq
            );
            self.fault(&stored.org_id, "head", detail);
        }
    }
}

/// Hashes the journals of an organisation, or of all, again. One journal is held at a time.
pub(super) async fn check(conn: &mut Conn, org_id: Option<&str>) -> QueryResult<Checked> {
    const JOURNALS: &str = "SELECT j.org_id, j.chain_seq, j.chain_hash, j.id, j.kind, j.transaction_id, j.created_at, e.line, e.account, \
        e.account_org_id, e.wallet_id, e.currency, e.amount_minor, e.balance_after_minor \
        FROM ledger_journals j LEFT JOIN ledger_entries e ON e.org_id = j.org_id AND e.journal_id = j.id \
        WHERE $1 IS NULL OR j.org_id = $1 ORDER BY j.org_id, j.chain_seq, e.line";
    const HEADS: &str =
        "SELECT org_id, chain_seq, chain_hash FROM ledger_heads WHERE $1 IS NULL OR org_id = $1";
    let mut chains = Chains::default();
    {
        let mut rows = diesel::sql_query(JOURNALS)
            .bind::<Nullable<Text>, _>(org_id)
            .load_stream::<Row>(conn)
            .await?;
        let mut journal: Vec<Row> = Vec::new();
        while let Some(row) = rows.try_next().await? {
            let is_same = |first: &Row| first.org_id == row.org_id && first.id == row.id;
            if !journal.as_slice().first().is_none_or(is_same) {
                chains.link(&journal);
                journal.clear();
            }
            journal.push(row);
        }
        chains.link(&journal);
    }
    let heads: Vec<Stored> = diesel::sql_query(HEADS)
        .bind::<Nullable<Text>, _>(org_id)
        .load(conn)
        .await?;
    for stored in heads {
        chains.head(stored);
    }
    for (org_id, end) in std::mem::take(&mut chains.ends) {
        chains.fault(
            &org_id,
            "head",
            format!("the chain of {} journals has no head", end.seq),
        );
    }
    Ok(Checked {
        name: "chain",
        promise: "every journal's hash covers it and the hash before, without gaps, up to the head",
        total: chains.total,
        faults: chains.faults,
    })
}
