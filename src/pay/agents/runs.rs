//! Runs as rows: queued, begun, ended.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Bool, Json, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::{
    db::Conn,
    proto::pulpo::{pay::v1 as pb, r#type::v1::Json as JsonMessage},
};

use super::super::{
    schema::pay_agent_runs,
    time::{optional_timestamp, timestamp},
    transactions::JsonText,
};

/// Waits for a worker.
pub(super) const QUEUED: &str = "queued";
/// Was taken; also between attempts.
const RUNNING: &str = "running";
/// Ended well.
const COMPLETED: &str = "completed";
/// Ended otherwise.
const FAILED: &str = "failed";
/// The largest output a list shows, in bytes.
const LISTED_BYTES_MAX: usize = 64 * 1024;
/// The longest error that is kept, in characters.
const ERROR_CHARS_MAX: usize = 1000;

/// The columns of [`RunRow`].
const COLUMNS: &str = "org_id, id, agent, agent_id, priority, input, payment_agents, callback_url, status, output, error, \
     created_at, started_at, completed_at";

/// A run.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, QueryableByName)]
#[diesel(table_name = pay_agent_runs, check_for_backend(diesel::pg::Pg))]
pub(super) struct RunRow {
    pub(super) org_id: String,
    /// run_…
    pub(super) id: String,
    pub(super) agent: String,
    /// The registered agent; none for a built-in one.
    pub(super) agent_id: Option<String>,
    pub(super) priority: String,
    pub(super) input: JsonText,
    /// Whose payments it may look at; none for all.
    pub(super) payment_agents: Option<Vec<String>>,
    pub(super) callback_url: Option<String>,
    pub(super) status: String,
    pub(super) output: Option<JsonText>,
    pub(super) error: Option<String>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) started_at: Option<DateTime<Utc>>,
    pub(super) completed_at: Option<DateTime<Utc>>,
}

/// How a run ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With this output, a JSON text.
    Completed(String),
    /// For this reason, in words for its owner.
    Failed(String),
}

/// A run in a list.
#[derive(QueryableByName)]
struct ListedRow {
    #[diesel(embed)]
    run: RunRow,
    #[diesel(sql_type = Bool)]
    output_omitted: bool,
}

impl RunRow {
    pub(super) fn duration_ms(&self) -> Option<i64> {
        let (started_at, completed_at) = self.started_at.zip(self.completed_at)?;
        Some((completed_at - started_at).num_milliseconds().max(0))
    }

    /// Whether a key bound to these agents may see it: a run over the payments of others shows more than such a key may see.
    pub(super) fn is_within(&self, agents: &[String]) -> bool {
        let of = self.payment_agents.as_ref();
        agents.contains(&self.agent)
            && of.is_some_and(|of| of.iter().all(|agent| agents.contains(agent)))
    }
}

impl From<RunRow> for pb::AgentRun {
    fn from(row: RunRow) -> Self {
        Self {
            duration_ms: row.duration_ms(),
            run_id: row.id,
            agent: row.agent,
            status: row.status,
            priority: row.priority,
            input: Some(JsonMessage { text: row.input.0 }),
            output: row.output.map(|output| JsonMessage { text: output.0 }),
            error: row.error,
            created_at: Some(timestamp(row.created_at)),
            started_at: optional_timestamp(row.started_at),
            completed_at: optional_timestamp(row.completed_at),
            output_omitted: None,
        }
    }
}

impl From<ListedRow> for pb::AgentRun {
    fn from(row: ListedRow) -> Self {
        Self {
            output_omitted: row.output_omitted.then_some(true),
            ..row.run.into()
        }
    }
}

/// Whether the organisation has at least so many runs that have not ended.
pub(super) async fn has_open(conn: &mut Conn, org_id: &str, most: i64) -> QueryResult<bool> {
    let last = pay_agent_runs::table
        .filter(
            pay_agent_runs::org_id
                .eq(org_id)
                .and(pay_agent_runs::status.eq_any([QUEUED, RUNNING])),
        )
        .select(pay_agent_runs::id)
        .offset(most - 1)
        .first::<String>(conn)
        .await
        .optional()?;
    Ok(last.is_some())
}

/// Stores a new run.
pub(super) async fn insert(conn: &mut Conn, run: &RunRow) -> QueryResult<()> {
    diesel::insert_into(pay_agent_runs::table)
        .values(run)
        .execute(conn)
        .await?;
    Ok(())
}

/// The run, if it is the organisation's.
pub(super) async fn find(conn: &mut Conn, org_id: &str, id: &str) -> QueryResult<Option<RunRow>> {
    pay_agent_runs::table
        .find((org_id, id))
        .select(RunRow::as_select())
        .first(conn)
        .await
        .optional()
}

/// The organisation's runs, newest first; with `agents` those a key bound to them may see, see [`RunRow::is_within`].
pub(super) async fn list(
    conn: &mut Conn,
    org_id: &str,
    agent: Option<&str>,
    agents: Option<&[String]>,
    limit: i64,
) -> QueryResult<Vec<pb::AgentRun>> {
    let columns = COLUMNS.replace(
        "output,",
        &format!(
            "CASE WHEN octet_length(output::text) <= {LISTED_BYTES_MAX} THEN output END AS output,"
        ),
    );
    let rows: Vec<ListedRow> = diesel::sql_query(format!(
        "SELECT {columns}, coalesce(octet_length(output::text) > {LISTED_BYTES_MAX}, false) AS output_omitted \
         FROM pay_agent_runs WHERE org_id = $1 AND ($2 IS NULL OR agent = $2) \
         AND ($3 IS NULL OR (agent = ANY($3) AND payment_agents <@ $3)) \
         ORDER BY created_at DESC, seq DESC LIMIT $4"
    ))
    .bind::<Text, _>(org_id)
    .bind::<Nullable<Text>, _>(agent)
    .bind::<Nullable<Array<Text>>, _>(agents)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Notes that work on a run begins, for the first time or again; none when it has ended.
pub(super) async fn begin(
    conn: &mut Conn,
    org_id: &str,
    id: &str,
    now: DateTime<Utc>,
) -> QueryResult<Option<RunRow>> {
    diesel::sql_query(format!(
        "UPDATE pay_agent_runs SET status = 'running', started_at = coalesce(started_at, $3) \
         WHERE org_id = $1 AND id = $2 AND status IN ('queued', 'running') RETURNING {COLUMNS}"
    ))
    .bind::<Text, _>(org_id)
    .bind::<Text, _>(id)
    .bind::<Timestamptz, _>(now)
    .get_result(conn)
    .await
    .optional()
}

/// Ends a run; false when it has ended before.
pub(super) async fn end(
    conn: &mut Conn,
    (org_id, id): (&str, &str),
    ending: &Ending,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let (status, output, error) = match ending {
        Ending::Completed(output) => (COMPLETED, Some(JsonText(output.clone())), None),
        Ending::Failed(error) => {
            let error: String = error.chars().take(ERROR_CHARS_MAX).collect();
            (FAILED, None, Some(error))
        }
    };
    let ended = diesel::sql_query(
        "UPDATE pay_agent_runs SET status = $3, output = $4, error = $5, completed_at = $6 \
         WHERE org_id = $1 AND id = $2 AND status = 'running'",
    )
    .bind::<Text, _>(org_id)
    .bind::<Text, _>(id)
    .bind::<Text, _>(status)
    .bind::<Nullable<Json>, _>(output)
    .bind::<Nullable<Text>, _>(error)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(ended == 1)
}

/// Fails runs queued before `before` that no job is there for any more, at most so many; those that were failed.
pub(super) async fn fail_lost(
    conn: &mut Conn,
    error: &str,
    before: DateTime<Utc>,
    most: i64,
    now: DateTime<Utc>,
) -> QueryResult<Vec<RunRow>> {
    // The end of a run and that of its job are two transactions, but the run's comes first.
    diesel::sql_query(format!(
        "UPDATE pay_agent_runs SET status = 'failed', error = $1, completed_at = $4 WHERE ctid = ANY(ARRAY( \
         SELECT r.ctid FROM pay_agent_runs AS r WHERE r.status IN ('queued', 'running') AND r.created_at < $2 \
         AND NOT EXISTS (SELECT 1 FROM jobs AS j WHERE j.ordering_key = 'pay_agent_run:' || r.org_id || ':' || r.id \
             AND j.state IN ('waiting', 'running')) \
         ORDER BY r.created_at LIMIT $3 FOR UPDATE OF r SKIP LOCKED)) RETURNING {COLUMNS}"
    ))
    .bind::<Text, _>(error)
    .bind::<Timestamptz, _>(before)
    .bind::<BigInt, _>(most)
    .bind::<Timestamptz, _>(now)
    .load(conn)
    .await
}

/// The ordering key of a run's job, by which [`fail_lost`] knows it.
pub(super) fn ordering_key(run: &RunRow) -> String {
    format!("pay_agent_run:{}:{}", run.org_id, run.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_key_sees_what_concerns_its_agents_alone() {
        let run = |payment_agents: Option<&[&str]>| RunRow {
            org_id: "org_a".to_owned(),
            id: "run_1".to_owned(),
            agent: "spend-analyzer".to_owned(),
            agent_id: None,
            priority: "normal".to_owned(),
            input: JsonText("{}".to_owned()),
            payment_agents: payment_agents.map(|of| of.iter().map(|&a| a.to_owned()).collect()),
            callback_url: None,
            status: QUEUED.to_owned(),
            output: None,
            error: None,
            created_at: DateTime::UNIX_EPOCH,
            started_at: None,
            completed_at: None,
        };
        let agents = ["spend-analyzer".to_owned(), "agent-a".to_owned()];
        assert!(run(Some(&[])).is_within(&agents));
        assert!(run(Some(&["agent-a"])).is_within(&agents));
        assert!(!run(Some(&["agent-a", "agent-b"])).is_within(&agents));
        assert!(!run(None).is_within(&agents));
        assert!(!run(Some(&[])).is_within(&agents[1..]));
    }
}
