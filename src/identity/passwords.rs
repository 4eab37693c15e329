//! Passwords: argon2id, off the async threads, a few at a time, and the same work whether or not the user exists.

use std::time::Duration;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::{sync::Semaphore, time::timeout};

use crate::error::{Error, Result};

/// Each hash takes 19 MiB for some tens of milliseconds; more at once would only wait for processors.
const AT_ONCE: usize = 4;

/// How long a login waits for its turn.
const MAX_WAIT: Duration = Duration::from_secs(5);

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

/// Of no password; it is verified against where there is no user, so that the time tells nothing.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$cHVscG8gbm9ib2R5ISEhIQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The PHC string to store for a password.
pub(super) async fn hash(password: &str) -> Result<String> {
    let password = password.to_owned();
    in_turn(move || {
        let hash = Argon2::default().hash_password(password.as_bytes());
        hash.map(|hash| hash.to_string())
            .map_err(|error| Error::internal(anyhow::anyhow!("argon2: {error}")))
    })
    .await?
}

/// Whether the password is the one hashed; false, after the same work, without a hash.
pub(super) async fn verify(password: &str, stored: Option<&str>) -> Result<bool> {
    let (password, hash) = (password.to_owned(), stored.unwrap_or(NOBODY).to_owned());
    let is_right = in_turn(move || {
        PasswordHash::new(&hash).is_ok_and(|hash| {
            Argon2::default()
                .verify_password(password.as_bytes(), &hash)
                .is_ok()
        })
    })
    .await?;
    Ok(is_right && stored.is_some())
}

async fn in_turn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let turn = timeout(MAX_WAIT, TURNS.acquire()).await;
    let Ok(Ok(_turn)) = turn else {
        let context = anyhow::anyhow!("{AT_ONCE} hashes at once, none free for {MAX_WAIT:?}");
        return Err(Error::unavailable(
            "LOGIN_BUSY",
            "Too many logins at once; try again shortly",
            context,
        ));
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_verified_against_its_hash() {
        let stored = hash("correct horse").await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$"));
        assert!(verify("correct horse", Some(&stored)).await.unwrap());
        assert!(!verify("correct horsf", Some(&stored)).await.unwrap());
        assert_ne!(stored, hash("correct horse").await.unwrap());
    }

    #[tokio::test]
    async fn nobody_has_a_password_but_costs_the_same() {
        let cost = |phc: &str| phc.split('$').take(4).collect::<Vec<_>>().join("$");
        assert_eq!(cost(NOBODY), cost(&hash("x").await.unwrap()));
        assert_eq!(PasswordHash::new(NOBODY).unwrap().hash.unwrap().len(), 32);
        assert!(!verify("x", None).await.unwrap());
    }
}
