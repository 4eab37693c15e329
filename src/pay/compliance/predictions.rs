//! Predictions as rows, and what is counted for them.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use crate::{
    db::{
        Conn,
        prepared::{column, prepared},
    },
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

/// Stores predictions of an organisation beside their payments, which must be there.
pub async fn store_all(
    mut conn: &Conn,
    org_id: &str,
    predictions: &[(&str, &Prediction)],
    now: DateTime<Utc>,
) -> Result<()> {
    if predictions.is_empty() {
        return Ok(());
    }
    let rows = predictions.iter().map(|(transaction_id, prediction)| {
        let assessment = &prediction.assessment;
        Ok(PredictionRow {
            org_id: org_id.to_owned(),
            id: ids::sortable("cmp"),
            transaction_id: (*transaction_id).to_owned(),
            agent_id: prediction.agent_id.clone(),
            jurisdictions: prediction.jurisdictions.clone(),
            rules_version: prediction.rules_version.clone(),
            verdict: assessment.status.word().to_owned(),
            needs_human: assessment.needs_human,
            confidence_percent: i16::from(assessment.confidence_percent),
            findings: serde_json::to_value(&assessment.findings).map_err(Error::internal)?,
            processing_time_us: prediction.processing_time_us,
            created_at: now,
        })
    });
    let rows: Vec<PredictionRow> = rows.collect::<Result<_>>()?;
    diesel::insert_into(compliance_predictions::table)
        .values(rows)
        .execute(&mut conn)
        .await?;
    Ok(())
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// How many earlier payments of its payer each band has, in their order; no statement without bands.
pub async fn count_earlier(
    mut conn: &Conn,
    org_id: &str,
    bands: &[(&Subject<'_>, &Band)],
    now: DateTime<Utc>,
) -> QueryResult<Vec<i64>> {
    // Whatever became of a payment that was approved, it was one.
    const COUNT: &str = "SELECT (SELECT count(*) FROM transactions t WHERE t.org_id = $1 AND t.requesting_agent_id = band.agent_id \
        AND t.currency = band.currency AND t.counted_at > band.since \
        AND t.amount_minor >= band.from_minor AND t.amount_minor < band.below_minor) AS count \
        FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::timestamptz[]) WITH ORDINALITY \
        AS band (agent_id, currency, from_minor, below_minor, since, place) ORDER BY band.place";
    if bands.is_empty() {
        return Ok(Vec::new());
    }
    let counts: Vec<Count> = prepared(COUNT, |query| {
        query
            .bind::<Text, _>(org_id)
            .bind::<Array<Text>, _>(column(bands, |(subject, _)| subject.payer_agent_id))
            .bind::<Array<Text>, _>(column(bands, |(subject, _)| subject.currency))
            .bind::<Array<BigInt>, _>(column(bands, |(_, band)| band.from_minor))
            .bind::<Array<BigInt>, _>(column(bands, |(_, band)| band.below_minor))
            .bind::<Array<Timestamptz>, _>(column(bands, |(_, band)| since(now, band.window_hours)))
    })
    .load(&mut conn)
    .await?;
    Ok(counts.into_iter().map(|row| row.count).collect())
}
