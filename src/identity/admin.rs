//! What the operator does from the command line; the same rules as at the doors.

use uuid::Uuid;

use super::{
    accounts, authenticate,
    keys::{self, KeyRow, NewKey},
    memberships::{self, Role},
    organizations::{self, OrganizationRow},
    rules::{self, Checks},
    users::{self, UserRole, UserRow},
};
use crate::{
    clock::Clock,
    db::{Conn, Db},
    error::{Error, Result},
};

/// Most characters of a name.
const MAX_NAME_CHARS: usize = 100;
/// Most entries in one list of a key.
const MAX_LIST: usize = 100;

/// Creates an organisation without members.
pub async fn create_organization(db: &Db, clock: &Clock, name: &str) -> Result<OrganizationRow> {
    let mut checks = Checks::default();
    checks.length(name, 1, MAX_NAME_CHARS, "name");
    checks.finish()?;
    let mut conn = db.connection().await?;
    organizations::create(
        &mut conn,
        name.trim(),
        &rules::slug_of(name),
        None,
        clock.now(),
    )
    .await
}

/// Creates a user without an organisation. Errors: `INVALID_ARGUMENT`, `EMAIL_TAKEN`.
pub async fn create_user(
    db: &Db,
    clock: &Clock,
    email: &str,
    name: &str,
    password: &str,
    role: UserRole,
) -> Result<UserRow> {
    let user = accounts::prepare(clock, email, name, password, role).await?;
    users::insert(&mut *db.connection().await?, &user).await?;
    Ok(user)
}

/// Adds a user to an organisation, which becomes their default if they have none. The seats of the organisation count.
pub async fn add_member(
    db: &Db,
    clock: &Clock,
    org_id: &str,
    user_id: Uuid,
    role: Role,
) -> Result<()> {
    let now = clock.now();
    db.transaction("member_add", async |conn: &mut Conn| {
        let organization = organizations::lock(conn, org_id)
            .await?
            .ok_or_else(|| unknown_organization(org_id))?;
        let user = users::lock(conn, user_id)
            .await?
            .ok_or_else(|| unknown_user(user_id))?;
        let members = memberships::count(conn, org_id).await?;
        if members >= i64::from(organization.seat_limit) {
            return Err(seats_full(organization.seat_limit));
        }
        if !memberships::insert(conn, org_id, user_id, role, now).await? {
            return Err(Error::conflict(
                "MEMBER_EXISTS",
                "This user belongs to the organization already",
            ));
        }
        if user.default_org_id.is_none() {
            users::set_default_org(conn, user_id, org_id, now).await?;
        }
        Ok(())
    })
    .await
}

/// Issues a key; the second value is the key itself, which is shown once.
pub async fn create_key(db: &Db, clock: &Clock, new: NewKey) -> Result<(KeyRow, String)> {
    let mut checks = Checks::default();
    checks.length(&new.name, 1, MAX_NAME_CHARS, "name");
    for (list, field) in [
        (&new.permissions, "permissions"),
        (&new.ip_whitelist, "ip_whitelist"),
        (&new.allowed_agents, "allowed_agents"),
    ] {
        checks.require(
            list.len() <= MAX_LIST,
            field,
            format!("must have at most {MAX_LIST} entries"),
        );
        checks.require(
            list.iter().all(|entry| is_word(entry)),
            field,
            "must have entries of 1 to 200 characters without spaces",
        );
    }
    let are_rules = new
        .ip_whitelist
        .iter()
        .all(|entry| authenticate::parse_ip_rule(entry).is_some());
    checks.require(
        are_rules,
        "ip_whitelist",
        "must have IP addresses and CIDR blocks only",
    );
    checks.finish()?;

    let mut conn = db.connection().await?;
    if organizations::find(&mut conn, &new.org_id).await?.is_none() {
        return Err(unknown_organization(&new.org_id));
    }
    if let Some(user_id) = new.user_id
        && memberships::find(&mut conn, &new.org_id, user_id)
            .await?
            .is_none()
    {
        return Err(unknown_user(user_id));
    }
    Ok(keys::issue(&mut conn, new, clock.now()).await?)
}

/// The error of a full organisation.
pub(crate) fn seats_full(seat_limit: i32) -> Error {
    Error::forbidden(
        "SEATS_FULL",
        format!(
            "All {seat_limit} seats of this organization are taken; remove a member or change the plan"
        ),
    )
}

fn is_word(text: &str) -> bool {
    (1..=200).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn unknown_organization(id: &str) -> Error {
    Error::not_found(
        "ORGANIZATION_NOT_FOUND",
        format!("There is no organization {id}"),
    )
}

fn unknown_user(id: Uuid) -> Error {
    Error::not_found("USER_NOT_FOUND", format!("There is no such user: {id}"))
}
