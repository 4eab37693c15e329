//! Predictions as rows, and what is counted for them.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Integer, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use crate::{
    db::Conn,
    error::{Error, Result},
    ids,
};

use super::{
    super::schema::compliance_predictions,
    evaluate::{Assessment, Band, Subject},
    since,
};

/// What the rules said of a payment.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// The paying agent.
    pub agent_id: String,
    /// The jurisdictions of the policy.
    pub jurisdictions: Vec<String>,
    /// The version of the rules.
    pub rules_version: String,
    /// What was found.
    pub assessment: Assessment,
    /// Measured time of the check, counting included.
    pub processing_time_us: i64,
}

/// A stored prediction.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = compliance_predictions, check_for_backend(diesel::pg::Pg))]
pub struct PredictionRow {
    /// The paying organisation.
    pub org_id: String,
    /// cmp_…
    pub id: String,
    /// The payment.
    pub transaction_id: String,
    /// The paying agent.
    pub agent_id: String,
    /// The jurisdictions of the policy.
    pub jurisdictions: Vec<String>,
    /// The version of the rules.
    pub rules_version: String,
    /// clear, flagged or blocked.
    pub verdict: String,
    /// Whether a human has to judge.
    pub needs_human: bool,
    /// How sure the verdict is.
    pub confidence_percent: i16,
    /// The findings as a JSON array.
    pub findings: Value,
    /// Measured time of the check.
    pub processing_time_us: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// Stores a prediction beside its payment, which must be there.
pub async fn store(
    conn: &mut Conn,
    (org_id, transaction_id): (&str, &str),
    prediction: &Prediction,
    now: DateTime<Utc>,
) -> Result<()> {
    let assessment = &prediction.assessment;
    let row = PredictionRow {
        org_id: org_id.to_owned(),
        id: ids::sortable("cmp"),
        transaction_id: transaction_id.to_owned(),
        agent_id: prediction.agent_id.clone(),
        jurisdictions: prediction.jurisdictions.clone(),
        rules_version: prediction.rules_version.clone(),
        verdict: assessment.status.word().to_owned(),
        needs_human: assessment.needs_human,
        confidence_percent: i16::from(assessment.confidence_percent),
        findings: serde_json::to_value(&assessment.findings).map_err(Error::internal)?,
        processing_time_us: prediction.processing_time_us,
        created_at: now,
    };
    diesel::insert_into(compliance_predictions::table)
        .values(row)
        .execute(conn)
        .await?;
    Ok(())
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// How many earlier payments of the payer each band has; no statement without bands.
pub async fn count_earlier(
    conn: &mut Conn,
    org_id: &str,
    subject: &Subject<'_>,
    bands: &[Band],
    now: DateTime<Utc>,
) -> QueryResult<Vec<(Band, i64)>> {
    if bands.is_empty() {
        return Ok(Vec::new());
    }
    // The statuses are those of the partial index, which holds the amounts too.
    let counts: Vec<Count> = diesel::sql_query(
        "SELECT (SELECT count(*) FROM transactions t WHERE t.org_id = $1 AND t.requesting_agent_id = $2 \
         AND t.currency = $3 AND t.created_at > band.since \
         AND t.status IN ('settled', 'authorized', 'executing', 'escrow_held') \
         AND t.amount_minor >= band.from_minor AND t.amount_minor < band.below_minor) AS count \
         FROM unnest($4::int[], $5::bigint[], $6::bigint[], $7::timestamptz[]) AS band (place, from_minor, below_minor, since) \
         ORDER BY band.place",
    )
    .bind::<Text, _>(org_id)
    .bind::<Text, _>(subject.payer_agent_id)
    .bind::<Text, _>(subject.currency)
    .bind::<Array<Integer>, _>((0_i32..).take(bands.len()).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(bands.iter().map(|b| b.from_minor).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(bands.iter().map(|b| b.below_minor).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(bands.iter().map(|b| since(now, b.window_hours)).collect::<Vec<_>>())
    .load(conn)
    .await?;
    Ok(bands
        .iter()
        .cloned()
        .zip(counts.into_iter().map(|c| c.count))
        .collect())
}
