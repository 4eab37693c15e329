//! `spend-analyzer`: what the organisation paid in a period, to whom, for what, how concentrated, and what stands out.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::{db::Conn, error::Result};

use super::{
    Scope,
    fields::{Fields, Period},
};

/// The newest payments that are looked at.
const PAYMENTS_MAX: i64 = 200_000;

/// What is asked for.
pub(in super::super) struct Parameters {
    period: Period,
    currency: String,
    /// Only what this agent paid.
    pub(super) agent_id: Option<String>,
}

impl Parameters {
    pub(super) fn read(fields: &mut Fields<'_>, now: DateTime<Utc>) -> Self {
        Self {
            period: fields.period(now),
            currency: fields.currency(),
            agent_id: fields.text("agent_id"),
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
    let computed: Output = diesel::sql_query(statement())
        .bind::<Text, _>(scope.org_id)
        .bind::<Text, _>(&parameters.currency)
        .bind::<Timestamptz, _>(parameters.period.start)
        .bind::<Timestamptz, _>(parameters.period.end)
        .bind::<Nullable<Array<Text>>, _>(scope.payment_agents)
        .bind::<BigInt, _>(PAYMENTS_MAX)
        .bind::<Text, _>(parameters.period.json().to_string())
        .get_result(conn)
        .await?;
    Ok(computed.output)
}

/// The twenty largest groups of what was spent by these columns, as a JSON array.
fn by(columns: &[&str]) -> String {
    let names = columns.join(", ");
    let members: String = columns
        .iter()
        .map(|column| format!("'{column}', {column}, "))
        .collect();
    format!(
        "(SELECT coalesce(json_agg(json_build_object({members}'count', n, 'total', round(minor / 100, 2), \
         'share', round(minor / nullif(all_minor, 0), 4)) ORDER BY minor DESC, {names}), '[]'::json) \
         FROM (SELECT {names}, count(*) AS n, sum(amount_minor) AS minor FROM spent GROUP BY {names} \
         ORDER BY minor DESC, {names} LIMIT 20) AS groups, total)"
    )
}

fn statement() -> String {
    let counterparties = by(&["counterparty_agent_id", "counterparty_org_id"]);
    let (categories, types, agents) = (
        by(&["category"]),
        by(&["tx_type"]),
        by(&["requesting_agent_id"]),
    );
    format!(
        "{MADE} SELECT json_build_object(
    'period', $7::json, 'currency', $2::text,
    'payments', (SELECT count(*) FROM made), 'is_partial', (SELECT count(*) FROM made) >= $6,
    'settled', (SELECT json_build_object('count', all_n, 'total', round(all_minor / 100, 2), 'mean', round(mean / 100, 2))
        FROM total),
    'by_counterparty', {counterparties}, 'by_category', {categories}, 'by_tx_type', {types}, 'by_agent', {agents},
    {TAIL}"
    )
}

/// The payments of the period, those that were settled, and their sums. Numbers are numeric, so that nothing is rounded before
/// its end.
const MADE: &str = "
WITH made AS MATERIALIZED (
    SELECT id, requesting_agent_id, counterparty_agent_id, counterparty_org_id, amount_minor, tx_type, category, status,
        reason_code, created_at FROM transactions
    WHERE org_id = $1 AND currency = $2 AND created_at >= $3 AND created_at < $4
    AND ($5 IS NULL OR requesting_agent_id = ANY($5)) ORDER BY created_at DESC, seq DESC LIMIT $6
), spent AS MATERIALIZED (SELECT * FROM made WHERE status = 'settled'),
total AS MATERIALIZED (
    SELECT count(*) AS all_n, coalesce(sum(amount_minor), 0) AS all_minor, avg(amount_minor) AS mean,
        stddev_pop(amount_minor) AS deviation FROM spent
), parties AS (
    SELECT sum(amount_minor) / (SELECT nullif(all_minor, 0) FROM total) AS share
    FROM spent GROUP BY counterparty_agent_id, counterparty_org_id
), days AS MATERIALIZED (
    SELECT day::date AS day, count(spent.id) AS n, coalesce(sum(spent.amount_minor), 0) AS minor
    FROM generate_series(date_trunc('day', $3 AT TIME ZONE 'UTC'), ($4 - interval '1 millisecond') AT TIME ZONE 'UTC',
        interval '1 day') AS day
    LEFT JOIN spent ON date_trunc('day', spent.created_at AT TIME ZONE 'UTC') = day GROUP BY day
), moved AS (SELECT round((regr_slope(minor::float8, day - date '2000-01-01') / 100)::numeric, 4) AS slope FROM days),
refused AS (
    SELECT reason_code, count(*) AS n FROM made WHERE status = 'denied' GROUP BY reason_code
), outliers AS (
    SELECT spent.*, round((amount_minor - mean) / deviation, 2) AS sigmas FROM spent, total
    WHERE deviation > 0 AND abs(amount_minor - mean) > 2 * deviation
)";

/// What follows the groups.
const TAIL: &str = "
    'concentration', json_build_object('top_share', (SELECT round(max(share), 4) FROM parties),
        'herfindahl', (SELECT round(sum(share * share), 4) FROM parties), 'counterparties', (SELECT count(*) FROM parties)),
    'denials', json_build_object('count', (SELECT count(*) FROM made WHERE status = 'denied'), 'by_reason',
        (SELECT coalesce(json_agg(json_build_object('reason_code', reason_code, 'count', n) ORDER BY n DESC, reason_code),
        '[]'::json) FROM refused)),
    'daily', (SELECT coalesce(json_agg(json_build_object('date', day, 'count', n, 'total', round(minor / 100, 2)) ORDER BY day),
        '[]'::json) FROM days WHERE n > 0),
    'trend', (SELECT json_build_object('slope_per_day', trim_scale(slope), 'direction',
        CASE sign(slope) WHEN 1 THEN 'rising' WHEN -1 THEN 'falling' ELSE 'flat' END) FROM moved WHERE slope IS NOT NULL),
    'outliers', (SELECT coalesce(json_agg(json_build_object('transaction_id', id, 'requesting_agent_id', requesting_agent_id,
        'counterparty_agent_id', counterparty_agent_id, 'amount', round(amount_minor::numeric / 100, 2), 'sigmas', sigmas,
        'created_at', to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'))
        ORDER BY abs(sigmas) DESC, created_at, id), '[]'::json)
        FROM (SELECT * FROM outliers ORDER BY abs(sigmas) DESC, created_at, id LIMIT 20) AS farthest)
)::text AS output";
