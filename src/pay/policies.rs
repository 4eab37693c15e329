//! Spending policies as rows, and which one is in force.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    result::{DatabaseErrorKind, Error as DieselError},
    sql_types::Text,
};
use diesel_async::RunQueryDsl;

use crate::{
    db::Conn,
    error::{Error, Result},
    identity::schema::organizations,
    proto::pulpo::pay::v1 as pb,
};

use super::{decision::PolicySnapshot, money::decimal, schema::policies, time::timestamp};

/// The index that allows one active policy per agent.
const ACTIVE_KEY: &str = "policies_active_agent_key";

/// A policy.
#[derive(
    Clone, Debug, PartialEq, Eq, Queryable, QueryableByName, Selectable, Insertable, AsChangeset,
)]
#[diesel(table_name = policies, primary_key(org_id, id), treat_none_as_null = true, check_for_backend(diesel::pg::Pg))]
pub struct PolicyRow {
    /// The organisation.
    pub org_id: String,
    /// pol_…
    pub id: String,
    /// Human-readable name.
    pub policy_name: String,
    /// The agent it binds; none for the organisation's default.
    pub agent_id: Option<String>,
    /// Most per payment.
    pub max_per_transaction_minor: Option<i64>,
    /// Most in any 24 hours.
    pub max_daily_minor: Option<i64>,
    /// Most in any 30 days.
    pub max_monthly_minor: Option<i64>,
    /// ISO 4217 code.
    pub currency: String,
    /// Payments strictly above need a human.
    pub require_human_above_minor: Option<i64>,
    /// If not empty, only these agents may be paid.
    pub approved_counterparties: Vec<String>,
    /// These agents may not be paid.
    pub blocked_counterparties: Vec<String>,
    /// If not empty, only these categories.
    pub allowed_categories: Vec<String>,
    /// Whether payments are checked for compliance.
    pub compliance_precheck: bool,
    /// The jurisdictions checked.
    pub compliance_jurisdictions: Vec<String>,
    /// Whether it decides payments.
    pub is_active: bool,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl From<PolicyRow> for pb::Policy {
    fn from(row: PolicyRow) -> Self {
        Self {
            id: row.id,
            org_id: row.org_id,
            policy_name: row.policy_name,
            agent_id: row.agent_id,
            max_per_transaction: row.max_per_transaction_minor.map(decimal),
            max_daily: row.max_daily_minor.map(decimal),
            max_monthly: row.max_monthly_minor.map(decimal),
            currency: row.currency,
            require_human_above: row.require_human_above_minor.map(decimal),
            approved_counterparties: row.approved_counterparties,
            blocked_counterparties: row.blocked_counterparties,
            allowed_categories: row.allowed_categories,
            compliance_precheck: row.compliance_precheck,
            compliance_jurisdictions: row.compliance_jurisdictions,
            is_active: row.is_active,
            created_at: Some(timestamp(row.created_at)),
        }
    }
}

impl From<PolicyRow> for PolicySnapshot {
    fn from(row: PolicyRow) -> Self {
        Self {
            id: row.id,
            org_id: row.org_id,
            policy_name: row.policy_name,
            agent_id: row.agent_id,
            max_per_transaction_minor: row.max_per_transaction_minor,
            max_daily_minor: row.max_daily_minor,
            max_monthly_minor: row.max_monthly_minor,
            currency: row.currency,
            require_human_above_minor: row.require_human_above_minor,
            approved_counterparties: row.approved_counterparties,
            blocked_counterparties: row.blocked_counterparties,
            allowed_categories: row.allowed_categories,
            compliance_precheck: row.compliance_precheck,
            compliance_jurisdictions: row.compliance_jurisdictions,
        }
    }
}

/// Whether there is such an organisation.
pub async fn organization_exists(conn: &mut Conn, id: &str) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(organizations::table.find(id)))
        .get_result(conn)
        .await
}

/// The policy in force for an agent: its own, else the default of its organisation, else that of the nearest
/// organisation above with one, up to 16 levels. A policy replaces those above as a whole.
pub async fn in_force(
    conn: &mut Conn,
    org_id: &str,
    agent_id: &str,
) -> QueryResult<Option<PolicySnapshot>> {
    let row: Option<PolicyRow> = diesel::sql_query(
        "WITH RECURSIVE up (id, parent_id, level) AS ( \
         SELECT id, parent_id, 0 FROM organizations WHERE id = $1 UNION ALL \
         SELECT o.id, o.parent_id, up.level + 1 FROM up JOIN organizations o ON o.id = up.parent_id WHERE up.level < 16) \
         SELECT p.* FROM up JOIN policies p ON p.org_id = up.id AND p.is_active \
         AND (p.agent_id IS NULL OR (up.level = 0 AND p.agent_id = $2)) \
         ORDER BY up.level, p.agent_id IS NULL LIMIT 1",
    )
    .bind::<Text, _>(org_id)
    .bind::<Text, _>(agent_id)
    .get_result(conn)
    .await
    .optional()?;
    Ok(row.map(PolicySnapshot::from))
}

/// The policies of the organisation, newest first, inactive ones too; with `agents` those that bind one of them: their
/// own and the defaults.
pub async fn list(
    conn: &mut Conn,
    org_id: &str,
    agents: Option<&[String]>,
) -> QueryResult<Vec<PolicyRow>> {
    let mut query = policies::table
        .filter(policies::org_id.eq(org_id))
        .order((policies::created_at.desc(), policies::seq.desc()))
        .select(PolicyRow::as_select())
        .into_boxed();
    if let Some(agents) = agents {
        let own = policies::agent_id.eq_any(agents).assume_not_null();
        query = query.filter(policies::agent_id.is_null().or(own));
    }
    query.load(conn).await
}

/// Stores a policy; 409 when the agent has an active one.
pub async fn insert(conn: &mut Conn, row: &PolicyRow) -> Result<()> {
    diesel::insert_into(policies::table)
        .values(row)
        .execute(conn)
        .await
        .map_err(conflict)?;
    Ok(())
}

/// The active policy, locked until the transaction ends.
pub async fn lock_active(conn: &mut Conn, org_id: &str, id: &str) -> Result<PolicyRow> {
    policies::table
        .find((org_id, id))
        .filter(policies::is_active)
        .select(PolicyRow::as_select())
        .for_no_key_update()
        .first(conn)
        .await
        .optional()?
        .ok_or_else(|| {
            Error::not_found("POLICY_NOT_FOUND", "There is no active policy with this id")
        })
}

/// Writes a changed policy; 409 when its agent has another active one.
pub async fn update(conn: &mut Conn, row: &PolicyRow) -> Result<()> {
    diesel::update(policies::table.find((&row.org_id, &row.id)))
        .set(row)
        .execute(conn)
        .await
        .map_err(conflict)?;
    Ok(())
}

fn conflict(error: DieselError) -> Error {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, info)
            if info.constraint_name() == Some(ACTIVE_KEY) =>
        {
            Error::conflict(
                "POLICY_EXISTS",
                "An active policy for this agent exists already; change it, or delete it first",
            )
        }
        other => other.into(),
    }
}
