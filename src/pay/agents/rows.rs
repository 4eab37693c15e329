//! Registered agents as rows.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    result::{DatabaseErrorKind, Error as DieselError},
};
use diesel_async::RunQueryDsl;

use crate::{
    db::Conn,
    error::{Error, Result},
    proto::pulpo::pay::v1 as pb,
};

use super::{
    super::{schema::pay_agents, time::timestamp},
    HTTP,
};

/// The constraint that makes names unique in an organisation.
const NAME_KEY: &str = "pay_agents_name_key";

/// A registered agent.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = pay_agents, primary_key(org_id, id), treat_none_as_null = true, check_for_backend(diesel::pg::Pg))]
pub(super) struct AgentRow {
    pub(super) org_id: String,
    /// agt_…
    pub(super) id: String,
    /// What it is triggered by.
    pub(super) name: String,
    pub(super) url: String,
    pub(super) description: Option<String>,
    /// Of one call.
    pub(super) timeout_seconds: i32,
    pub(super) max_attempts: i32,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

impl From<AgentRow> for pb::Agent {
    fn from(row: AgentRow) -> Self {
        Self {
            name: row.name,
            kind: HTTP.to_owned(),
            description: row.description,
            url: Some(row.url),
            timeout_seconds: Some(row.timeout_seconds),
            max_attempts: Some(row.max_attempts),
            created_at: Some(timestamp(row.created_at)),
            updated_at: Some(timestamp(row.updated_at)),
        }
    }
}

/// An agent and its secret, which is shown this once.
impl From<(AgentRow, String)> for pb::RegisterAgentResponse {
    fn from((row, secret): (AgentRow, String)) -> Self {
        Self {
            name: row.name,
            kind: HTTP.to_owned(),
            description: row.description,
            url: row.url,
            timeout_seconds: row.timeout_seconds,
            max_attempts: row.max_attempts,
            secret,
            created_at: Some(timestamp(row.created_at)),
        }
    }
}

/// The organisation's agents by name.
pub(super) async fn list(conn: &mut Conn, org_id: &str) -> QueryResult<Vec<AgentRow>> {
    pay_agents::table
        .filter(pay_agents::org_id.eq(org_id))
        .order(pay_agents::name)
        .select(AgentRow::as_select())
        .load(conn)
        .await
}

/// The agent of an id.
pub(super) async fn find(conn: &mut Conn, org_id: &str, id: &str) -> QueryResult<Option<AgentRow>> {
    pay_agents::table
        .find((org_id, id))
        .select(AgentRow::as_select())
        .first(conn)
        .await
        .optional()
}

/// The id of the agent of a name; 404 when there is none. It stays until the transaction ends.
pub(super) async fn require_id(conn: &mut Conn, org_id: &str, name: &str) -> Result<String> {
    pay_agents::table
        .filter(pay_agents::org_id.eq(org_id).and(pay_agents::name.eq(name)))
        .select(pay_agents::id)
        .for_key_share()
        .first(conn)
        .await
        .optional()?
        .ok_or_else(unknown)
}

/// The agent of a name, locked until the transaction ends; 404 when there is none.
pub(super) async fn lock(conn: &mut Conn, org_id: &str, name: &str) -> Result<AgentRow> {
    pay_agents::table
        .filter(pay_agents::org_id.eq(org_id).and(pay_agents::name.eq(name)))
        .select(AgentRow::as_select())
        .for_update()
        .first(conn)
        .await
        .optional()?
        .ok_or_else(unknown)
}

fn unknown() -> Error {
    Error::not_found("AGENT_NOT_FOUND", "There is no agent with this name")
}

/// Stores a new agent; 409 when the name is taken.
pub(super) async fn insert(conn: &mut Conn, row: &AgentRow) -> Result<()> {
    let stored = diesel::insert_into(pay_agents::table)
        .values(row)
        .execute(conn)
        .await;
    match stored {
        Err(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, info))
            if info.constraint_name() == Some(NAME_KEY) =>
        {
            Err(taken())
        }
        stored => stored.map(|_| ()).map_err(Error::from),
    }
}

/// The name is in use.
pub(super) fn taken() -> Error {
    Error::conflict(
        "AGENT_EXISTS",
        "An agent of this name exists already; choose another name, or change that one",
    )
}

/// Writes a changed agent.
pub(super) async fn update(conn: &mut Conn, row: &AgentRow) -> QueryResult<()> {
    diesel::update(pay_agents::table.find((&row.org_id, &row.id)))
        .set(row)
        .execute(conn)
        .await?;
    Ok(())
}

/// Removes an agent.
pub(super) async fn delete(conn: &mut Conn, org_id: &str, id: &str) -> QueryResult<()> {
    diesel::delete(pay_agents::table.find((org_id, id)))
        .execute(conn)
        .await?;
    Ok(())
}
