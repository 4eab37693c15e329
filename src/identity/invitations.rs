//! Invitations: a row and its queries. Only the SHA-256 of a token is stored.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{digest, memberships::Role, schema::invitations, words::words};
use crate::{db::Conn, ids};

/// How long an invitation can be accepted.
const LIFETIME: TimeDelta = TimeDelta::days(7);

/// Most invitations one listing gives.
const MAX_LISTED: i64 = 1000;

words! {
    /// What became of an invitation.
    InvitationStatus {
        /// Not yet answered.
        Pending = "pending",
        /// The invited is a member.
        Accepted = "accepted",
        /// Not answered in time.
        Expired = "expired",
        /// Replaced by a newer one.
        Revoked = "revoked",
    }
}

/// An invitation, as stored.
#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = invitations, check_for_backend(diesel::pg::Pg))]
pub struct InvitationRow {
    /// `inv_…`
    pub id: String,
    /// The organisation to join.
    pub org_id: String,
    /// Whom it invites, in lower case.
    pub email: String,
    /// member or viewer.
    pub role: Role,
    /// SHA-256 of the token.
    pub token_sha256: Vec<u8>,
    /// What became of it.
    pub status: InvitationStatus,
    /// From when on it cannot be accepted.
    pub expires_at: DateTime<Utc>,
    /// Who sent it.
    pub invited_by: Option<Uuid>,
    /// When it was sent.
    pub created_at: DateTime<Utc>,
}

/// Stores an invitation in place of a pending one to the same address; the second value is its token, shown once.
pub async fn replace(
    conn: &mut Conn,
    org_id: &str,
    email: &str,
    role: Role,
    invited_by: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<(InvitationRow, String)> {
    let pending = invitations::table
        .filter(invitations::org_id.eq(org_id))
        .filter(invitations::email.eq(email))
        .filter(invitations::status.eq(InvitationStatus::Pending));
    diesel::update(pending)
        .set(invitations::status.eq(InvitationStatus::Revoked))
        .execute(conn)
        .await?;

    let token = digest::random_urlsafe("");
    let row = InvitationRow {
        id: ids::sortable("inv"),
        org_id: org_id.to_owned(),
        email: email.to_owned(),
        role,
        token_sha256: digest::sha256(&token).to_vec(),
        status: InvitationStatus::Pending,
        expires_at: now + LIFETIME,
        invited_by: Some(invited_by),
        created_at: now,
    };
    diesel::insert_into(invitations::table)
        .values(&row)
        .execute(conn)
        .await?;
    Ok((row, token))
}

/// The invitations that can still be accepted, newest first.
pub async fn pending_of(
    conn: &mut Conn,
    org_id: &str,
    now: DateTime<Utc>,
) -> QueryResult<Vec<InvitationRow>> {
    invitations::table
        .filter(invitations::org_id.eq(org_id))
        .filter(invitations::status.eq(InvitationStatus::Pending))
        .filter(invitations::expires_at.gt(now))
        .order((invitations::created_at.desc(), invitations::id.desc()))
        .limit(MAX_LISTED)
        .select(InvitationRow::as_select())
        .load(conn)
        .await
}

/// The invitation with this token.
pub async fn find_by_token(conn: &mut Conn, token: &str) -> QueryResult<Option<InvitationRow>> {
    invitations::table
        .filter(invitations::token_sha256.eq(digest::sha256(token).to_vec()))
        .select(InvitationRow::as_select())
        .first(conn)
        .await
        .optional()
}

/// Writes what became of a pending invitation; false when it is not pending any more.
pub async fn settle(conn: &mut Conn, id: &str, status: InvitationStatus) -> QueryResult<bool> {
    let pending = invitations::table
        .find(id)
        .filter(invitations::status.eq(InvitationStatus::Pending));
    Ok(diesel::update(pending)
        .set(invitations::status.eq(status))
        .execute(conn)
        .await?
        == 1)
}
