//! Which transactions an organisation is shown, and which of them a key that is bound to some agents.
//!
//! The statement of [`list`] and [`concerns`] say the same: an agent belongs to its organisation, so the receiver of a
//! payment across organisations is no agent of the payer's, whatever its name.

use chrono::{DateTime, Utc};
use diesel::{
    QueryResult,
    sql_types::{Array, BigInt, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::db::Conn;

use super::transactions::TransactionRow;

/// What a list is narrowed to.
#[derive(Debug, Default)]
pub struct Filter {
    /// Only this status.
    pub status: Option<String>,
    /// Only this type.
    pub tx_type: Option<String>,
    /// Only transactions this agent pays or receives.
    pub agent_id: Option<String>,
    /// Only transactions that concern one of these agents of the organisation, see [`concerns`].
    pub agents: Option<Vec<String>>,
    /// From this instant.
    pub from: Option<DateTime<Utc>>,
    /// Before this instant.
    pub before: Option<DateTime<Utc>>,
    /// How many rows.
    pub limit: i64,
    /// How many to skip.
    pub offset: i64,
}

/// The transactions the organisation pays or receives, newest first. Each side is read in the order of its own index.
pub async fn list(
    conn: &mut Conn,
    org_id: &str,
    filter: &Filter,
) -> QueryResult<Vec<TransactionRow>> {
    const SIDE: &str = "($2 IS NULL OR status = $2) AND ($3 IS NULL OR tx_type = $3) \
         AND ($4 IS NULL OR requesting_agent_id = $4 OR counterparty_agent_id = $4) \
         AND ($5 IS NULL OR created_at >= $5) AND ($6 IS NULL OR created_at < $6) \
         ORDER BY created_at DESC, seq DESC LIMIT $7";
    const PAID: &str = "($10 IS NULL OR requesting_agent_id = ANY($10) \
         OR (counterparty_org_id IS NULL AND counterparty_agent_id = ANY($10)))";
    const RECEIVED: &str = "($10 IS NULL OR counterparty_agent_id = ANY($10))";
    let sql = format!(
        "SELECT * FROM ((SELECT * FROM transactions WHERE org_id = $1 AND {PAID} AND {SIDE}) UNION ALL \
         (SELECT * FROM transactions WHERE counterparty_org_id = $1 AND {RECEIVED} AND {SIDE})) AS sides \
         ORDER BY created_at DESC, seq DESC LIMIT $8 OFFSET $9"
    );
    diesel::sql_query(sql)
        .bind::<Text, _>(org_id)
        .bind::<Nullable<Text>, _>(&filter.status)
        .bind::<Nullable<Text>, _>(&filter.tx_type)
        .bind::<Nullable<Text>, _>(&filter.agent_id)
        .bind::<Nullable<Timestamptz>, _>(filter.from)
        .bind::<Nullable<Timestamptz>, _>(filter.before)
        .bind::<BigInt, _>(filter.limit.saturating_add(filter.offset))
        .bind::<BigInt, _>(filter.limit)
        .bind::<BigInt, _>(filter.offset)
        .bind::<Nullable<Array<Text>>, _>(&filter.agents)
        .load(conn)
        .await
}

/// Whether one of these agents of the organisation pays or receives.
pub fn concerns(row: &TransactionRow, org_id: &str, agents: &[String]) -> bool {
    let is_named = |agent_id: &String| agents.contains(agent_id);
    let receiver_org_id = row.counterparty_org_id.as_ref().unwrap_or(&row.org_id);
    let pays = row.org_id == org_id && is_named(&row.requesting_agent_id);
    let receives =
        receiver_org_id == org_id && row.counterparty_agent_id.as_ref().is_some_and(is_named);
    pays || receives
}
