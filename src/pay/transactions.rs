//! Transactions as rows: what was requested, what was decided, what happened.

use std::io::Write as _;

use chrono::{DateTime, Utc};
use diesel::{
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    pg::{Pg, PgValue},
    prelude::*,
    serialize::{self, IsNull, Output, ToSql},
    sql_types::{Array, BigInt, Json, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::{
    db::{
        Conn,
        prepared::{column, prepared},
        rows::Rows,
        write::Write,
    },
    proto::pulpo::{pay::v1 as pb, r#type::v1::Json as JsonMessage},
};

use super::{
    money::decimal,
    schema::transactions,
    time::{optional_timestamp, timestamp},
    windows::Counted,
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
#[derive(Debug)]
pub struct NewTransaction<'a> {
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
    pub metadata: &'a str,
    /// What became of it.
    pub status: &'static str,
    /// The version of the policy that decided.
    pub policy_version_id: Option<i64>,
    /// The escrow that was asked for, as JSON.
    pub escrow_terms: Option<String>,
    /// When the money moved.
    pub settled_at: Option<DateTime<Utc>>,
    /// For an approved one, what its payer committed.
    pub counted: Option<Counted>,
    /// The decision.
    pub authorization: &'a AuthorizationRow,
}

/// A decision, stored or to store: a part of its transaction.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = transactions, check_for_backend(Pg))]
pub struct AuthorizationRow {
    /// auth_…
    #[diesel(column_name = authorization_id)]
    pub id: String,
    /// approved, denied or pending_human_review.
    pub decision: String,
    /// Machine-readable reason.
    pub reason_code: String,
    /// Why it was not approved.
    pub reason_detail: Option<String>,
    /// Verdict of the compliance check, when it was reached.
    pub compliance_status: Option<String>,
    /// Measured time of the decision.
    pub processing_time_ms: i64,
    /// When it was decided.
    #[diesel(column_name = decided_at)]
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

/// New transactions of an organisation, in their order.
pub fn insert_all<'a>(
    org_id: &'a str,
    rows: &[NewTransaction<'a>],
    now: DateTime<Utc>,
) -> Write<'a> {
    // The totals travel as text: they have more digits than an integer.
    const INSERT: &str = "INSERT INTO transactions (org_id, created_at, id, requesting_agent_id, counterparty_agent_id, \
        counterparty_org_id, amount_minor, currency, tx_type, category, description, reference_id, metadata, status, policy_version_id, \
        escrow_terms, settled_at, counted_at, spent_total_minor, authorization_id, decision, reason_code, reason_detail, \
        compliance_status, processing_time_ms, decided_at) \
        SELECT $1, $2, r.id, r.payer, r.payee, r.payee_org_id, r.amount_minor, r.currency, r.tx_type, r.category, r.description, \
        r.reference_id, r.metadata::json, r.status, r.policy, r.terms::jsonb, r.settled_at, r.counted_at, r.total::numeric, \
        r.authorization_id, r.decision, r.reason_code, r.reason_detail, r.compliance_status, r.processing_time_ms, r.decided_at \
        FROM {rows}";
    let total = |counted: Counted| counted.total_minor.to_string();
    Rows::of(rows)
        .value::<Text, _>(org_id)
        .value::<Timestamptz, _>(now)
        .column::<Text, _>("id", |row| row.id)
        .column::<Text, _>("payer", |row| row.requesting_agent_id)
        .column::<Nullable<Text>, _>("payee", |row| row.counterparty_agent_id)
        .column::<Nullable<Text>, _>("payee_org_id", |row| row.counterparty_org_id)
        .column::<BigInt, _>("amount_minor", |row| row.amount_minor)
        .column::<Text, _>("currency", |row| row.currency)
        .column::<Text, _>("tx_type", |row| row.tx_type)
        .column::<Nullable<Text>, _>("category", |row| row.category)
        .column::<Nullable<Text>, _>("description", |row| row.description)
        .column::<Nullable<Text>, _>("reference_id", |row| row.reference_id)
        .column::<Text, _>("metadata", |row| row.metadata)
        .column::<Text, _>("status", |row| row.status)
        .column::<Nullable<BigInt>, _>("policy", |row| row.policy_version_id)
        .column::<Nullable<Text>, _>("terms", |row| row.escrow_terms.clone())
        .column::<Nullable<Timestamptz>, _>("settled_at", |row| row.settled_at)
        .column::<Nullable<Timestamptz>, _>("counted_at", |row| {
            row.counted.map(|counted| counted.at)
        })
        .column::<Nullable<Text>, _>("total", |row| row.counted.map(total))
        .column::<Text, _>("authorization_id", |row| row.authorization.id.as_str())
        .column::<Text, _>("decision", |row| row.authorization.decision.as_str())
        .column::<Text, _>("reason_code", |row| row.authorization.reason_code.as_str())
        .column::<Nullable<Text>, _>("reason_detail", |row| {
            row.authorization.reason_detail.as_deref()
        })
        .column::<Nullable<Text>, _>("compliance_status", |row| {
            row.authorization.compliance_status.as_deref()
        })
        .column::<BigInt, _>("processing_time_ms", |row| {
            row.authorization.processing_time_ms
        })
        .column::<Timestamptz, _>("decided_at", |row| row.authorization.created_at)
        .write(INSERT)
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

/// Those of the transactions that exist, by paying organisation and id.
pub async fn find_all(conn: &mut Conn, keys: &[(&str, &str)]) -> QueryResult<Vec<TransactionRow>> {
    const FIND: &str = "SELECT t.* FROM unnest($1::text[], $2::text[]) AS k (org_id, id) \
        JOIN transactions t ON t.org_id = k.org_id AND t.id = k.id";
    prepared(FIND, |query| {
        query
            .bind::<Array<Text>, _>(column(keys, |key| key.0))
            .bind::<Array<Text>, _>(column(keys, |key| key.1))
    })
    .load(conn)
    .await
}

/// The decision on a transaction of the paying organisation.
pub async fn authorization(
    conn: &mut Conn,
    org_id: &str,
    id: &str,
) -> QueryResult<AuthorizationRow> {
    transactions::table
        .find((org_id, id))
        .select(AuthorizationRow::as_select())
        .first(conn)
        .await
}
