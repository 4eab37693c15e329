//! Records as rows.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::{
    db::Conn,
    error::{Error, Result},
    proto::pulpo::{pay::v1 as pb, r#type::v1::Json},
};

use super::super::{schema::data_records, time::timestamp, transactions::JsonText};

/// Most groups of a summary.
const GROUPS_MAX: i64 = 1000;

/// Valid records of one source and type.
#[derive(Debug)]
pub struct Batch {
    /// The system they come from.
    pub source: String,
    /// What they are.
    pub data_type: String,
    /// The records.
    pub records: Vec<NewRecord>,
}

/// A record on its way into the table.
#[derive(Debug)]
pub struct NewRecord {
    /// dat_…, used when the record is new.
    pub id: String,
    /// The id in the source system.
    pub external_id: String,
    /// What kind of its type it is.
    pub category: Option<String>,
    /// The text of a JSON object.
    pub data: String,
    /// What it is worth, when it says so.
    pub amount: Option<Amount>,
}

/// What a record is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount {
    /// In minor units.
    pub minor: i64,
    /// ISO 4217 code.
    pub currency: String,
}

/// What a list is narrowed to.
#[derive(Debug, Default)]
pub struct Filter {
    /// Only this type.
    pub data_type: Option<String>,
    /// Only this category.
    pub category: Option<String>,
    /// Only this source.
    pub source: Option<String>,
    /// Only records with an amount in this currency.
    pub currency: Option<String>,
    /// From this instant.
    pub from: Option<DateTime<Utc>>,
    /// Before this instant.
    pub before: Option<DateTime<Utc>>,
    /// How many rows.
    pub limit: i64,
    /// How many to skip.
    pub offset: i64,
}

/// A stored record.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = data_records, check_for_backend(diesel::pg::Pg))]
pub struct RecordRow {
    /// dat_…
    pub id: String,
    /// The system it comes from.
    pub source: String,
    /// What it is.
    pub data_type: String,
    /// The id in the source system.
    pub external_id: String,
    /// What kind of its type it is.
    pub category: Option<String>,
    /// As pushed last.
    pub data: JsonText,
    /// When it was first pushed.
    pub created_at: DateTime<Utc>,
    /// When it was last pushed.
    pub updated_at: DateTime<Utc>,
}

/// The records of one type and category.
#[derive(Clone, Debug, QueryableByName)]
pub struct Group {
    /// What they are.
    #[diesel(sql_type = Text)]
    pub data_type: String,
    /// What kind of it.
    #[diesel(sql_type = Nullable<Text>)]
    pub category: Option<String>,
    /// How many.
    #[diesel(sql_type = BigInt)]
    pub count: i64,
    /// When the last of them was pushed.
    #[diesel(sql_type = Timestamptz)]
    pub latest_at: DateTime<Utc>,
    /// The records of all groups together.
    #[diesel(sql_type = BigInt)]
    pub total: i64,
}

impl From<RecordRow> for pb::DataRecord {
    fn from(row: RecordRow) -> Self {
        Self {
            id: row.id,
            source: row.source,
            data_type: row.data_type,
            external_id: row.external_id,
            category: row.category,
            data: Some(Json { text: row.data.0 }),
            created_at: Some(timestamp(row.created_at)),
            updated_at: Some(timestamp(row.updated_at)),
        }
    }
}

#[derive(QueryableByName)]
struct Stored {
    #[diesel(sql_type = Text)]
    external_id: String,
    #[diesel(sql_type = Text)]
    id: String,
}

/// Stores the records in one statement; answers their ids in order. A known external id keeps its id and is replaced;
/// of several with one external id the last one counts. Rows go in by external id, so that batches never wait for one
/// another in turns.
pub async fn upsert(
    conn: &mut Conn,
    org_id: &str,
    batch: &Batch,
    now: DateTime<Utc>,
) -> Result<Vec<String>> {
    const STATEMENT: &str = "INSERT INTO data_records (org_id, id, source, data_type, external_id, category, data, \
         amount_minor, currency, created_at, updated_at) \
         SELECT $1, id, $2, $3, external_id, category, data::json, amount_minor, currency, $4, $4 FROM ( \
         SELECT DISTINCT ON (external_id) * FROM unnest($5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::text[]) \
         WITH ORDINALITY AS new (id, external_id, category, data, amount_minor, currency, place) \
         ORDER BY external_id, place DESC) AS latest ORDER BY external_id \
         ON CONFLICT (org_id, source, data_type, external_id) DO UPDATE SET category = excluded.category, \
         data = excluded.data, amount_minor = excluded.amount_minor, currency = excluded.currency, \
         updated_at = greatest(data_records.updated_at, excluded.updated_at) \
         RETURNING external_id, id";
    let records = &batch.records;
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let column = |value: fn(&NewRecord) -> &str| records.iter().map(value).collect::<Vec<&str>>();
    let categories: Vec<_> = records.iter().map(|r| r.category.as_deref()).collect();
    let amounts = || records.iter().map(|record| record.amount.as_ref());
    let minor: Vec<_> = amounts().map(|amount| amount.map(|a| a.minor)).collect();
    let currencies: Vec<_> = amounts()
        .map(|amount| amount.map(|a| a.currency.as_str()))
        .collect();
    let stored: Vec<Stored> = diesel::sql_query(STATEMENT)
        .bind::<Text, _>(org_id)
        .bind::<Text, _>(&batch.source)
        .bind::<Text, _>(&batch.data_type)
        .bind::<Timestamptz, _>(now)
        .bind::<Array<Text>, _>(column(|r| &r.id))
        .bind::<Array<Text>, _>(column(|r| &r.external_id))
        .bind::<Array<Nullable<Text>>, _>(categories)
        .bind::<Array<Text>, _>(column(|r| &r.data))
        .bind::<Array<Nullable<BigInt>>, _>(minor)
        .bind::<Array<Nullable<Text>>, _>(currencies)
        .load(conn)
        .await?;
    let ids: HashMap<String, String> = stored.into_iter().map(|s| (s.external_id, s.id)).collect();
    let in_order: Option<Vec<String>> = records
        .iter()
        .map(|record| ids.get(&record.external_id).cloned())
        .collect();
    in_order.ok_or_else(|| Error::internal(anyhow::anyhow!("a record was not stored")))
}

/// A page of the organisation's records, newest first.
pub async fn list(conn: &mut Conn, org_id: &str, filter: &Filter) -> QueryResult<Vec<RecordRow>> {
    let mut query = data_records::table
        .filter(data_records::org_id.eq(org_id))
        .order((data_records::created_at.desc(), data_records::seq.desc()))
        .limit(filter.limit)
        .offset(filter.offset)
        .select(RecordRow::as_select())
        .into_boxed();
    if let Some(data_type) = &filter.data_type {
        query = query.filter(data_records::data_type.eq(data_type));
    }
    if let Some(category) = &filter.category {
        query = query.filter(data_records::category.eq(category));
    }
    if let Some(source) = &filter.source {
        query = query.filter(data_records::source.eq(source));
    }
    if let Some(currency) = &filter.currency {
        let has_amount = data_records::amount_minor.is_not_null();
        query = query.filter(has_amount.and(data_records::currency.eq(currency).assume_not_null()));
    }
    if let Some(from) = filter.from {
        query = query.filter(data_records::created_at.ge(from));
    }
    if let Some(before) = filter.before {
        query = query.filter(data_records::created_at.lt(before));
    }
    query.load(conn).await
}

/// The organisation's records by type and category.
pub async fn summary(conn: &mut Conn, org_id: &str) -> QueryResult<Vec<Group>> {
    diesel::sql_query(
        "SELECT data_type, category, count(*) AS count, max(updated_at) AS latest_at, \
         (sum(count(*)) OVER ())::bigint AS total FROM data_records WHERE org_id = $1 \
         GROUP BY data_type, category ORDER BY data_type, category NULLS FIRST LIMIT $2",
    )
    .bind::<Text, _>(org_id)
    .bind::<BigInt, _>(GROUPS_MAX)
    .load(conn)
    .await
}
