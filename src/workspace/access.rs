//! Who may see an organisation and who may change it.

use uuid::Uuid;

use crate::{
    db::Conn,
    error::{Error, Result},
    identity::{
        Caller, Principal,
        memberships::{self, MembershipRow, Role},
    },
};

/// Refuses a caller who does not belong to the organisation (`ORGANIZATION_NOT_FOUND`).
pub(super) async fn require_visible(conn: &mut Conn, caller: &Caller, org_id: &str) -> Result<()> {
    match &caller.principal {
        Principal::Key(key) if key.org_id == org_id => Ok(()),
        Principal::Key(_) => Err(organization_not_found()),
        _ => require_member(conn, org_id, caller.user_id()?)
            .await
            .map(drop),
    }
}

/// The user's membership; `ORGANIZATION_NOT_FOUND` without one.
pub(super) async fn require_member(
    conn: &mut Conn,
    org_id: &str,
    user_id: Uuid,
) -> Result<MembershipRow> {
    memberships::find(conn, org_id, user_id)
        .await?
        .ok_or_else(organization_not_found)
}

/// Refuses a user who is not an owner: `OWNER_ONLY` for members, `ORGANIZATION_NOT_FOUND` for others.
pub(super) async fn require_owner(conn: &mut Conn, org_id: &str, user_id: Uuid) -> Result<()> {
    match require_member(conn, org_id, user_id).await?.role {
        Role::Owner => Ok(()),
        Role::Member | Role::Viewer => Err(Error::forbidden(
            "OWNER_ONLY",
            "Only an owner of the organization may do this; ask one of them",
        )),
    }
}

/// The organisation does not exist for this caller.
pub(super) fn organization_not_found() -> Error {
    Error::not_found(
        "ORGANIZATION_NOT_FOUND",
        "There is no such organization among yours",
    )
}
