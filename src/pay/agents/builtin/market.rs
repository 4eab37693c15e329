//! `market-analyzer`: a number in the pushed records, and how it moves, by category.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::{db::Conn, error::Result};

use super::{Scope, fields::Fields};

/// The newest records that are looked at.
const RECORDS_MAX: i64 = 50_000;

/// What is asked for.
pub(in super::super) struct Parameters {
    /// The member `region` of a record, whatever its case.
    region: Option<String>,
    data_type: Option<String>,
    category: Option<String>,
    source: Option<String>,
    /// The member with the number; `amount`, or else `price`, when absent.
    field: Option<String>,
    /// The member `currency` of a record, which is USD when absent.
    currency: String,
    from: Option<DateTime<Utc>>,
    before: Option<DateTime<Utc>>,
}

impl Parameters {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        let region = fields.text("region");
        let data_type = fields.text("data_type");
        let category = fields.text("category");
        let source = fields.text("source");
        let field = fields.text("field");
        let currency = fields.currency();
        let (from, before) = fields.dates();
        Self {
            region,
            data_type,
            category,
            source,
            field,
            currency,
            from,
            before,
        }
    }
}

#[derive(QueryableByName)]
struct Output {
    #[diesel(sql_type = Text)]
    output: String,
}

/// The figures as JSON.
pub(super) async fn compute(
    conn: &mut Conn,
    scope: &Scope<'_>,
    parameters: &Parameters,
) -> Result<String> {
    let computed: Output = diesel::sql_query(STATEMENT)
        .bind::<Text, _>(scope.org_id)
        .bind::<Nullable<Text>, _>(&parameters.data_type)
        .bind::<Nullable<Text>, _>(&parameters.category)
        .bind::<Nullable<Text>, _>(&parameters.source)
        .bind::<Nullable<Timestamptz>, _>(parameters.from)
        .bind::<Nullable<Timestamptz>, _>(parameters.before)
        .bind::<BigInt, _>(RECORDS_MAX)
        .bind::<Nullable<Text>, _>(&parameters.region)
        .bind::<Text, _>(&parameters.currency)
        .bind::<Nullable<Text>, _>(&parameters.field)
        .get_result(conn)
        .await?;
    Ok(computed.output)
}

/// Members of a record with an escape that Postgres has no text for (U+0000, half of a surrogate pair) cannot be read; such a
/// record counts as one without a number. The median of an even number is the mean of the two in the middle.
const STATEMENT: &str = r"
WITH looked AS MATERIALIZED (
    SELECT data, replace(data::text, '\\', '') AS escapes, category, created_at FROM data_records
    WHERE org_id = $1 AND ($2 IS NULL OR data_type = $2) AND ($3 IS NULL OR category = $3) AND ($4 IS NULL OR source = $4)
    AND ($5 IS NULL OR created_at >= $5) AND ($6 IS NULL OR created_at < $6)
    ORDER BY created_at DESC, seq DESC LIMIT $7
), readable AS MATERIALIZED (
    SELECT data, category, created_at, position('\u' IN escapes) = 0 OR
        regexp_replace(escapes, '\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}', '', 'g')
            !~ '\\u(0000|[dD][89a-fA-F])' AS is_readable
    FROM looked
), members AS MATERIALIZED (
    SELECT category, created_at,
        CASE WHEN is_readable THEN data->>'region' END AS region,
        CASE WHEN is_readable THEN coalesce(data->>'currency', 'USD') ELSE 'USD' END AS currency,
        CASE WHEN NOT is_readable THEN NULL WHEN $10::text IS NULL THEN data->>'amount' ELSE data->>$10 END AS first,
        CASE WHEN is_readable AND $10 IS NULL THEN data->>'price' END AS second
    FROM readable
), meant AS MATERIALIZED (
    SELECT category, created_at, coalesce(
        CASE WHEN first ~ '^-?[0-9]{1,18}(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,2})?$' THEN first::numeric END,
        CASE WHEN second ~ '^-?[0-9]{1,18}(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,2})?$' THEN second::numeric END) AS value
    FROM members WHERE currency = $9 AND ($8 IS NULL OR lower(region) = lower($8))
), figures AS (
    SELECT grouping(category) = 1 AS is_all, category, count(*) AS n, sum(value) AS total, avg(value) AS mean,
        min(value) AS least, max(value) AS most,
        percentile_disc(0.5) WITHIN GROUP (ORDER BY value) + percentile_disc(0.5) WITHIN GROUP (ORDER BY value DESC) AS middle,
        round(regr_slope(value::float8, extract(epoch FROM created_at)::float8 / 86400)::numeric, 4) AS slope
    FROM meant WHERE value IS NOT NULL GROUP BY GROUPING SETS ((), (category))
), worded AS (
    SELECT is_all, category, n, json_build_object('count', n, 'sum', trim_scale(total), 'mean', trim_scale(round(mean, 4)),
        'median', trim_scale(middle / 2), 'min', trim_scale(least), 'max', trim_scale(most),
        'trend', CASE WHEN slope IS NOT NULL THEN json_build_object('slope_per_day', trim_scale(slope), 'direction',
            CASE sign(slope) WHEN 1 THEN 'rising' WHEN -1 THEN 'falling' ELSE 'flat' END) END) AS figures
    FROM figures WHERE n > 0
), shown AS (
    SELECT category, n, figures FROM worded WHERE NOT is_all ORDER BY n DESC, category NULLS FIRST LIMIT 50
)
SELECT json_build_object(
    'currency', $9::text,
    'records', (SELECT count(*) FROM meant),
    'measured', (SELECT count(value) FROM meant),
    'is_partial', (SELECT count(*) FROM looked) >= $7,
    'overall', (SELECT figures FROM worded WHERE is_all),
    'categories', (SELECT coalesce(json_agg(json_build_object('category', category, 'figures', figures)
        ORDER BY n DESC, category NULLS FIRST), '[]'::json) FROM shown)
)::text AS output";
