//! Organisations: a row and its queries. A tenant is an organisation.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    result::{DatabaseErrorKind, Error as DieselError},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    memberships::{self, Role},
    rules,
    schema::organizations,
    users::{self, UserRow},
};
use crate::{
    db::Conn,
    error::{Error, Result},
    ids,
};

/// Slugs tried before the clash is a fault: each suffix has 32 random bits.
const SLUG_ATTEMPTS: usize = 4;

/// The plan of a new organisation.
const FIRST_PLAN: &str = "free";
/// The seats of a new organisation.
const FIRST_SEAT_LIMIT: i32 = 5;

/// An organisation, as stored.
#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = organizations, check_for_backend(diesel::pg::Pg))]
pub struct OrganizationRow {
    /// `org_…`
    pub id: String,
    /// Name to show.
    pub name: String,
    /// Name in addresses, unique.
    pub slug: String,
    /// Column `type`: standard, or what the payments API prints.
    pub kind: String,
    /// The organisation this one belongs to.
    pub parent_id: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Picture.
    pub avatar_url: Option<String>,
    /// free, plus, pro, team or enterprise.
    pub plan: String,
    /// How many members it may have.
    pub seat_limit: i32,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// What changes; absent fields stay.
#[derive(Clone, Debug, Default, AsChangeset)]
#[diesel(table_name = organizations)]
pub struct OrganizationChanges {
    /// Name to show.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Picture; the inner none removes it.
    pub avatar_url: Option<Option<String>>,
}

/// The organisation with this id.
pub async fn find(conn: &mut Conn, id: &str) -> QueryResult<Option<OrganizationRow>> {
    organizations::table
        .find(id)
        .select(OrganizationRow::as_select())
        .first(conn)
        .await
        .optional()
}

/// The organisation, locked until the transaction ends: its members and seats change one after another.
pub async fn lock(conn: &mut Conn, id: &str) -> QueryResult<Option<OrganizationRow>> {
    organizations::table
        .find(id)
        .select(OrganizationRow::as_select())
        .for_no_key_update()
        .first(conn)
        .await
        .optional()
}

/// Creates an organisation; where the slug is taken, it gets a random suffix.
pub async fn create(
    conn: &mut Conn,
    name: &str,
    slug: &str,
    description: Option<String>,
    now: DateTime<Utc>,
) -> Result<OrganizationRow> {
    let mut row = OrganizationRow {
        id: ids::sortable("org"),
        name: name.to_owned(),
        slug: slug.to_owned(),
        kind: "standard".to_owned(),
        parent_id: None,
        description,
        avatar_url: None,
        plan: FIRST_PLAN.to_owned(),
        seat_limit: FIRST_SEAT_LIMIT,
        created_at: now,
        updated_at: now,
    };
    for _ in 0..SLUG_ATTEMPTS {
        let inserted = diesel::insert_into(organizations::table)
            .values(&row)
            .on_conflict(organizations::slug)
            .do_nothing()
            .execute(conn)
            .await?;
        if inserted == 1 {
            return Ok(row);
        }
        row.slug = ids::secret(&format!("{slug}-"), 8);
    }
    Err(Error::internal(anyhow::anyhow!(
        "no free slug for {slug} in {SLUG_ATTEMPTS} attempts"
    )))
}

/// Creates an organisation owned by the user.
pub async fn create_owned(
    conn: &mut Conn,
    owner_id: Uuid,
    name: &str,
    description: Option<String>,
    now: DateTime<Utc>,
) -> Result<OrganizationRow> {
    let row = create(conn, name, &rules::slug_of(name), description, now).await?;
    memberships::insert(conn, &row.id, owner_id, Role::Owner, now).await?;
    Ok(row)
}

/// Creates the organisation a user starts with, which becomes their default.
pub async fn create_personal(
    conn: &mut Conn,
    user: &UserRow,
    now: DateTime<Utc>,
) -> Result<OrganizationRow> {
    let name = format!("{}'s Workspace", user.name);
    let row = create(conn, &name, &format!("personal-{}", user.id), None, now).await?;
    memberships::insert(conn, &row.id, user.id, Role::Owner, now).await?;
    users::set_default_org(conn, user.id, &row.id, now).await?;
    Ok(row)
}

/// Changes an organisation and gives it as it is now; none if it does not exist.
pub async fn update(
    conn: &mut Conn,
    id: &str,
    changes: &OrganizationChanges,
    now: DateTime<Utc>,
) -> QueryResult<Option<OrganizationRow>> {
    diesel::update(organizations::table.find(id))
        .set((changes, organizations::updated_at.eq(now)))
        .returning(OrganizationRow::as_returning())
        .get_result(conn)
        .await
        .optional()
}

/// Deletes an organisation with its members, invitations and keys; `ORGANIZATION_IN_USE` while records that must be kept
/// (payments, for example) belong to it.
pub async fn delete(conn: &mut Conn, id: &str) -> Result<()> {
    match diesel::delete(organizations::table.find(id))
        .execute(conn)
        .await
    {
        Ok(_) => Ok(()),
        Err(DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)) => {
            Err(Error::precondition(
                "ORGANIZATION_IN_USE",
                "Records that must be kept belong to this organization, so it cannot be deleted",
            ))
        }
        Err(error) => Err(error.into()),
    }
}
