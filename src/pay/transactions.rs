//! Transactions as rows: what was requested, what was decided, what happened.

use std::io::Write;

use chrono::{DateTime, Utc};
use diesel::{
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    pg::{Pg, PgValue},
    prelude::*,
    serialize::{self, IsNull, Output, ToSql},
    sql_types::{BigInt, Json, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use crate::{db::Conn, proto::pulpo::pay::v1 as pb, proto::pulpo::r#type::v1::Json as JsonMessage};

use super::{
    money::decimal,
    schema::{authorizations, payment_events, transactions},
    time::{optional_timestamp, timestamp},
};

/// JSON text that is never reparsed on the way, so that big integers and decimals survive.
#[derive(Clone, Debug, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = Json)]
pub struct JsonText(pub String);

impl FromSql<Json, Pg> for JsonText {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(std::str::from_utf8(value.as_bytes())?.to_owned()))
    }
}

impl ToSql<Json, Pg> for JsonText {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(self.0.as_bytes())?;
        Ok(IsNull::No)
    }
}

/// A transaction to store.
#[derive(Debug, Insertable)]
#[diesel(table_name = transactions)]
pub struct NewTransaction<'a> {
    /// The paying organisation.
    pub org_id: &'a str,
    /// txn_…
    pub id: &'a str,
    /// The paying agent.
    pub requesting_agent_id: &'a str,
    /// The receiving agent.
    pub counterparty_agent_id: Option<&'a str>,
    /// The receiving organisation, when it is another one.
    pub counterparty_org_id: Option<&'a str>,
    /// The amount.
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: &'a str,
    /// As requested.
    pub tx_type: &'a str,
    /// As requested.
    pub category: Option<&'a str>,
    /// As requested.
    pub description: Option<&'a str>,
    /// As requested.
    pub reference_id: Option<&'a str>,
    /// As requested.
    pub metadata: &'a JsonText,
    /// What became of it.
    pub status: &'static str,
    /// The policy that decided.
    pub policy_snapshot: Option<Value>,
    /// The escrow that was asked for.
    pub escrow_terms: Option<Value>,
    /// When the money moved.
    pub settled_at: Option<DateTime<Utc>>,
    /// When it was requested.
    pub created_at: DateTime<Utc>,
}

/// A decision, stored or to store.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = authorizations, check_for_backend(Pg))]
pub struct AuthorizationRow {
    /// The paying organisation.
    pub org_id: String,
    /// auth_…
    pub id: String,
    /// The transaction decided.
    pub transaction_id: String,
    /// approved or denied.
    pub decision: String,
    /// Machine-readable reason.
    pub reason_code: String,
    /// Why it was denied.
    pub reason_detail: Option<String>,
    /// clear, when the check was reached.
    pub compliance_status: Option<String>,
    /// Measured time of the decision.
    pub processing_time_ms: i64,
    /// When it was decided.
    pub created_at: DateTime<Utc>,
}

/// An event, stored or to store.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = payment_events, check_for_backend(Pg))]
pub struct PaymentEventRow {
    /// The paying organisation.
    pub org_id: String,
    /// evt_…
    pub id: String,
    /// The transaction.
    pub transaction_id: String,
    /// authorized, settled, denied, …
    pub event_type: String,
    /// What is known of it.
    pub event_data: Value,
    /// When it happened.
    pub created_at: DateTime<Utc>,
}

/// A transaction as lists and its own page show it.
#[derive(Clone, Debug, Queryable, Selectable, QueryableByName)]
#[diesel(table_name = transactions, check_for_backend(Pg))]
pub struct TransactionRow {
    /// The paying organisation.
    pub org_id: String,
    /// txn_…
    pub id: String,
    /// The paying agent.
    pub requesting_agent_id: String,
    /// The receiving agent.
    pub counterparty_agent_id: Option<String>,
    /// The receiving organisation, when it is another one.
    pub counterparty_org_id: Option<String>,
    /// The amount.
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// As requested.
    pub tx_type: String,
    /// As requested.
    pub category: Option<String>,
    /// As requested.
    pub description: Option<String>,
    /// As requested.
    pub reference_id: Option<String>,
    /// As requested.
    pub metadata: JsonText,
    /// What became of it.
    pub status: String,
    /// When the money moved.
    pub settled_at: Option<DateTime<Utc>>,
    /// When it was requested.
    pub created_at: DateTime<Utc>,
}

/// What an agent committed in the rolling windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, QueryableByName)]
pub struct WindowSums {
    /// After the start of the day's window.
    #[diesel(sql_type = BigInt)]
    pub daily_minor: i64,
    /// After the start of the month's window.
    #[diesel(sql_type = BigInt)]
    pub monthly_minor: i64,
}

impl From<TransactionRow> for pb::TransactionSummary {
    fn from(row: TransactionRow) -> Self {
        Self {
            id: row.id,
            requesting_agent_id: row.requesting_agent_id,
            requesting_org_id: row.org_id,
            counterparty_agent_id: row.counterparty_agent_id,
            counterparty_org_id: row.counterparty_org_id,
            amount: Some(decimal(row.amount_minor)),
            currency: row.currency,
            tx_type: row.tx_type,
            category: row.category,
            description: row.description,
            reference_id: row.reference_id,
            status: row.status,
            settled_at: optional_timestamp(row.settled_at),
            created_at: Some(timestamp(row.created_at)),
        }
    }
}

impl From<TransactionRow> for pb::TransactionDetail {
    fn from(row: TransactionRow) -> Self {
        Self {
            id: row.id,
            requesting_agent_id: row.requesting_agent_id,
            requesting_org_id: row.org_id,
            counterparty_agent_id: row.counterparty_agent_id,
            amount: Some(decimal(row.amount_minor)),
            currency: row.currency,
            tx_type: row.tx_type,
            status: row.status,
            metadata: Some(JsonMessage {
                text: row.metadata.0,
            }),
            created_at: Some(timestamp(row.created_at)),
        }
    }
}

impl From<AuthorizationRow> for pb::Decision {
    fn from(row: AuthorizationRow) -> Self {
        Self {
            decision: row.decision,
            reason_code: row.reason_code,
            reason_detail: row.reason_detail,
            compliance_status: row.compliance_status,
            processing_time_ms: row.processing_time_ms,
        }
    }
}

impl From<AuthorizationRow> for pb::AuthorizationRecord {
    fn from(row: AuthorizationRow) -> Self {
        Self {
            id: row.id,
            decision: row.decision,
            reason_code: row.reason_code,
            reason_detail: row.reason_detail,
            processing_time_ms: row.processing_time_ms,
            created_at: Some(timestamp(row.created_at)),
        }
    }
}

impl From<PaymentEventRow> for pb::PaymentEventSummary {
    fn from(row: PaymentEventRow) -> Self {
        Self {
            id: row.id,
            event_type: row.event_type,
            created_at: Some(timestamp(row.created_at)),
        }
    }
}

impl From<PaymentEventRow> for pb::PaymentEvent {
    fn from(row: PaymentEventRow) -> Self {
        Self {
            id: row.id,
            event_type: row.event_type,
            event_data: Some(JsonMessage {
                text: row.event_data.to_string(),
            }),
            created_at: Some(timestamp(row.created_at)),
        }
    }
}

/// Stores a transaction with its decision.
pub async fn insert(
    conn: &mut Conn,
    transaction: &NewTransaction<'_>,
    authorization: &AuthorizationRow,
) -> QueryResult<()> {
    diesel::insert_into(transactions::table)
        .values(transaction)
        .execute(conn)
        .await?;
    diesel::insert_into(authorizations::table)
        .values(authorization)
        .execute(conn)
        .await?;
    Ok(())
}

/// Appends to the history of a transaction.
pub async fn insert_events(conn: &mut Conn, events: &[PaymentEventRow]) -> QueryResult<()> {
    diesel::insert_into(payment_events::table)
        .values(events)
        .execute(conn)
        .await?;
    Ok(())
}

/// The transaction, if the organisation pays or receives it.
pub async fn find(conn: &mut Conn, org_id: &str, id: &str) -> QueryResult<Option<TransactionRow>> {
    transactions::table
        .filter(transactions::id.eq(id))
        .filter(
            transactions::org_id
                .eq(org_id)
                .or(transactions::counterparty_org_id
                    .eq(org_id)
                    .assume_not_null()),
        )
        .select(TransactionRow::as_select())
        .first(conn)
        .await
        .optional()
}

/// The decision on a transaction of the paying organisation.
pub async fn authorization(
    conn: &mut Conn,
    org_id: &str,
    transaction_id: &str,
) -> QueryResult<Option<AuthorizationRow>> {
    authorizations::table
        .filter(
            authorizations::org_id
                .eq(org_id)
                .and(authorizations::transaction_id.eq(transaction_id)),
        )
        .select(AuthorizationRow::as_select())
        .first(conn)
        .await
        .optional()
}

/// The history of a transaction of the paying organisation, oldest first.
pub async fn history(
    conn: &mut Conn,
    org_id: &str,
    transaction_id: &str,
) -> QueryResult<Vec<PaymentEventRow>> {
    payment_events::table
        .filter(
            payment_events::org_id
                .eq(org_id)
                .and(payment_events::transaction_id.eq(transaction_id)),
        )
        .order(payment_events::seq)
        .select(PaymentEventRow::as_select())
        .load(conn)
        .await
}

/// What an agent committed in a currency after each of the two instants. A sum beyond 64 bits is cut to the largest.
pub async fn window_sums(
    conn: &mut Conn,
    org_id: &str,
    agent_id: &str,
    currency: &str,
    (day_start, month_start): (DateTime<Utc>, DateTime<Utc>),
) -> QueryResult<WindowSums> {
    // The statuses are those of the partial index.
    diesel::sql_query(
        "SELECT least(coalesce(sum(amount_minor) FILTER (WHERE counted_at > $4), 0), 9223372036854775807)::bigint AS daily_minor, \
         least(coalesce(sum(amount_minor), 0), 9223372036854775807)::bigint AS monthly_minor FROM transactions \
         WHERE org_id = $1 AND requesting_agent_id = $2 AND currency = $3 AND counted_at > $5 \
         AND status IN ('settled', 'authorized', 'executing', 'escrow_held', 'disputed')",
    )
    .bind::<Text, _>(org_id)
    .bind::<Text, _>(agent_id)
    .bind::<Text, _>(currency)
    .bind::<Timestamptz, _>(day_start)
    .bind::<Timestamptz, _>(month_start)
    .get_result(conn)
    .await
}
