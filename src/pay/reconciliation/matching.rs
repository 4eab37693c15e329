//! Payments held against records.
//!
//! A payment and the record whose external id is its reference belong together, whenever the record was pushed. Of several
//! such records the one that fits best counts. Only sums and [`super::items::ITEMS_MAX`] items of a section leave the
//! database.

use diesel::{
    QueryResult, QueryableByName,
    sql_types::{BigInt, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::db::Conn;

use super::{
    input::Period,
    items::{ITEMS_MAX, Item},
    reports::Volume,
};

/// The payments a report is about: of `$1`, from `$2` on and before `$3`, with money that was moved or put aside.
pub(super) const PAID: &str = "SELECT * FROM transactions WHERE org_id = $1 AND created_at >= $2 AND created_at < $3 \
     AND status IN ('settled', 'escrow_held', 'disputed')";

/// Payments with the record that fits best, and records with an amount that nothing was paid for. `fit` is 0 for an amount
/// within 10 %, 1 beyond that, 2 for another currency, 3 for a record without an amount. A record is paid by what the
/// organisation pays as well as by what it receives.
const PAIRS: &str = "SELECT CASE WHEN r.id IS NULL THEN 'unmatched' WHEN r.fit IN (0, 3) THEN 'matched' \
     ELSE 'discrepancy' END AS kind, CASE r.fit WHEN 0 THEN 'agrees' WHEN 1 THEN 'amount_differs' \
     WHEN 2 THEN 'currency_differs' WHEN 3 THEN 'no_amount' ELSE 'payment_without_record' END AS reason, \
     p.id AS transaction_id, r.id AS record_id, p.reference_id, p.amount_minor, p.currency, \
     r.amount_minor AS record_amount_minor, r.currency AS record_currency, p.created_at AS occurred_at, p.seq \
     FROM paid p LEFT JOIN LATERAL (SELECT d.id, d.amount_minor, d.currency, CASE WHEN d.amount_minor IS NULL THEN 3 \
     WHEN d.currency <> p.currency THEN 2 \
     WHEN abs(p.amount_minor - d.amount_minor) * 10 > abs(d.amount_minor) THEN 1 ELSE 0 END AS fit \
     FROM data_records d WHERE d.org_id = $1 AND d.external_id = p.reference_id \
     ORDER BY fit, abs(p.amount_minor - d.amount_minor), d.seq LIMIT 1) r ON true \
     UNION ALL SELECT 'unmatched', 'record_without_payment', NULL, d.id, d.external_id, NULL, NULL, d.amount_minor, \
     d.currency, d.created_at, d.seq FROM data_records d \
     WHERE d.org_id = $1 AND d.created_at >= $2 AND d.created_at < $3 AND d.amount_minor IS NOT NULL \
     AND NOT EXISTS (SELECT 1 FROM transactions t WHERE t.org_id = $1 AND t.reference_id = d.external_id \
     AND t.status IN ('settled', 'escrow_held', 'disputed')) \
     AND NOT EXISTS (SELECT 1 FROM transactions t WHERE t.counterparty_org_id = $1 AND t.reference_id = d.external_id \
     AND t.status IN ('settled', 'escrow_held', 'disputed'))";

/// How many payments and records there are of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, QueryableByName)]
pub(super) struct Counts {
    #[diesel(sql_type = BigInt)]
    pub(super) payments: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) matched: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) unmatched_payments: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) unmatched_records: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) discrepancies: i64,
}

/// Counts the period's payments and records by what became of them.
pub(super) async fn counts(conn: &mut Conn, org_id: &str, period: Period) -> QueryResult<Counts> {
    let sql = format!(
        "WITH paid AS ({PAID}), pairs AS ({PAIRS}) SELECT count(transaction_id) AS payments, \
         count(*) FILTER (WHERE kind = 'matched') AS matched, \
         count(*) FILTER (WHERE reason = 'payment_without_record') AS unmatched_payments, \
         count(*) FILTER (WHERE reason = 'record_without_payment') AS unmatched_records, \
         count(*) FILTER (WHERE kind = 'discrepancy') AS discrepancies FROM pairs"
    );
    diesel::sql_query(sql)
        .bind::<Text, _>(org_id)
        .bind::<Timestamptz, _>(period.start)
        .bind::<Timestamptz, _>(period.before())
        .get_result(conn)
        .await
}

/// The first items of each section, numbered from the oldest.
pub(super) async fn items(conn: &mut Conn, org_id: &str, period: Period) -> QueryResult<Vec<Item>> {
    let sql = format!(
        "WITH paid AS ({PAID}), pairs AS ({PAIRS}), numbered AS (SELECT pairs.*, row_number() OVER ( \
         PARTITION BY kind ORDER BY occurred_at, transaction_id IS NULL, seq)::integer AS place FROM pairs) \
         SELECT kind, place, reason, transaction_id, record_id, reference_id, amount_minor, currency, \
         record_amount_minor, record_currency, occurred_at FROM numbered WHERE place <= $4"
    );
    diesel::sql_query(sql)
        .bind::<Text, _>(org_id)
        .bind::<Timestamptz, _>(period.start)
        .bind::<Timestamptz, _>(period.before())
        .bind::<BigInt, _>(ITEMS_MAX)
        .load(conn)
        .await
}

#[derive(QueryableByName)]
struct VolumeRow {
    #[diesel(sql_type = Text)]
    currency: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
    #[diesel(sql_type = BigInt)]
    amount_minor: i64,
}

/// Most currencies a report names.
const CURRENCIES_MAX: i64 = 200;

/// What the period's payments amount to by currency, that of most payments first. A sum beyond 64 bits is cut to the largest.
pub(super) async fn volumes(
    conn: &mut Conn,
    org_id: &str,
    period: Period,
) -> QueryResult<Vec<Volume>> {
    let sql = format!(
        "WITH paid AS ({PAID}) SELECT currency, count(*) AS count, \
         least(sum(amount_minor), 9223372036854775807)::bigint AS amount_minor FROM paid \
         GROUP BY currency ORDER BY count(*) DESC, currency LIMIT $4"
    );
    let rows: Vec<VolumeRow> = diesel::sql_query(sql)
        .bind::<Text, _>(org_id)
        .bind::<Timestamptz, _>(period.start)
        .bind::<Timestamptz, _>(period.before())
        .bind::<BigInt, _>(CURRENCIES_MAX)
        .load(conn)
        .await?;
    let volume = |row: VolumeRow| Volume {
        currency: row.currency,
        count: row.count,
        amount_minor: row.amount_minor,
    };
    Ok(rows.into_iter().map(volume).collect())
}
