//! Refresh tokens: good for one exchange. Whoever shows a used one has stolen it or was stolen from, so its whole family
//! goes (RFC 9700, section 4.14.2).

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{digest, schema::refresh_tokens, users};
use crate::{
    clock::Clock,
    db::{Conn, Db},
    error::{Error, Result},
};

/// How long an unused refresh token is good for.
const LIFETIME: TimeDelta = TimeDelta::days(30);

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = refresh_tokens, check_for_backend(diesel::pg::Pg))]
struct RefreshTokenRow {
    id: Uuid,
    user_id: Uuid,
    family: Uuid,
    sha256: Vec<u8>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    used_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

/// The first token of a new family, at login. Tokens of the user that have expired are removed.
pub async fn start(conn: &mut Conn, user_id: Uuid, now: DateTime<Utc>) -> QueryResult<String> {
    diesel::delete(
        refresh_tokens::table
            .filter(refresh_tokens::user_id.eq(user_id))
            .filter(refresh_tokens::expires_at.le(now)),
    )
    .execute(conn)
    .await?;
    issue(conn, user_id, Uuid::now_v7(), now).await
}

/// Exchanges a token for the next of its family and says whose it is. Errors: `INVALID_REFRESH_TOKEN`; showing a used
/// token also revokes its family.
pub async fn rotate(db: &Db, clock: &Clock, token: &str) -> Result<(Uuid, String)> {
    let (sha256, now) = (digest::sha256(token), clock.now());
    let next = db
        .transaction("refresh_token_rotate", async |conn: &mut Conn| {
            rotate_in(conn, &sha256, now).await
        })
        .await?;
    next.ok_or_else(|| {
        Error::unauthenticated(
            "INVALID_REFRESH_TOKEN",
            "This refresh token is unknown, used or expired; log in again",
        )
    })
}

/// None where the token is refused; what that revokes is kept, so it is no error here.
async fn rotate_in(
    conn: &mut Conn,
    sha256: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<(Uuid, String)>> {
    let by_digest = refresh_tokens::table.filter(refresh_tokens::sha256.eq(sha256.as_slice()));
    let Some(user_id) = by_digest
        .select(refresh_tokens::user_id)
        .first::<Uuid>(conn)
        .await
        .optional()?
    else {
        return Ok(None);
    };
    // Exchanges of one user go one after another: a family cannot grow while it is revoked.
    if users::lock(conn, user_id).await?.is_none() {
        return Ok(None);
    }
    let Some(row) = by_digest
        .select(RefreshTokenRow::as_select())
        .first(conn)
        .await
        .optional()?
    else {
        return Ok(None);
    };
    if row.used_at.is_some() {
        revoke_family(conn, row.family, now).await?;
        return Ok(None);
    }
    if row.revoked_at.is_some() || row.expires_at <= now {
        return Ok(None);
    }
    diesel::update(refresh_tokens::table.find(row.id))
        .set(refresh_tokens::used_at.eq(now))
        .execute(conn)
        .await?;
    let token = issue(conn, user_id, row.family, now).await?;
    Ok(Some((user_id, token)))
}

async fn issue(
    conn: &mut Conn,
    user_id: Uuid,
    family: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<String> {
    let token = digest::random_urlsafe("v1.");
    let row = RefreshTokenRow {
        id: Uuid::now_v7(),
        user_id,
        family,
        sha256: digest::sha256(&token).to_vec(),
        created_at: now,
        expires_at: now + LIFETIME,
        used_at: None,
        revoked_at: None,
    };
    diesel::insert_into(refresh_tokens::table)
        .values(&row)
        .execute(conn)
        .await?;
    Ok(token)
}

async fn revoke_family(conn: &mut Conn, family: Uuid, now: DateTime<Utc>) -> QueryResult<usize> {
    diesel::update(
        refresh_tokens::table
            .filter(refresh_tokens::family.eq(family))
            .filter(refresh_tokens::revoked_at.is_null()),
    )
    .set(refresh_tokens::revoked_at.eq(now))
    .execute(conn)
    .await
}
