//! Memberships: who belongs to which organisation, and in what role.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    organizations::OrganizationRow,
    schema::{memberships, organizations, users},
    users::UserRow,
    words::words,
};
use crate::db::Conn;

words! {
    /// What a member may do.
    Role {
        /// Everything.
        Owner = "owner",
        /// Work in the organisation.
        Member = "member",
        /// Look.
        Viewer = "viewer",
    }
}

/// A membership, as stored.
#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = memberships, check_for_backend(diesel::pg::Pg))]
pub struct MembershipRow {
    /// The organisation.
    pub org_id: String,
    /// The member.
    pub user_id: Uuid,
    /// What they may do.
    pub role: Role,
    /// When they joined.
    pub created_at: DateTime<Utc>,
}

/// The membership of a user in an organisation.
pub async fn find(
    conn: &mut Conn,
    org_id: &str,
    user_id: Uuid,
) -> QueryResult<Option<MembershipRow>> {
    memberships::table
        .find((org_id, user_id))
        .select(MembershipRow::as_select())
        .first(conn)
        .await
        .optional()
}

/// Adds a member; false when they are one already.
pub async fn insert(
    conn: &mut Conn,
    org_id: &str,
    user_id: Uuid,
    role: Role,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let row = MembershipRow {
        org_id: org_id.to_owned(),
        user_id,
        role,
        created_at: now,
    };
    let inserted = diesel::insert_into(memberships::table)
        .values(&row)
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(inserted == 1)
}

/// Changes the role of a member; false when they are none.
pub async fn set_role(
    conn: &mut Conn,
    org_id: &str,
    user_id: Uuid,
    role: Role,
) -> QueryResult<bool> {
    let row = memberships::table.find((org_id, user_id));
    Ok(diesel::update(row)
        .set(memberships::role.eq(role))
        .execute(conn)
        .await?
        == 1)
}

/// Removes a member; false when they are none.
pub async fn delete(conn: &mut Conn, org_id: &str, user_id: Uuid) -> QueryResult<bool> {
    Ok(diesel::delete(memberships::table.find((org_id, user_id)))
        .execute(conn)
        .await?
        == 1)
}

/// How many members an organisation has.
pub async fn count(conn: &mut Conn, org_id: &str) -> QueryResult<i64> {
    memberships::table
        .filter(memberships::org_id.eq(org_id))
        .count()
        .get_result(conn)
        .await
}

/// The organisations a user belongs to, oldest membership first.
pub async fn organizations_of(conn: &mut Conn, user_id: Uuid) -> QueryResult<Vec<OrganizationRow>> {
    memberships::table
        .inner_join(organizations::table)
        .filter(memberships::user_id.eq(user_id))
        .order((memberships::created_at, memberships::org_id))
        .select(OrganizationRow::as_select())
        .load(conn)
        .await
}

/// How many organisations a user belongs to.
pub async fn count_of_user(conn: &mut Conn, user_id: Uuid) -> QueryResult<i64> {
    memberships::table
        .filter(memberships::user_id.eq(user_id))
        .count()
        .get_result(conn)
        .await
}

/// The members of an organisation, oldest first; the number is bounded by its seats.
pub async fn members_of(
    conn: &mut Conn,
    org_id: &str,
) -> QueryResult<Vec<(MembershipRow, UserRow)>> {
    memberships::table
        .inner_join(users::table)
        .filter(memberships::org_id.eq(org_id))
        .order((memberships::created_at, memberships::user_id))
        .select((MembershipRow::as_select(), UserRow::as_select()))
        .load(conn)
        .await
}

/// One member of an organisation.
pub async fn member_of(
    conn: &mut Conn,
    org_id: &str,
    user_id: Uuid,
) -> QueryResult<Option<(MembershipRow, UserRow)>> {
    memberships::table
        .inner_join(users::table)
        .filter(memberships::org_id.eq(org_id))
        .filter(memberships::user_id.eq(user_id))
        .select((MembershipRow::as_select(), UserRow::as_select()))
        .first(conn)
        .await
        .optional()
}
