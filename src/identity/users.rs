//! Users: a row and its queries. Email addresses are stored in lower case.

use chrono::{DateTime, Utc};
use diesel::{dsl::exists as sql_exists, prelude::*};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{schema::users, words::words};
use crate::{
    db::Conn,
    error::{Error, Result},
};

words! {
    /// What a user is on the deployment platform.
    UserRole {
        /// Everybody.
        User = "user",
        /// An operator.
        Admin = "admin",
    }
}

/// A user, as stored.
#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = users, check_for_backend(diesel::pg::Pg))]
pub struct UserRow {
    /// Random UUID.
    pub id: Uuid,
    /// In lower case, unique.
    pub email: String,
    /// Name to show.
    pub name: String,
    /// Picture.
    pub avatar_url: Option<String>,
    /// argon2id in PHC form.
    pub password_hash: String,
    /// user or admin.
    pub role: UserRole,
    /// The organisation new things go to.
    pub default_org_id: Option<String>,
    /// Whether onboarding is done.
    pub has_onboarded: bool,
    /// When it was done.
    pub onboarded_at: Option<DateTime<Utc>>,
    /// The project made by onboarding.
    pub demo_project_id: Option<String>,
    /// When the user was registered.
    pub created_at: DateTime<Utc>,
    /// When the profile last changed.
    pub updated_at: DateTime<Utc>,
}

/// Prefix of user ids where they are printed.
const PRINTED_PREFIX: &str = "user_";

/// `user_` and 32 hexadecimal digits.
pub fn print_id(id: Uuid) -> String {
    format!("{PRINTED_PREFIX}{}", id.simple())
}

/// The id [`print_id`] printed, or a plain UUID.
pub fn parse_id(text: &str) -> Option<Uuid> {
    let text = text.strip_prefix(PRINTED_PREFIX).unwrap_or(text);
    // Braced and URN forms are not ours.
    matches!(text.len(), 32 | 36)
        .then(|| Uuid::try_parse(text).ok())
        .flatten()
}

/// Whether the user still exists.
pub async fn exists(conn: &mut Conn, id: Uuid) -> QueryResult<bool> {
    diesel::select(sql_exists(users::table.filter(users::id.eq(id))))
        .get_result(conn)
        .await
}

/// The user with this id.
pub async fn find(conn: &mut Conn, id: Uuid) -> QueryResult<Option<UserRow>> {
    users::table
        .find(id)
        .select(UserRow::as_select())
        .first(conn)
        .await
        .optional()
}

/// The user with this address, which is in lower case.
pub async fn find_by_email(conn: &mut Conn, email: &str) -> QueryResult<Option<UserRow>> {
    users::table
        .filter(users::email.eq(email))
        .select(UserRow::as_select())
        .first(conn)
        .await
        .optional()
}

/// The user, locked against other changes until the transaction ends.
pub async fn lock(conn: &mut Conn, id: Uuid) -> QueryResult<Option<UserRow>> {
    users::table
        .find(id)
        .select(UserRow::as_select())
        .for_no_key_update()
        .first(conn)
        .await
        .optional()
}

/// Stores a new user; `EMAIL_TAKEN` when the address has one.
pub async fn insert(conn: &mut Conn, row: &UserRow) -> Result<()> {
    let inserted = diesel::insert_into(users::table)
        .values(row)
        .on_conflict(users::email)
        .do_nothing()
        .execute(conn)
        .await?;
    match inserted {
        0 => Err(Error::conflict(
            "EMAIL_TAKEN",
            "This email address is registered already; log in instead",
        )),
        _ => Ok(()),
    }
}

/// Sets the organisation new things go to.
pub async fn set_default_org(
    conn: &mut Conn,
    id: Uuid,
    org_id: &str,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    diesel::update(users::table.find(id))
        .set((users::default_org_id.eq(org_id), users::updated_at.eq(now)))
        .execute(conn)
        .await
}

/// Forgets the default organisation where it is this one: the user no longer belongs to it.
pub async fn clear_default_org(
    conn: &mut Conn,
    id: Uuid,
    org_id: &str,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    diesel::update(
        users::table
            .find(id)
            .filter(users::default_org_id.eq(org_id)),
    )
    .set((
        users::default_org_id.eq(None::<String>),
        users::updated_at.eq(now),
    ))
    .execute(conn)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_printed_with_a_prefix_and_parsed_back() {
        let id = Uuid::new_v4();
        assert_eq!(parse_id(&print_id(id)), Some(id));
        assert_eq!(parse_id(&id.to_string()), Some(id));
        for wrong in [
            "",
            "user_",
            "user_1",
            "org_00000000000000000000000000000000",
            &id.urn().to_string(),
            &id.braced().to_string(),
        ] {
            assert_eq!(parse_id(wrong), None, "{wrong}");
        }
    }
}
