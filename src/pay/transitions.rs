//! What becomes of stored transactions: the statements by which human review and escrow change them.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use crate::db::{Conn, prepared::prepared};

use super::{
    schema::transactions,
    transactions::{AuthorizationRow, TransactionRow},
    windows::Counted,
};

/// What a human's approval changes of a transaction.
#[derive(Debug)]
pub struct Revision {
    /// What became of it.
    pub status: &'static str,
    /// The policy that decided, as JSON.
    pub policy_version_id: Option<i64>,
    /// When the money moved.
    pub settled_at: Option<DateTime<Utc>>,
    /// What its payer committed, if the payment passed.
    pub counted: Option<Counted>,
}

/// Writes a new decision over the one before; its id stays.
pub async fn revise(
    conn: &mut Conn,
    (org_id, id): (&str, &str),
    revision: &Revision,
    authorization: &AuthorizationRow,
) -> QueryResult<()> {
    const REVISE: &str = "UPDATE transactions SET status = $3, policy_version_id = $4, settled_at = $5, counted_at = $6, \
        spent_total_minor = $7::text::numeric, decision = $8, reason_code = $9, reason_detail = $10, compliance_status = $11, \
        processing_time_ms = $12, decided_at = $13 WHERE org_id = $1 AND id = $2";
    let total = revision
        .counted
        .map(|counted| counted.total_minor.to_string());
    prepared(REVISE, |query| {
        query
            .bind::<Text, _>(org_id)
            .bind::<Text, _>(id)
            .bind::<Text, _>(revision.status)
            .bind::<Nullable<BigInt>, _>(revision.policy_version_id)
            .bind::<Nullable<Timestamptz>, _>(revision.settled_at)
            .bind::<Nullable<Timestamptz>, _>(revision.counted.map(|counted| counted.at))
            .bind::<Nullable<Text>, _>(total)
            .bind::<Text, _>(&authorization.decision)
            .bind::<Text, _>(&authorization.reason_code)
            .bind::<Nullable<Text>, _>(&authorization.reason_detail)
            .bind::<Nullable<Text>, _>(&authorization.compliance_status)
            .bind::<BigInt, _>(authorization.processing_time_ms)
            .bind::<Timestamptz, _>(authorization.created_at)
    })
    .execute(conn)
    .await?;
    Ok(())
}

/// A transaction of the paying organisation with the escrow it asks for, locked until the transaction ends. It must exist.
pub async fn lock(
    conn: &mut Conn,
    org_id: &str,
    id: &str,
) -> QueryResult<(TransactionRow, Option<Value>)> {
    transactions::table
        .find((org_id, id))
        .select((TransactionRow::as_select(), transactions::escrow_terms))
        .for_no_key_update()
        .first(conn)
        .await
}

/// Sets what became of a transaction whose escrow is locked.
pub async fn set_status(
    conn: &mut Conn,
    (org_id, id): (&str, &str),
    status: &str,
    settled_at: Option<DateTime<Utc>>,
) -> QueryResult<()> {
    diesel::update(transactions::table.find((org_id, id)))
        .set((
            transactions::status.eq(status),
            transactions::settled_at.eq(settled_at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// A denial, to be written over the decision on a transaction that waits.
#[derive(Clone, Copy, Debug, AsChangeset)]
#[diesel(table_name = transactions)]
pub struct Denied<'a> {
    /// denied.
    pub status: &'a str,
    /// denied.
    pub decision: &'a str,
    /// Machine-readable reason.
    pub reason_code: &'a str,
    /// Why.
    pub reason_detail: &'a str,
    /// Now.
    pub decided_at: DateTime<Utc>,
}

/// Denies a transaction that waits for a human, if it was requested up to `overdue_since` as `is_over` says; none
/// otherwise.
pub async fn deny_pending(
    conn: &mut Conn,
    (org_id, id): (&str, &str),
    (overdue_since, is_over): (DateTime<Utc>, bool),
    denied: Denied<'_>,
) -> QueryResult<Option<(TransactionRow, AuthorizationRow)>> {
    diesel::update(transactions::table.find((org_id, id)))
        .filter(transactions::status.eq("pending_human_review"))
        .filter(transactions::created_at.le(overdue_since).eq(is_over))
        .set(denied)
        .returning((
            TransactionRow::as_returning(),
            AuthorizationRow::as_returning(),
        ))
        .get_result(conn)
        .await
        .optional()
}
