//! Predictions as rows, and what is counted for them.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Bool, SmallInt, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use crate::{
    db::{
        Conn,
        prepared::{column, prepared},
        rows::Rows,
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
        SELECT $1, $2, $3, r.id, r.transaction_id, r.agent_id, string_to_array(r.jurisdictions, ','), r.verdict, r.needs_human, \
        r.confidence_percent, r.findings::jsonb, r.processing_time_us FROM {rows}";
    let Some((_, first)) = predictions.first() else {
        return Ok(None);
    };
    let findings = predictions
        .iter()
        .map(|(_, made)| serde_json::to_string(&made.assessment.findings));
    let findings: Vec<String> = findings
        .collect::<Result<_, _>>()
        .map_err(Error::internal)?;
    let rows: Vec<_> = predictions.iter().zip(findings).collect();
    let write = Rows::of(&rows)
        .value::<Text, _>(org_id)
        .value::<Text, _>(first.rules_version.as_str())
        .value::<Timestamptz, _>(now)
        .column::<Text, _>("id", |_| ids::sortable("cmp"))
        .column::<Text, _>("transaction_id", |((transaction_id, _), _)| *transaction_id)
        .column::<Text, _>("agent_id", |((_, made), _)| made.agent_id.as_str())
        .column::<Text, _>("jurisdictions", |((_, made), _)| {
            made.jurisdictions.join(",")
        })
        .column::<Text, _>("verdict", |((_, made), _)| made.assessment.status.word())
        .column::<Bool, _>("needs_human", |((_, made), _)| made.assessment.needs_human)
        .column::<SmallInt, _>("confidence_percent", |((_, made), _)| {
            i16::from(made.assessment.confidence_percent)
        })
        .column::<Text, _>("findings", |(_, findings)| findings.clone())
        .column::<BigInt, _>("processing_time_us", |((_, made), _)| {
            made.processing_time_us
        })
        .write(INSERT);
    Ok(Some(write))
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
