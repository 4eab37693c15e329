//! One pass over past payments: pages of them, and what the rules want counted beside them.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Integer, Json, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::{
    db::Conn,
    error::{Error, Result},
};

use super::{
    super::super::{
        compliance::{Band, RuleBook, Subject},
        transactions::JsonText,
    },
    Scope,
    fields::Period,
    findings::Findings,
};

/// A payment as the rules look at it.
#[derive(QueryableByName)]
pub(super) struct PaymentRow {
    #[diesel(sql_type = Text)]
    pub(super) id: String,
    #[diesel(sql_type = BigInt)]
    pub(super) seq: i64,
    #[diesel(sql_type = Text)]
    pub(super) requesting_agent_id: String,
    #[diesel(sql_type = Nullable<Text>)]
    counterparty_agent_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    counterparty_org_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    org_name: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    counterparty_org_name: Option<String>,
    #[diesel(sql_type = BigInt)]
    pub(super) amount_minor: i64,
    #[diesel(sql_type = Text)]
    pub(super) currency: String,
    #[diesel(sql_type = Text)]
    tx_type: String,
    #[diesel(sql_type = Nullable<Text>)]
    category: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    description: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    reference_id: Option<String>,
    #[diesel(sql_type = Json)]
    metadata: JsonText,
    #[diesel(sql_type = Timestamptz)]
    pub(super) created_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    judged_at: DateTime<Utc>,
}

impl PaymentRow {
    fn subject(&self) -> Subject<'_> {
        Subject {
            payer_agent_id: &self.requesting_agent_id,
            payee_agent_id: self.counterparty_agent_id.as_deref(),
            payee_org_id: self.counterparty_org_id.as_deref(),
            payer_org_name: self.org_name.as_deref(),
            payee_org_name: self.counterparty_org_name.as_deref(),
            amount_minor: self.amount_minor,
            currency: &self.currency,
            tx_type: &self.tx_type,
            category: self.category.as_deref(),
            description: self.description.as_deref(),
            reference_id: self.reference_id.as_deref(),
            metadata: &self.metadata.0,
        }
    }
}

/// The payments after this one, oldest first. Those that never were are left out.
pub(super) async fn page(
    conn: &mut Conn,
    scope: &Scope<'_>,
    period: Period,
    after: Option<(DateTime<Utc>, i64)>,
    rows: usize,
) -> Result<Vec<PaymentRow>> {
    let (at, seq) = after.unwrap_or((period.start, i64::MIN));
    Ok(diesel::sql_query(
        "SELECT id, seq, requesting_agent_id, counterparty_agent_id, counterparty_org_id, amount_minor, currency, tx_type, \
         category, description, reference_id, metadata, created_at, coalesce(counted_at, created_at) AS judged_at, \
         (SELECT name FROM organizations WHERE id = $1) AS org_name, \
         (SELECT o.name FROM organizations o WHERE o.id = t.counterparty_org_id) AS counterparty_org_name FROM transactions t \
         WHERE org_id = $1 AND (created_at, seq) > ($2, $3) AND created_at < $4 \
         AND status NOT IN ('denied', 'failed') AND ($5 IS NULL OR requesting_agent_id = ANY($5)) \
         ORDER BY created_at, seq LIMIT $6",
    )
    .bind::<Text, _>(scope.org_id)
    .bind::<Timestamptz, _>(at)
    .bind::<BigInt, _>(seq)
    .bind::<Timestamptz, _>(period.end)
    .bind::<Nullable<Array<Text>>, _>(scope.payment_agents)
    .bind::<BigInt, _>(i64::try_from(rows).unwrap_or(i64::MAX))
    .load(conn)
    .await?)
}

/// Judges a page of payments, each as of its own time.
pub(super) async fn assess(
    conn: &mut Conn,
    org_id: &str,
    rules: &RuleBook,
    jurisdictions: &[String],
    rows: Vec<PaymentRow>,
    findings: &mut Findings,
) -> Result<()> {
    let bands: Vec<(usize, Band)> = rows
        .iter()
        .enumerate()
        .flat_map(|(i, row)| {
            let bands = rules.bands(jurisdictions, &row.subject());
            bands.into_iter().map(move |band| (i, band))
        })
        .collect();
    let counts = count_earlier(conn, org_id, &rows, &bands).await?;
    let mut counted: Vec<Vec<(Band, i64)>> = vec![Vec::new(); rows.len()];
    for ((i, band), count) in bands.into_iter().zip(counts) {
        counted[i].push((band, count));
    }
    for (row, counts) in rows.iter().zip(&counted) {
        let assessment = rules.assess(jurisdictions, &row.subject(), counts);
        findings.add(row, &assessment, rules);
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// How many earlier payments of its payer each band has, in one statement.
async fn count_earlier(
    conn: &mut Conn,
    org_id: &str,
    rows: &[PaymentRow],
    bands: &[(usize, Band)],
) -> Result<Vec<i64>> {
    if bands.is_empty() {
        return Ok(Vec::new());
    }
    let of = |value: fn(&PaymentRow) -> &str| -> Vec<&str> {
        bands.iter().map(|(i, _)| value(&rows[*i])).collect()
    };
    let since = bands
        .iter()
        .map(|(i, band)| rows[*i].judged_at - TimeDelta::hours(i64::from(band.window_hours)));
    // As the precheck: whatever became of a payment that was approved, it was one.
    let counts: Vec<Count> = diesel::sql_query(
        "SELECT (SELECT count(*) FROM transactions t WHERE t.org_id = $1 AND t.requesting_agent_id = band.agent \
         AND t.currency = band.currency AND t.counted_at > band.since AND t.counted_at <= band.at \
         AND (t.counted_at < band.at OR t.seq < band.seq) \
         AND t.amount_minor >= band.from_minor AND t.amount_minor < band.below_minor) AS count \
         FROM unnest($2::int[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bigint[], $8::bigint[], \
         $9::bigint[]) AS band (place, agent, currency, since, at, seq, from_minor, below_minor) ORDER BY band.place",
    )
    .bind::<Text, _>(org_id)
    .bind::<Array<Integer>, _>((0_i32..).take(bands.len()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(of(|row| &row.requesting_agent_id))
    .bind::<Array<Text>, _>(of(|row| &row.currency))
    .bind::<Array<Timestamptz>, _>(since.collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(bands.iter().map(|(i, _)| rows[*i].judged_at).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(bands.iter().map(|(i, _)| rows[*i].seq).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(bands.iter().map(|(_, b)| b.from_minor).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(bands.iter().map(|(_, b)| b.below_minor).collect::<Vec<_>>())
    .load(conn)
    .await?;
    match counts.len() == bands.len() {
        true => Ok(counts.into_iter().map(|c| c.count).collect()),
        false => Err(Error::internal(anyhow::anyhow!("a band was not counted"))),
    }
}
