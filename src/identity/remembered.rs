//! Keys that were found a moment ago, for methods that confirm in their own transaction that a key is still good: what they
//! do is then done with the key, and one trip to the database is enough.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use uuid::Uuid;

use super::{
    authenticate::invalid,
    keys::{self, KeyRow, Sha256},
};
use crate::{
    db::{Conn, generation::Memory},
    error::{Error, Kind, Result},
};

/// How long a key is remembered: as exact as `last_used_at`, which is written when it is looked up.
const LIFETIME: Duration = Duration::from_secs(60);
/// Most keys; when there are more, all are forgotten.
const KEYS_MAX: usize = 10_000;

/// The keys a process found lately.
pub struct Remembered {
    found: Mutex<HashMap<Sha256, (Instant, Arc<KeyRow>)>>,
    /// Those that were confirmed, as long as no key changes.
    confirmed: Memory<Sha256, Arc<KeyRow>>,
}

impl Default for Remembered {
    fn default() -> Self {
        Self {
            found: Mutex::default(),
            confirmed: Memory::new(KEYS_MAX),
        }
    }
}

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
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// Whether it was confirmed in this generation.
    fn is_confirmed(&self, generation: Uuid) -> bool {
        let confirmed = self.remembered.confirmed.get(generation, &self.sha256);
        confirmed.is_some_and(|row| row.is_as_good_as(&self.row))
    }

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

/// Whether the keys are as they were, in their order; those that were looked up for the request are. Of what was confirmed
/// in a `generation` that was read in the same transaction nothing is read again.
pub async fn confirm(
    conn: &Conn,
    keys: &[Option<&Unconfirmed>],
    generation: Option<Uuid>,
) -> Result<Vec<Result<()>>> {
    let is_open = |key: &&Unconfirmed| !generation.is_some_and(|now| key.is_confirmed(now));
    let open: BTreeMap<Sha256, &Unconfirmed> = keys
        .iter()
        .flatten()
        .copied()
        .filter(is_open)
        .map(|key| (key.sha256, key))
        .collect();
    let found = try_join_all(open.keys().map(|sha256| keys::find(conn, sha256))).await?;
    for ((sha256, key), row) in open.iter().zip(&found) {
        if let (Some(generation), Some(row)) = (generation, row) {
            let row = Arc::new(row.clone());
            key.remembered.confirmed.put(generation, *sha256, row);
        }
    }
    let compare = |key: &Option<&Unconfirmed>| match key {
        Some(key) if open.contains_key(&key.sha256) => {
            let mut found = found.iter().flatten();
            key.compare(found.find(|row| row.sha256 == key.sha256))
        }
        _ => Ok(()),
    };
    Ok(keys.iter().map(compare).collect())
}
