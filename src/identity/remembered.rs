//! Keys that were found a moment ago, for methods that confirm in their own transaction that a key is still good: what they
//! do is then done with the key, and one trip to the database is enough.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use diesel::result::Error as DieselError;
use futures_util::future::try_join_all;
use uuid::Uuid;

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

/// A key as it was found.
struct Found {
    row: Arc<KeyRow>,
    since: Instant,
    /// The generation in which it was confirmed last, see [`crate::db::generation`].
    confirmed: Mutex<Option<Uuid>>,
}

impl Found {
    fn confirmed(&self) -> MutexGuard<'_, Option<Uuid>> {
        self.confirmed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keys a process found lately.
#[derive(Default)]
pub struct Remembered(Mutex<HashMap<Sha256, Arc<Found>>>);

impl Remembered {
    /// The key with this digest, if it was found lately.
    pub(super) fn get(self: &Arc<Self>, sha256: &Sha256) -> Option<Unconfirmed> {
        let keys = self.lock();
        let found = keys.get(sha256)?;
        (found.since.elapsed() < LIFETIME).then(|| Unconfirmed {
            sha256: *sha256,
            found: Arc::clone(found),
            remembered: Arc::clone(self),
        })
    }

    pub(super) fn put(&self, sha256: Sha256, row: Arc<KeyRow>) {
        let mut keys = self.lock();
        if keys.len() >= KEYS_MAX {
            keys.clear();
        }
        let found = Found {
            row,
            since: Instant::now(),
            confirmed: Mutex::default(),
        };
        keys.insert(sha256, Arc::new(found));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Sha256, Arc<Found>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A key that was good a moment ago. Whoever is let through with it has to be confirmed before anything is done.
#[derive(Clone)]
pub struct Unconfirmed {
    sha256: Sha256,
    found: Arc<Found>,
    remembered: Arc<Remembered>,
}

impl Unconfirmed {
    pub(super) fn row(&self) -> &Arc<KeyRow> {
        &self.found.row
    }

    fn is_confirmed(&self, generation: Uuid) -> bool {
        *self.found.confirmed() == Some(generation)
    }

    /// Nothing when the key is as it was, which is remembered of the generation. 401 when it was revoked, 503 when what it
    /// may do was changed.
    fn compare(&self, now: Option<&KeyRow>, generation: Option<Uuid>) -> Result<()> {
        if now.is_some_and(|now| now.is_as_good_as(self.row())) {
            *self.found.confirmed() = generation;
            return Ok(());
        }
        self.remembered.lock().remove(&self.sha256);
        match now {
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
        f.debug_tuple("Unconfirmed").field(&self.row().id).finish()
    }
}

/// Whether the keys are as they were, in their order; those that were looked up for the request are. Of what was confirmed
/// in a `generation` that was read in the same transaction nothing is read again.
pub async fn confirm(
    conn: &Conn,
    keys: &[Option<&Unconfirmed>],
    generation: Option<Uuid>,
) -> Result<Vec<Result<()>>> {
    let is_open = |key: &Unconfirmed| !generation.is_some_and(|now| key.is_confirmed(now));
    let open: Vec<Option<&Unconfirmed>> = keys
        .iter()
        .map(|key| key.filter(|key| is_open(key)))
        .collect();
    let digests: BTreeSet<Sha256> = open.iter().flatten().map(|key| key.sha256).collect();
    let found = digests.iter().map(async |sha256| {
        let row = keys::find(conn, sha256).await?;
        Ok::<_, DieselError>((*sha256, row))
    });
    let found: HashMap<Sha256, Option<KeyRow>> = try_join_all(found).await?.into_iter().collect();
    let compare = |key: Option<&Unconfirmed>| match key {
        Some(key) => key.compare(found.get(&key.sha256).and_then(Option::as_ref), generation),
        None => Ok(()),
    };
    Ok(open.into_iter().map(compare).collect())
}
