//! How the runs of agents went.

use diesel::{
    QueryResult, QueryableByName,
    sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::{db::Conn, error::Result, identity::Caller, proto::pulpo::pay::v1 as pb};

use super::{
    super::{Pay, input::Input},
    totals::rate,
};

/// Most agents shown.
const AGENTS_MAX: i64 = 500;

/// The runs of one agent, or of all.
#[derive(Clone, Debug, Default, QueryableByName)]
struct Figures {
    #[diesel(sql_type = Bool)]
    is_all: bool,
    #[diesel(sql_type = Nullable<Text>)]
    agent: Option<String>,
    #[diesel(sql_type = BigInt)]
    total: i64,
    #[diesel(sql_type = BigInt)]
    completed: i64,
    #[diesel(sql_type = BigInt)]
    failed: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    avg_duration_ms: Option<i64>,
}

/// The report; for a key that is bound to some agents over the runs it may see.
pub(super) async fn report(
    pay: &Pay,
    caller: &Caller,
    request: &pb::GetEfficiencyReportRequest,
) -> Result<pb::GetEfficiencyReportResponse> {
    let mut input = Input::default();
    let from = input.date_from(request.date_from.as_deref());
    let before = input.date_to(request.date_to.as_deref());
    if from
        .zip(before)
        .is_some_and(|(from, before)| from >= before)
    {
        input.fault("date_from", "must be before date_to");
    }
    input.finish()?;
    let mut conn = pay.db.connection().await?;
    let figures = figures(&mut conn, caller.org_id()?, caller.agents()?, from, before).await?;
    let (all, by_agent): (Vec<_>, Vec<_>) = figures.into_iter().partition(|row| row.is_all);
    let all = all.into_iter().next().unwrap_or_default();
    Ok(pb::GetEfficiencyReportResponse {
        total_runs: all.total,
        completed: all.completed,
        failed: all.failed,
        success_rate: rate(all.completed, all.completed + all.failed),
        avg_duration_ms: all.avg_duration_ms,
        by_agent: by_agent.into_iter().map(Into::into).collect(),
    })
}

impl From<Figures> for pb::AgentEfficiency {
    fn from(row: Figures) -> Self {
        Self {
            success_rate: rate(row.completed, row.completed + row.failed),
            agent: row.agent.unwrap_or_default(),
            total_runs: row.total,
            completed: row.completed,
            failed: row.failed,
            avg_duration_ms: row.avg_duration_ms,
        }
    }
}

/// All runs first, then those of each agent by name.
async fn figures(
    conn: &mut Conn,
    org_id: &str,
    agents: Option<&[String]>,
    from: Option<chrono::DateTime<chrono::Utc>>,
    before: Option<chrono::DateTime<chrono::Utc>>,
) -> QueryResult<Vec<Figures>> {
    diesel::sql_query(
        "SELECT grouping(agent) = 1 AS is_all, agent, count(*) AS total, \
         count(*) FILTER (WHERE status = 'completed') AS completed, count(*) FILTER (WHERE status = 'failed') AS failed, \
         round(avg(extract(epoch FROM completed_at - started_at) * 1000))::bigint AS avg_duration_ms \
         FROM pay_agent_runs WHERE org_id = $1 AND ($2 IS NULL OR (agent = ANY($2) AND payment_agents <@ $2)) \
         AND ($3 IS NULL OR created_at >= $3) AND ($4 IS NULL OR created_at < $4) \
         GROUP BY GROUPING SETS ((), (agent)) ORDER BY is_all DESC, agent LIMIT $5",
    )
    .bind::<Text, _>(org_id)
    .bind::<Nullable<Array<Text>>, _>(agents)
    .bind::<Nullable<Timestamptz>, _>(from)
    .bind::<Nullable<Timestamptz>, _>(before)
    .bind::<BigInt, _>(AGENTS_MAX + 1)
    .load(conn)
    .await
}
