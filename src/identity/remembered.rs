//! Keys that were found a moment ago, for methods that confirm in their own transaction that a key is still good: what they
//! do is then done with the key, and one trip to the database is enough.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;

use super::{
    authenticate::invalid,
    keys::{self, KeyRow, Sha256},
};
use crate::{
    db::Conn,
    error::{Error, Kind, Result},
};

/// How long a key is remembered: as exact as `last_used_at`, which is written when it is looked up.
const LIFETIME: Duration = Duration::from_secs(60);
/// Most keys; when there are more, all are forgotten.
const KEYS_MAX: usize = 10_000;

/// The keys a process found lately.
#[derive(Default)]
pub struct Remembered(Mutex<HashMap<Sha256, (Instant, Arc<KeyRow>)>>);

impl Remembered {
    /// The key with this digest, if it was found lately.
    pub(super) fn get(self: &Arc<Self>, sha256: &Sha256) -> Option<Unconfirmed> {
        let keys = self.lock();
        let (since, row) = keys.get(sha256)?;
        (since.elapsed() < LIFETIME).then(|| Unconfirmed {
            sha256: *sha256,
            row: Arc::clone(row),
            remembered: Arc::clone(self),
        })
    }

    pub(super) fn put(&self, sha256: Sha256, row: Arc<KeyRow>) {
        let mut keys = self.lock();
        if keys.len() >= KEYS_MAX {
            keys.clear();
        }
        keys.insert(sha256, (Instant::now(), row));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Sha256, (Instant, Arc<KeyRow>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A key that was good a moment ago. Whoever is let through with it has to be confirmed before anything is done.
#[derive(Clone)]
pub struct Unconfirmed {
    sha256: Sha256,
    pub(super) row: Arc<KeyRow>,
    remembered: Arc<Remembered>,
}

impl Unconfirmed {
    /// Nothing when the key is as it was. 401 when it was revoked, 503 when what it may do was changed.
    fn compare(&self, found: Option<&KeyRow>) -> Result<()> {
        if found.is_some_and(|found| found.is_as_good_as(&self.row)) {
            return Ok(());
        }
        self.remembered.lock().remove(&self.sha256);
        match found {
            None => Err(invalid()),
            Some(_) => Err(Error::new(
                Kind::Unavailable,
                "CREDENTIAL_CHANGED",
                "This credential was changed just now; try again",
            )),
        }
    }
}

impl fmt::Debug for Unconfirmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Unconfirmed").field(&self.row.id).finish()
    }
}

/// Whether the keys are as they were, in their order; those that were looked up for the request are.
pub async fn confirm(conn: &Conn, keys: &[Option<&Unconfirmed>]) -> Result<Vec<Result<()>>> {
    let distinct: BTreeSet<&[u8]> = keys
        .iter()
        .flatten()
        .map(|key| key.sha256.as_slice())
        .collect();
    let found = try_join_all(distinct.into_iter().map(|sha256| keys::find(conn, sha256))).await?;
    let compare = |key: &Option<&Unconfirmed>| {
        let Some(key) = key else { return Ok(()) };
        let mut found = found.iter().flatten();
        key.compare(found.find(|row| row.sha256 == key.sha256))
    };
    Ok(keys.iter().map(compare).collect())
}
