//! The check of the chain: every journal is hashed again, in the order of the chains.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    QueryResult, QueryableByName,
    sql_types::{BigInt, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use futures_util::TryStreamExt;

use crate::db::Conn;

use super::{
    super::ledger::chain::{Head, Journal, Line},
    Checked, FAULTS_MAX, Fault,
};

/// A journal.
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
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = BigInt)]
    amount_minor: i64,
    #[diesel(sql_type = Text)]
    from_account: String,
    #[diesel(sql_type = Nullable<Text>)]
    from_wallet_id: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    from_balance_minor: Option<i64>,
    #[diesel(sql_type = Text)]
    to_account: String,
    #[diesel(sql_type = Nullable<Text>)]
    to_org_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    to_wallet_id: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    to_balance_minor: Option<i64>,
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

    fn lines(&self) -> [Line<'_>; 2] {
        [
            Line {
                line: 1,
                account: &self.from_account,
                account_org_id: &self.org_id,
                wallet_id: self.from_wallet_id.as_deref(),
                currency: &self.currency,
                // What was tampered with may be any number.
                amount_minor: self.amount_minor.wrapping_neg(),
                balance_after_minor: self.from_balance_minor,
            },
            Line {
                line: 2,
                account: &self.to_account,
                account_org_id: self.to_org_id.as_deref().unwrap_or(&self.org_id),
                wallet_id: self.to_wallet_id.as_deref(),
                currency: &self.currency,
                amount_minor: self.amount_minor,
                balance_after_minor: self.to_balance_minor,
            },
        ]
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

    /// The next journal. A break is named once: the chain goes on from what is stored.
    fn link(&mut self, row: Row) {
        let before = self.ends.get(&row.org_id).cloned().unwrap_or_default();
        let expected = before.next(row.journal(), row.lines());
        if row.link.seq != expected.seq {
            let detail = format!("place {} of the chain follows {}", row.link.seq, before.seq);
            self.fault(&row.org_id, &row.id, detail);
        } else if row.link.hash != expected.hash {
            let detail = format!(
                "its hash at place {} is not that of its content and the hash before",
                expected.seq
            );
            self.fault(&row.org_id, &row.id, detail);
        }
        self.ends.insert(row.org_id, row.link);
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
    const JOURNALS: &str = "SELECT org_id, chain_seq, chain_hash, id, kind, transaction_id, created_at, currency, amount_minor, \
        from_account, from_wallet_id, from_balance_minor, to_account, to_org_id, to_wallet_id, to_balance_minor \
        FROM ledger_journals WHERE $1 IS NULL OR org_id = $1 ORDER BY org_id, chain_seq";
    const HEADS: &str =
        "SELECT org_id, chain_seq, chain_hash FROM ledger_heads WHERE $1 IS NULL OR org_id = $1";
    let mut chains = Chains::default();
    {
        let mut rows = diesel::sql_query(JOURNALS)
            .bind::<Nullable<Text>, _>(org_id)
            .load_stream::<Row>(conn)
            .await?;
        while let Some(row) = rows.try_next().await? {
            chains.link(row);
        }
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
