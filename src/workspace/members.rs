//! Members of an organisation: contract section 3.2. Changes go one after another, under a lock on the organisation.

use std::time::SystemTime;

use uuid::Uuid;

use super::access::{organization_not_found, require_member, require_owner, require_visible};
use crate::{
    clock::Clock,
    db::{Conn, Db},
    error::{Error, Result},
    identity::{
        Caller, keys,
        memberships::{self, MembershipRow, Role},
        organizations,
        users::{self, UserRow},
    },
    proto::pulpo::workspace::v1::Member,
};

/// The members of an organisation the caller belongs to, oldest first.
pub(super) async fn list(db: &Db, caller: &Caller, org_id: &str) -> Result<Vec<Member>> {
    let mut conn = db.connection().await?;
    require_visible(&mut conn, caller, org_id).await?;
    Ok(memberships::members_of(&mut conn, org_id)
        .await?
        .into_iter()
        .map(Member::from)
        .collect())
}

/// Gives a member another role. Owners only; not their own, and never that of owner.
pub(super) async fn set_role(
    db: &Db,
    user_id: Uuid,
    org_id: &str,
    member: &str,
    role: &str,
) -> Result<Member> {
    let role =
        Role::parse(role).ok_or_else(|| Error::invalid("role", "must be member or viewer"))?;
    let member_id = users::parse_id(member);
    db.transaction("member_set_role", async |conn: &mut Conn| {
        organizations::lock(conn, org_id)
            .await?
            .ok_or_else(organization_not_found)?;
        require_owner(conn, org_id, user_id).await?;
        if member_id == Some(user_id) {
            return Err(Error::forbidden(
                "OWN_ROLE",
                "You cannot change your own role; another owner can",
            ));
        }
        if role == Role::Owner {
            return Err(Error::forbidden(
                "OWNER_NOT_ASSIGNABLE",
                "The role owner cannot be assigned; use member or viewer",
            ));
        }
        let member_id = member_id.ok_or_else(member_not_found)?;
        memberships::set_role(conn, org_id, member_id, role).await?;
        let member = memberships::member_of(conn, org_id, member_id).await?;
        member.map(Member::from).ok_or_else(member_not_found)
    })
    .await
}

/// Removes a member. Owners only; not themselves.
pub(super) async fn remove(
    db: &Db,
    clock: &Clock,
    user_id: Uuid,
    org_id: &str,
    member: &str,
) -> Result<()> {
    let (member_id, now) = (users::parse_id(member), clock.now());
    db.transaction("member_remove", async |conn: &mut Conn| {
        organizations::lock(conn, org_id)
            .await?
            .ok_or_else(organization_not_found)?;
        require_owner(conn, org_id, user_id).await?;
        if member_id == Some(user_id) {
            return Err(Error::forbidden(
                "CANNOT_REMOVE_SELF",
                "You cannot remove yourself; another owner can",
            ));
        }
        let member_id = member_id.ok_or_else(member_not_found)?;
        if !memberships::delete(conn, org_id, member_id).await? {
            return Err(member_not_found());
        }
        keys::revoke_of_member(conn, org_id, member_id, now).await?;
        users::clear_default_org(conn, member_id, org_id, now).await?;
        Ok(())
    })
    .await
}

/// Leaves an organisation. Owners cannot.
pub(super) async fn leave(db: &Db, clock: &Clock, user_id: Uuid, org_id: &str) -> Result<()> {
    let now = clock.now();
    db.transaction("member_leave", async |conn: &mut Conn| {
        organizations::lock(conn, org_id)
            .await?
            .ok_or_else(organization_not_found)?;
        if require_member(conn, org_id, user_id).await?.role == Role::Owner {
            return Err(Error::forbidden(
                "OWNER_CANNOT_LEAVE",
                "An owner cannot leave; delete the organization instead",
            ));
        }
        memberships::delete(conn, org_id, user_id).await?;
        keys::revoke_of_member(conn, org_id, user_id, now).await?;
        users::clear_default_org(conn, user_id, org_id, now).await?;
        Ok(())
    })
    .await
}

fn member_not_found() -> Error {
    Error::not_found(
        "MEMBER_NOT_FOUND",
        "This user does not belong to the organization",
    )
}

impl From<(MembershipRow, UserRow)> for Member {
    fn from((membership, user): (MembershipRow, UserRow)) -> Self {
        Self {
            user_id: users::print_id(user.id),
            email: user.email,
            display_name: user.name,
            avatar_url: user.avatar_url,
            role: membership.role.as_str().to_owned(),
            joined_at: Some(SystemTime::from(membership.created_at).into()),
        }
    }
}
