//! What is counted over predictions.

use diesel::{
    QueryResult, QueryableByName,
    prelude::*,
    sql_types::{Array, BigInt, Nullable, SmallInt, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::{
    db::Conn,
    error::Result,
    identity::Caller,
    proto::pulpo::{pay::v1 as pb, r#type::v1::Decimal},
};

use super::{
    super::{
        Pay,
        compliance::{Finding, PredictionRow},
        input::Input,
        schema::compliance_predictions,
        time::timestamp,
    },
    LIMIT_DEFAULT, LIMIT_MAX, Period,
};

/// How many rules are named among those that found something.
const TOP_FINDINGS: i64 = 10;
/// How many jurisdictions are named.
const JURISDICTIONS_MAX: i64 = 200;

/// Which predictions a report is about.
struct Scope<'a> {
    org_id: &'a str,
    period: Period,
    /// Only payments of these agents.
    agents: Option<&'a [String]>,
}

#[derive(QueryableByName)]
struct Counts {
    #[diesel(sql_type = BigInt)]
    scanned: i64,
    #[diesel(sql_type = BigInt)]
    clear: i64,
    #[diesel(sql_type = BigInt)]
    flagged: i64,
    #[diesel(sql_type = BigInt)]
    blocked: i64,
    #[diesel(sql_type = BigInt)]
    needs_human: i64,
    #[diesel(sql_type = Nullable<Text>)]
    avg_ms: Option<String>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    least_percent: Option<i16>,
    #[diesel(sql_type = Nullable<Text>)]
    mean: Option<String>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    most_percent: Option<i16>,
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Text)]
    rule: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct Covered {
    #[diesel(sql_type = Text)]
    jurisdiction: String,
    #[diesel(sql_type = BigInt)]
    scanned: i64,
    #[diesel(sql_type = BigInt)]
    flagged: i64,
    #[diesel(sql_type = BigInt)]
    blocked: i64,
}

/// The report on the precheck; a key bound to some agents is shown what they pay.
pub(super) async fn report(
    pay: &Pay,
    caller: &Caller,
    request: &pb::GetComplianceReportRequest,
) -> Result<pb::GetComplianceReportResponse> {
    let mut input = Input::default();
    let (from, to) = (request.date_from.as_deref(), request.date_to.as_deref());
    let period = Period::read(&mut input, from, to, pay.clock.now());
    let limit = input.limit(request.limit, LIMIT_DEFAULT, LIMIT_MAX);
    input.finish()?;
    let scope = Scope {
        org_id: caller.org_id()?,
        period,
        agents: caller.agents()?,
    };
    let mut conn = pay.db.connection().await?;
    let counts = counts(&mut conn, &scope).await?;
    let found = found(&mut conn, &scope).await?;
    let covered = covered(&mut conn, &scope).await?;
    let rows = recent(&mut conn, &scope, limit).await?;
    let spread = counts.least_percent.zip(counts.most_percent);
    Ok(pb::GetComplianceReportResponse {
        period: Some(period.message()),
        scanned: counts.scanned,
        clear: counts.clear,
        flagged: counts.flagged,
        blocked: counts.blocked,
        needs_human: counts.needs_human,
        avg_processing_time_ms: counts.avg_ms.map(|value| Decimal { value }),
        confidence: spread.map(|(least, most)| pb::ConfidenceSpread {
            min: Some(hundredths(least)),
            avg: counts.mean.map(|value| Decimal { value }),
            max: Some(hundredths(most)),
        }),
        top_findings: found
            .into_iter()
            .map(|Found { rule, count }| pb::FindingCount { rule, count })
            .collect(),
        jurisdiction_coverage: covered.into_iter().map(Into::into).collect(),
        count: i64::try_from(rows.len()).unwrap_or(i64::MAX),
        predictions: rows.into_iter().map(Into::into).collect(),
        limit,
    })
}

async fn counts(conn: &mut Conn, scope: &Scope<'_>) -> QueryResult<Counts> {
    diesel::sql_query(
        "SELECT count(*) AS scanned, count(*) FILTER (WHERE verdict = 'clear') AS clear, \
         count(*) FILTER (WHERE verdict = 'flagged') AS flagged, count(*) FILTER (WHERE verdict = 'blocked') AS blocked, \
         count(*) FILTER (WHERE needs_human) AS needs_human, round(avg(processing_time_us) / 1000, 3)::text AS avg_ms, \
         min(confidence_percent) AS least_percent, round(avg(confidence_percent) / 100, 4)::text AS mean, \
         max(confidence_percent) AS most_percent FROM compliance_predictions \
         WHERE org_id = $1 AND created_at >= $2 AND created_at < $3 AND ($4 IS NULL OR agent_id = ANY($4))",
    )
    .bind::<Text, _>(scope.org_id)
    .bind::<Timestamptz, _>(scope.period.start)
    .bind::<Timestamptz, _>(scope.period.end)
    .bind::<Nullable<Array<Text>>, _>(scope.agents)
    .get_result(conn)
    .await
}

async fn found(conn: &mut Conn, scope: &Scope<'_>) -> QueryResult<Vec<Found>> {
    diesel::sql_query(
        "SELECT finding ->> 'rule' AS rule, count(*) AS count \
         FROM compliance_predictions, jsonb_array_elements(findings) AS finding \
         WHERE org_id = $1 AND created_at >= $2 AND created_at < $3 AND ($4 IS NULL OR agent_id = ANY($4)) \
         GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $5",
    )
    .bind::<Text, _>(scope.org_id)
    .bind::<Timestamptz, _>(scope.period.start)
    .bind::<Timestamptz, _>(scope.period.end)
    .bind::<Nullable<Array<Text>>, _>(scope.agents)
    .bind::<BigInt, _>(TOP_FINDINGS)
    .load(conn)
    .await
}

async fn covered(conn: &mut Conn, scope: &Scope<'_>) -> QueryResult<Vec<Covered>> {
    diesel::sql_query(
        "SELECT jurisdiction, count(*) AS scanned, count(*) FILTER (WHERE verdict = 'flagged') AS flagged, \
         count(*) FILTER (WHERE verdict = 'blocked') AS blocked \
         FROM compliance_predictions, unnest(jurisdictions) AS jurisdiction \
         WHERE org_id = $1 AND created_at >= $2 AND created_at < $3 AND ($4 IS NULL OR agent_id = ANY($4)) \
         GROUP BY 1 ORDER BY 1 LIMIT $5",
    )
    .bind::<Text, _>(scope.org_id)
    .bind::<Timestamptz, _>(scope.period.start)
    .bind::<Timestamptz, _>(scope.period.end)
    .bind::<Nullable<Array<Text>>, _>(scope.agents)
    .bind::<BigInt, _>(JURISDICTIONS_MAX)
    .load(conn)
    .await
}

async fn recent(conn: &mut Conn, scope: &Scope<'_>, limit: i64) -> QueryResult<Vec<PredictionRow>> {
    let mut query = compliance_predictions::table
        .filter(compliance_predictions::org_id.eq(scope.org_id))
        .filter(compliance_predictions::created_at.ge(scope.period.start))
        .filter(compliance_predictions::created_at.lt(scope.period.end))
        .order((
            compliance_predictions::created_at.desc(),
            compliance_predictions::seq.desc(),
        ))
        .limit(limit)
        .select(PredictionRow::as_select())
        .into_boxed();
    if let Some(agents) = scope.agents {
        query = query.filter(compliance_predictions::agent_id.eq_any(agents));
    }
    query.load(conn).await
}

/// A share from 0 to 1.
fn hundredths(percent: i16) -> Decimal {
    Decimal {
        value: format!("{}.{:02}", percent / 100, percent % 100),
    }
}

impl From<Covered> for pb::JurisdictionCoverage {
    fn from(row: Covered) -> Self {
        Self {
            jurisdiction: row.jurisdiction,
            scanned: row.scanned,
            flagged: row.flagged,
            blocked: row.blocked,
        }
    }
}

impl From<PredictionRow> for pb::CompliancePrediction {
    fn from(row: PredictionRow) -> Self {
        // What was stored by an older version may have other members; such findings are counted and not shown.
        let findings: Vec<Finding> = serde_json::from_value(row.findings).unwrap_or_default();
        let us = row.processing_time_us;
        Self {
            id: row.id,
            transaction_id: row.transaction_id,
            agent_id: row.agent_id,
            jurisdictions: row.jurisdictions,
            verdict: row.verdict,
            confidence: Some(hundredths(row.confidence_percent)),
            needs_human: row.needs_human,
            findings: findings.into_iter().map(Into::into).collect(),
            rules_version: row.rules_version,
            processing_time_ms: Some(Decimal {
                value: format!("{}.{:03}", us / 1000, us % 1000),
            }),
            created_at: Some(timestamp(row.created_at)),
        }
    }
}

impl From<Finding> for pb::ComplianceFinding {
    fn from(finding: Finding) -> Self {
        Self {
            rule: finding.rule,
            jurisdiction: finding.jurisdiction,
            effect: finding.effect.word().to_owned(),
            confidence: Some(hundredths(i16::from(finding.confidence_percent))),
            detail: finding.detail,
        }
    }
}
