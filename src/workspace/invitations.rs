//! Invitations to an organisation: contract section 3.2. There is no mail yet, so the answer that makes an invitation
//! carries its token, this once.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::access::{organization_not_found, require_owner};
use crate::{
    clock::Clock,
    db::{Conn, Db},
    error::{Error, Result},
    identity::{
        admin::seats_full,
        authenticate,
        invitations::{self, InvitationRow, InvitationStatus},
        memberships::{self, Role},
        organizations,
        rules::Checks,
        users,
    },
    proto::pulpo::workspace::v1::{Invitation, Membership},
};

/// Invites an address, in place of an earlier invitation that is still pending. Owners only, while there is a free seat.
pub(super) async fn invite(
    db: &Db,
    clock: &Clock,
    user_id: Uuid,
    org_id: &str,
    email: &str,
    role: Option<&str>,
) -> Result<Invitation> {
    let (email, role) = check_invite(email, role)?;
    let now = clock.now();
    let (row, token) = db
        .transaction("member_invite", async |conn: &mut Conn| {
            let organization = organizations::lock(conn, org_id)
                .await?
                .ok_or_else(organization_not_found)?;
            require_owner(conn, org_id, user_id).await?;
            if let Some(invited) = users::find_by_email(conn, &email).await?
                && memberships::find(conn, org_id, invited.id).await?.is_some()
            {
                return Err(Error::precondition(
                    "INVITEE_IS_MEMBER",
                    "This address belongs to a member already",
                ));
            }
            require_free_seat(conn, org_id, organization.seat_limit).await?;
            Ok(invitations::replace(conn, org_id, &email, role, user_id, now).await?)
        })
        .await?;
    let accept_url = format!("/api/v1/organizations/invitations/{token}/accept");
    Ok(Invitation {
        token: Some(token),
        accept_url: Some(accept_url),
        ..row.into()
    })
}

fn check_invite(email: &str, role: Option<&str>) -> Result<(String, Role)> {
    let mut checks = Checks::default();
    let email = checks.email(email, "email");
    let role = role
        .map_or(Some(Role::Member), Role::parse)
        .filter(|&role| role != Role::Owner);
    checks.require(role.is_some(), "role", "must be member or viewer");
    checks.finish()?;
    Ok((email, role.unwrap_or(Role::Viewer)))
}

/// The invitations that can still be accepted, newest first. Owners only.
pub(super) async fn list(
    db: &Db,
    clock: &Clock,
    user_id: Uuid,
    org_id: &str,
) -> Result<Vec<Invitation>> {
    let mut conn = db.connection().await?;
    require_owner(&mut conn, org_id, user_id).await?;
    let rows = invitations::pending_of(&mut conn, org_id, clock.now()).await?;
    Ok(rows.into_iter().map(Invitation::from).collect())
}

/// Makes the caller a member, if the invitation is theirs and still good.
pub(super) async fn accept(
    db: &Db,
    clock: &Clock,
    user_id: Uuid,
    token: &str,
) -> Result<Membership> {
    let now = clock.now();
    let accepted = db
        .transaction("invitation_accept", async |conn: &mut Conn| {
            accept_in(conn, user_id, token, now).await
        })
        .await?;
    accepted.ok_or_else(|| {
        Error::forbidden(
            "INVITATION_EXPIRED",
            "This invitation has expired; ask for a new one",
        )
    })
}

/// None where the invitation has expired: that is written down, so it is no error inside the transaction.
async fn accept_in(
    conn: &mut Conn,
    user_id: Uuid,
    token: &str,
    now: DateTime<Utc>,
) -> Result<Option<Membership>> {
    let invitation = invitations::find_by_token(conn, token)
        .await?
        .ok_or_else(invitation_not_found)?;
    let org_id = invitation.org_id.as_str();
    let organization = organizations::lock(conn, org_id)
        .await?
        .ok_or_else(invitation_not_found)?;
    let user = users::find(conn, user_id)
        .await?
        .ok_or_else(authenticate::invalid)?;
    if user.email != invitation.email {
        return Err(Error::forbidden(
            "INVITATION_NOT_YOURS",
            "This invitation is for another email address",
        ));
    }
    if memberships::find(conn, org_id, user_id).await?.is_some() {
        return Err(Error::forbidden(
            "ALREADY_MEMBER",
            "You belong to this organization already",
        ));
    }
    if invitation.status == InvitationStatus::Expired {
        return Ok(None);
    }
    if invitation.expires_at <= now {
        invitations::settle(conn, &invitation.id, InvitationStatus::Expired).await?;
        return Ok(None);
    }
    // Two at once, or an invitation that was replaced: only a pending one counts, and only once.
    if !invitations::settle(conn, &invitation.id, InvitationStatus::Accepted).await? {
        return Err(Error::forbidden(
            "INVITATION_CLOSED",
            "This invitation was used or replaced; ask for a new one",
        ));
    }
    require_free_seat(conn, org_id, organization.seat_limit).await?;
    memberships::insert(conn, org_id, user_id, invitation.role, now).await?;
    if user.default_org_id.is_none() {
        users::set_default_org(conn, user_id, org_id, now).await?;
    }
    Ok(Some(Membership {
        org_id: invitation.org_id,
        user_id: users::print_id(user_id),
        role: invitation.role.as_str().to_owned(),
    }))
}

/// `SEATS_FULL` unless one more member fits; the organisation must be locked.
async fn require_free_seat(conn: &mut Conn, org_id: &str, seat_limit: i32) -> Result<()> {
    match memberships::count(conn, org_id).await? >= i64::from(seat_limit) {
        true => Err(seats_full(seat_limit)),
        false => Ok(()),
    }
}

fn invitation_not_found() -> Error {
    Error::not_found("INVITATION_NOT_FOUND", "There is no such invitation")
}

impl From<InvitationRow> for Invitation {
    fn from(row: InvitationRow) -> Self {
        Self {
            id: row.id,
            email: row.email,
            role: row.role.as_str().to_owned(),
            status: row.status.as_str().to_owned(),
            expires_at: Some(SystemTime::from(row.expires_at).into()),
            created_at: Some(SystemTime::from(row.created_at).into()),
            token: None,
            accept_url: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_viewers_can_be_invited() {
        for (role, expected) in [
            (None, Role::Member),
            (Some("member"), Role::Member),
            (Some("viewer"), Role::Viewer),
        ] {
            let checked = check_invite(" Jane@Example.com ", role).ok();
            assert_eq!(
                checked,
                Some(("jane@example.com".to_owned(), expected)),
                "{role:?}"
            );
        }
    }

    #[test]
    fn nobody_is_invited_as_owner_and_every_wrong_field_is_named() {
        for role in ["owner", "admin", "", "Member"] {
            let fields = match check_invite("nobody", Some(role)) {
                Err(error) => error.violations.into_iter().map(|v| v.field).collect(),
                Ok(_) => Vec::new(),
            };
            assert_eq!(fields, ["email", "role"], "{role:?}");
        }
    }
}
