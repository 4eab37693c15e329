//! Spending policies as rows, and which one is in force.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    result::{DatabaseErrorKind, Error as DieselError},
    sql_types::{Array, BigInt, Jsonb, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::{
    db::{
        Conn,
        prepared::{column, prepared},
    },
    error::{Error, Result},
    identity::{organizations, schema::organizations as organization_rows},
    proto::pulpo::pay::v1 as pb,
};

use super::{decision::PolicySnapshot, money::decimal, schema::policies, time::timestamp};

mod remembered;

pub use remembered::Remembered;

/// Most active policies of an organisation.
const ACTIVE_MAX: i64 = 500;
/// How many inactive policies are listed.
const INACTIVE_LISTED: i64 = 100;
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
    /// What it says now, as payments name it; given by [`insert`] and [`update`].
    pub version_id: i64,
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
            version_id: row.version_id,
        }
    }
}

/// Those of the organisations that exist, with what they are called.
pub async fn existing_organizations(
    mut conn: &Conn,
    ids: &[&str],
) -> QueryResult<HashMap<String, String>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let found: Vec<(String, String)> = organization_rows::table
        .filter(organization_rows::id.eq_any(ids))
        .select((organization_rows::id, organization_rows::name))
        .load(&mut conn)
        .await?;
    Ok(found.into_iter().collect())
}

#[derive(QueryableByName)]
struct Candidate {
    #[diesel(sql_type = Text)]
    asked_org_id: String,
    #[diesel(embed)]
    row: PolicyRow,
}

/// The policies in force for agents of organisations: an agent's own, else the default of its organisation, else that of
/// the nearest organisation above with one, up to 16 levels. A policy replaces those above as a whole.
pub async fn in_force(
    mut conn: &Conn,
    agents: &[(&str, &str)],
) -> QueryResult<HashMap<(String, String), Arc<PolicySnapshot>>> {
    const FIND: &str = "WITH RECURSIVE up (asked_org_id, id, parent_id, level) AS ( \
        SELECT id, id, parent_id, 0 FROM organizations WHERE id = ANY($1) UNION ALL \
        SELECT up.asked_org_id, o.id, o.parent_id, up.level + 1 FROM up JOIN organizations o ON o.id = up.parent_id WHERE up.level < 16) \
        SELECT * FROM (SELECT DISTINCT ON (up.asked_org_id) up.asked_org_id, p.* FROM up \
        JOIN policies p ON p.org_id = up.id AND p.is_active AND coalesce(p.agent_id, '') = '' ORDER BY up.asked_org_id, up.level) AS defaults \
        UNION ALL SELECT p.org_id, p.* FROM unnest($2::text[], $3::text[]) AS a (org_id, agent_id) \
        JOIN policies p ON p.org_id = a.org_id AND p.is_active AND coalesce(p.agent_id, '') = a.agent_id";
    let organizations: BTreeSet<&str> = agents.iter().map(|(org_id, _)| *org_id).collect();
    let found: Vec<Candidate> = prepared(FIND, |query| {
        query
            .bind::<Array<Text>, _>(Vec::from_iter(organizations))
            .bind::<Array<Text>, _>(column(agents, |agent| agent.0))
            .bind::<Array<Text>, _>(column(agents, |agent| agent.1))
    })
    .load(&mut conn)
    .await?;
    let (mut own, mut defaults) = (HashMap::new(), HashMap::new());
    for candidate in found {
        let agent_id = candidate.row.agent_id.clone();
        let policy = Arc::new(PolicySnapshot::from(candidate.row));
        match agent_id {
            Some(agent_id) => own.insert((candidate.asked_org_id, agent_id), policy),
            None => defaults.insert(candidate.asked_org_id, policy),
        };
    }
    let in_force = agents.iter().filter_map(|(org_id, agent_id)| {
        let key = ((*org_id).to_owned(), (*agent_id).to_owned());
        let policy = own.get(&key).or_else(|| defaults.get(*org_id))?;
        Some((key, Arc::clone(policy)))
    });
    Ok(in_force.collect())
}

/// The policies of the organisation, newest first, all that are active and the newest inactive ones; with `agents` those
/// that bind one of them: their own and the defaults.
pub async fn list(
    conn: &mut Conn,
    org_id: &str,
    agents: Option<&[String]>,
) -> QueryResult<Vec<PolicyRow>> {
    const LIST: &str = "WITH bound AS NOT MATERIALIZED (SELECT * FROM policies \
        WHERE org_id = $1 AND ($2::text[] IS NULL OR agent_id IS NULL OR agent_id = ANY($2))) \
        SELECT * FROM bound WHERE is_active UNION ALL \
        (SELECT * FROM bound WHERE NOT is_active ORDER BY created_at DESC, seq DESC LIMIT $3) \
        ORDER BY created_at DESC, seq DESC";
    prepared(LIST, |query| {
        query
            .bind::<Text, _>(org_id)
            .bind::<Nullable<Array<Text>>, _>(agents)
            .bind::<BigInt, _>(INACTIVE_LISTED)
    })
    .load(conn)
    .await
}

/// Stores a policy; 409 when the agent has an active one, 400 when the organisation has too many.
pub async fn insert(conn: &mut Conn, row: &PolicyRow) -> Result<()> {
    // One after the other, so that the number holds.
    organizations::lock(conn, &row.org_id).await?;
    let active: i64 = policies::table
        .filter(policies::org_id.eq(&row.org_id).and(policies::is_active))
        .count()
        .get_result(conn)
        .await?;
    if active >= ACTIVE_MAX {
        return Err(Error::precondition(
            "TOO_MANY_POLICIES",
            format!("An organization may have {ACTIVE_MAX} active policies; delete one first"),
        ));
    }
    let row = next_version(conn, row).await?;
    diesel::insert_into(policies::table)
        .values(&row)
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
    let row = next_version(conn, row).await?;
    diesel::update(policies::table.find((&row.org_id, &row.id)))
        .set(&row)
        .execute(conn)
        .await
        .map_err(conflict)?;
    Ok(())
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// Keeps what the policy says from now on, for the payments it decides.
async fn next_version(conn: &mut Conn, row: &PolicyRow) -> Result<PolicyRow> {
    const KEEP: &str = "INSERT INTO policy_versions (org_id, policy_id, snapshot, created_at) VALUES ($1, $2, $3, $4) RETURNING id";
    let snapshot = PolicySnapshot::from(row.clone());
    let snapshot = serde_json::to_value(snapshot).map_err(Error::internal)?;
    let Version { id } = prepared(KEEP, |query| {
        query
            .bind::<Text, _>(&row.org_id)
            .bind::<Text, _>(&row.id)
            .bind::<Jsonb, _>(snapshot)
            .bind::<Timestamptz, _>(row.updated_at)
    })
    .get_result(conn)
    .await?;
    Ok(PolicyRow {
        version_id: id,
        ..row.clone()
    })
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
