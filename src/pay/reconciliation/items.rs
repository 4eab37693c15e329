//! What the lists of a report show, as rows.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Integer, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::{
    db::Conn,
    proto::pulpo::{pay::v1 as pb, r#type::v1::Decimal},
};

use super::{
    super::{
        money::decimal,
        schema::{reconciliation_anomalies, reconciliation_items},
        time::timestamp,
    },
    anomalies::Anomaly,
};

/// Most items that are kept of each section of a report.
pub(super) const ITEMS_MAX: i64 = 10_000;

/// Rows of one statement: it has at most 65,535 parameters.
const BATCH_ROWS: usize = 1000;

/// Which list an item stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// Payments whose record agrees.
    Matched,
    /// Payments without a record, records without a payment.
    Unmatched,
    /// Payments whose record does not agree.
    Discrepancy,
}

impl Section {
    fn as_str(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::Unmatched => "unmatched",
            Self::Discrepancy => "discrepancy",
        }
    }
}

/// A payment, a record, or both; read and to be stored.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName, Queryable, Selectable)]
#[diesel(table_name = reconciliation_items, check_for_backend(diesel::pg::Pg))]
pub(super) struct Item {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Integer)]
    place: i32,
    #[diesel(sql_type = Text)]
    reason: String,
    #[diesel(sql_type = Nullable<Text>)]
    transaction_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    record_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    reference_id: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    amount_minor: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    currency: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    record_amount_minor: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    record_currency: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    occurred_at: DateTime<Utc>,
}

#[derive(Insertable)]
#[diesel(table_name = reconciliation_items)]
struct NewItem<'a> {
    org_id: &'a str,
    report_id: &'a str,
    kind: &'a str,
    place: i32,
    reason: &'a str,
    transaction_id: Option<&'a str>,
    record_id: Option<&'a str>,
    reference_id: Option<&'a str>,
    amount_minor: Option<i64>,
    currency: Option<&'a str>,
    record_amount_minor: Option<i64>,
    record_currency: Option<&'a str>,
    occurred_at: DateTime<Utc>,
}

#[derive(Insertable)]
#[diesel(table_name = reconciliation_anomalies)]
struct NewAnomaly<'a> {
    org_id: &'a str,
    report_id: &'a str,
    place: i32,
    kind: &'a str,
    severity: &'a str,
    subject: &'a str,
    currency: Option<&'a str>,
    count: i64,
    amount_minor: Option<i64>,
    measure: Option<i64>,
    detail: &'a str,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = reconciliation_anomalies, check_for_backend(diesel::pg::Pg))]
struct AnomalyRow {
    kind: String,
    severity: String,
    subject: String,
    currency: Option<String>,
    count: i64,
    amount_minor: Option<i64>,
    measure: Option<i64>,
    detail: String,
}

impl From<Item> for pb::ReconciliationItem {
    fn from(row: Item) -> Self {
        Self {
            reason: row.reason,
            transaction_id: row.transaction_id,
            record_id: row.record_id,
            reference_id: row.reference_id,
            amount: row.amount_minor.map(decimal),
            currency: row.currency,
            record_amount: row.record_amount_minor.map(decimal),
            record_currency: row.record_currency,
            occurred_at: Some(timestamp(row.occurred_at)),
        }
    }
}

impl From<AnomalyRow> for pb::ReconciliationAnomaly {
    fn from(row: AnomalyRow) -> Self {
        Self {
            r#type: row.kind,
            severity: row.severity,
            subject: row.subject,
            currency: row.currency,
            count: row.count,
            amount: row.amount_minor.map(decimal),
            measure: row.measure.map(|measure| Decimal {
                value: format!("{}.{:04}", measure / 10_000, measure % 10_000),
            }),
            detail: row.detail,
        }
    }
}

/// Stores what a report found, in the transaction that ends it.
pub(super) async fn insert(
    conn: &mut Conn,
    (org_id, report_id): (&str, &str),
    items: &[Item],
    anomalies: &[Anomaly],
) -> QueryResult<()> {
    for batch in items.chunks(BATCH_ROWS) {
        let rows: Vec<_> = batch
            .iter()
            .map(|item| NewItem {
                org_id,
                report_id,
                kind: &item.kind,
                place: item.place,
                reason: &item.reason,
                transaction_id: item.transaction_id.as_deref(),
                record_id: item.record_id.as_deref(),
                reference_id: item.reference_id.as_deref(),
                amount_minor: item.amount_minor,
                currency: item.currency.as_deref(),
                record_amount_minor: item.record_amount_minor,
                record_currency: item.record_currency.as_deref(),
                occurred_at: item.occurred_at,
            })
            .collect();
        diesel::insert_into(reconciliation_items::table)
            .values(&rows)
            .execute(conn)
            .await?;
    }
    let rows: Vec<_> = (1..)
        .zip(anomalies)
        .map(|(place, anomaly)| NewAnomaly {
            org_id,
            report_id,
            place,
            kind: anomaly.kind,
            severity: anomaly.severity.as_str(),
            subject: &anomaly.subject,
            currency: anomaly.currency.as_deref(),
            count: anomaly.count,
            amount_minor: anomaly.amount_minor,
            measure: anomaly.measure,
            detail: &anomaly.detail,
        })
        .collect();
    for batch in rows.chunks(BATCH_ROWS) {
        diesel::insert_into(reconciliation_anomalies::table)
            .values(batch)
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// A page of the lists of a report.
pub(super) struct Page<'a> {
    pub(super) org_id: &'a str,
    pub(super) report_id: &'a str,
    pub(super) limit: i64,
    pub(super) offset: i64,
}

impl Page<'_> {
    /// The place before its first and that of its last entry: entries are numbered, so nothing is skipped over. No list is
    /// as long as 32 bits.
    fn places(&self) -> (i32, i32) {
        let place = |n: i64| i32::try_from(n).unwrap_or(i32::MAX);
        (
            place(self.offset),
            place(self.offset.saturating_add(self.limit)),
        )
    }
}

/// A page of one list.
pub(super) async fn page(
    conn: &mut Conn,
    section: Section,
    page: &Page<'_>,
) -> QueryResult<Vec<pb::ReconciliationItem>> {
    let (after, last) = page.places();
    let rows: Vec<Item> = reconciliation_items::table
        .filter(reconciliation_items::org_id.eq(page.org_id))
        .filter(reconciliation_items::report_id.eq(page.report_id))
        .filter(reconciliation_items::kind.eq(section.as_str()))
        .filter(reconciliation_items::place.gt(after))
        .filter(reconciliation_items::place.le(last))
        .order(reconciliation_items::place)
        .select(Item::as_select())
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// A page of the anomalies.
pub(super) async fn anomalies(
    conn: &mut Conn,
    page: &Page<'_>,
) -> QueryResult<Vec<pb::ReconciliationAnomaly>> {
    let (after, last) = page.places();
    let rows: Vec<AnomalyRow> = reconciliation_anomalies::table
        .filter(reconciliation_anomalies::org_id.eq(page.org_id))
        .filter(reconciliation_anomalies::report_id.eq(page.report_id))
        .filter(reconciliation_anomalies::place.gt(after))
        .filter(reconciliation_anomalies::place.le(last))
        .order(reconciliation_anomalies::place)
        .select(AnomalyRow::as_select())
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}
