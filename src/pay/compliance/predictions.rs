//! Predictions as rows, and what is counted for them.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Bool, Jsonb, SmallInt, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use crate::{
    db::{
        Conn,
        prepared::{column, prepared},
        write::Write,
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
#[derive(Clone, Debug, Queryable, Selectable)]
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
pub fn store_all<'a>(
    org_id: &'a str,
    predictions: &[(&'a str, &'a Prediction)],
    now: DateTime<Utc>,
) -> Result<Option<Write<'a>>> {
    // An array of arrays would have to be even, so the jurisdictions, which have no commas, are joined.
    const INSERT: &str = "INSERT INTO compliance_predictions (org_id, rules_version, created_at, id, transaction_id, agent_id, jurisdictions, \
        verdict, needs_human, confidence_percent, findings, processing_time_us) \
        SELECT $1, $2, $3, p.id, p.transaction_id, p.agent_id, string_to_array(p.jurisdictions, ','), p.verdict, p.needs_human, \
        p.confidence_percent, p.findings, p.processing_time_us \
        FROM unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::boolean[], $10::smallint[], $11::jsonb[], $12::bigint[]) \
        WITH ORDINALITY AS p (id, transaction_id, agent_id, jurisdictions, verdict, needs_human, confidence_percent, findings, \
        processing_time_us, place) ORDER BY p.place";
    let Some((_, first)) = predictions.first() else {
        return Ok(None);
    };
    let findings = predictions
        .iter()
        .map(|(_, made)| serde_json::to_value(&made.assessment.findings));
    let findings: Vec<Value> = findings
        .collect::<Result<_, _>>()
        .map_err(Error::internal)?;
    Ok(Some(Write::new(INSERT, |query| {
        query
            .bind::<Text, _>(org_id)
            .bind::<Text, _>(first.rules_version.as_str())
            .bind::<Timestamptz, _>(now)
            .bind::<Array<Text>, _>(column(predictions, |_| ids::sortable("cmp")))
            .bind::<Array<Text>, _>(column(predictions, |(transaction_id, _)| *transaction_id))
            .bind::<Array<Text>, _>(column(predictions, |(_, made)| made.agent_id.as_str()))
            .bind::<Array<Text>, _>(column(predictions, |(_, made)| {
                made.jurisdictions.join(",")
            }))
            .bind::<Array<Text>, _>(column(predictions, |(_, made)| {
                made.assessment.status.word()
            }))
            .bind::<Array<Bool>, _>(column(predictions, |(_, made)| made.assessment.needs_human))
            .bind::<Array<SmallInt>, _>(column(predictions, |(_, made)| {
                i16::from(made.assessment.confidence_percent)
            }))
            .bind::<Array<Jsonb>, _>(findings)
            .bind::<Array<BigInt>, _>(column(predictions, |(_, made)| made.processing_time_us))
    })))
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
