//! Registration and login by email and password, the same for every API.

use uuid::Uuid;

use super::{
    organizations, passwords,
    rules::Checks,
    users::{self, UserRole, UserRow},
};
use crate::{
    clock::Clock,
    db::{Conn, Db},
    error::{Error, Result},
};

/// Fewest characters of a password.
const MIN_PASSWORD_CHARS: usize = 8;
/// Most characters of a password; hashing takes them all.
const MAX_PASSWORD_CHARS: usize = 1000;
/// Fewest characters of a user's name.
const MIN_NAME_CHARS: usize = 2;
/// Most characters of a user's name.
const MAX_NAME_CHARS: usize = 200;

/// Registers a user with an organisation of their own. Errors: `INVALID_ARGUMENT`, `EMAIL_TAKEN`.
pub async fn register(
    db: &Db,
    clock: &Clock,
    email: &str,
    name: &str,
    password: &str,
) -> Result<UserRow> {
    let user = prepare(clock, email, name, password, UserRole::User).await?;
    db.transaction("user_register", async |conn: &mut Conn| {
        let mut user = user.clone();
        users::insert(conn, &user).await?;
        let organization = organizations::create_personal(conn, &user, user.created_at).await?;
        user.default_org_id = Some(organization.id);
        Ok(user)
    })
    .await
}

/// A valid user that is not stored yet.
pub(super) async fn prepare(
    clock: &Clock,
    email: &str,
    name: &str,
    password: &str,
    role: UserRole,
) -> Result<UserRow> {
    let mut checks = Checks::default();
    let email = checks.email(email, "email");
    checks.length(name, MIN_NAME_CHARS, MAX_NAME_CHARS, "name");
    let length = password.chars().count();
    checks.require(
        (MIN_PASSWORD_CHARS..=MAX_PASSWORD_CHARS).contains(&length),
        "password",
        format!("must have {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters"),
    );
    checks.finish()?;
    let password_hash = passwords::hash(password).await?;
    let now = clock.now();
    Ok(UserRow {
        id: Uuid::new_v4(),
        email,
        name: name.trim().to_owned(),
        avatar_url: None,
        password_hash,
        role,
        default_org_id: None,
        has_onboarded: false,
        onboarded_at: None,
        demo_project_id: None,
        created_at: now,
        updated_at: now,
    })
}

/// The user with this address and password. `WRONG_CREDENTIALS`, after the same work, whichever of the two is wrong.
pub async fn login(db: &Db, email: &str, password: &str) -> Result<UserRow> {
    let email = email.trim().to_lowercase();
    let user = match password.chars().count() {
        0..=MAX_PASSWORD_CHARS => {
            users::find_by_email(&mut *db.connection().await?, &email).await?
        }
        _ => return Err(wrong_credentials()),
    };
    let is_right = passwords::verify(
        password,
        user.as_ref().map(|user| user.password_hash.as_str()),
    )
    .await?;
    user.filter(|_| is_right).ok_or_else(wrong_credentials)
}

fn wrong_credentials() -> Error {
    Error::unauthenticated("WRONG_CREDENTIALS", "Email or password is wrong")
}
