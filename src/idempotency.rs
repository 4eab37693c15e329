//! Repeatable requests: the first answer under a key is the answer of every repetition.
//!
//! Effect and answer are written in one transaction; a key without an answer had no effect, and is free. Of two concurrent
//! requests with one key the second waits for the first: it then answers the same bytes, or, if the first was rolled back,
//! takes its place. Nothing is kept in memory, so this holds across replicas.

use std::collections::HashSet;

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Duration, Utc};
use diesel::{
    QueryResult, QueryableByName,
    sql_types::{Array, Binary, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use prost::Message;

use crate::{
    db::{
        Conn,
        prepared::{column, prepared},
        rows::Rows,
        write::{self, Write},
    },
    error::{Error, Result},
};

/// How long a key is remembered.
const LIFETIME: Duration = Duration::hours(24);

/// Longest key, in characters.
pub const KEY_CHARS_MAX: usize = 255;

/// A request that carries a key.
#[derive(Clone, Debug)]
pub struct Keyed {
    org_id: String,
    scope: &'static str,
    key: String,
    request_sha256: Vec<u8>,
}

impl Keyed {
    /// A request under `key` to the method `scope`. `request` is its canonical encoding without the key. An empty or
    /// over-long key is refused.
    pub fn new(org_id: &str, scope: &'static str, key: String, request: &[u8]) -> Result<Self> {
        if key.is_empty() || key.chars().count() > KEY_CHARS_MAX || key.contains('\0') {
            return Err(Error::invalid(
                "idempotency_key",
                format!("must be 1 to {KEY_CHARS_MAX} characters"),
            ));
        }
        Ok(Self {
            org_id: org_id.to_owned(),
            scope,
            key,
            request_sha256: digest(&SHA256, request).as_ref().to_vec(),
        })
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }
}

#[derive(QueryableByName)]
struct Kept {
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Binary)]
    request_sha256: Vec<u8>,
    #[diesel(sql_type = Nullable<Binary>)]
    response: Option<Vec<u8>>,
}

#[derive(QueryableByName)]
struct Taken {
    #[diesel(sql_type = Text)]
    key: String,
}

/// What was answered under the keys, in the order of the requests, which are of one organisation and method and have a key
/// each; none for a key that was taken now. Waits for concurrent holders. 409 for a key that was used for another request
/// within its life.
async fn claim(
    conn: &Conn,
    keyed: &[&Keyed],
    now: DateTime<Utc>,
) -> Result<Vec<Result<Option<Vec<u8>>>>> {
    let Some(first) = keyed.first() else {
        return Ok(Vec::new());
    };
    let taken = take(conn, first, keyed, now).await?;
    let missed: Vec<&Keyed> = keyed
        .iter()
        .copied()
        .filter(|keyed| !taken.contains(&keyed.key))
        .collect();
    let kept = find(conn, first, &missed).await?;
    let claims = keyed.iter().map(|keyed| {
        if taken.contains(&keyed.key) {
            return Ok(None);
        }
        let kept = kept.iter().find(|kept| kept.key == keyed.key);
        answered(keyed, kept).map(Some)
    });
    Ok(claims.collect())
}

fn answered(keyed: &Keyed, kept: Option<&Kept>) -> Result<Vec<u8>> {
    if kept.is_some_and(|kept| kept.request_sha256 != keyed.request_sha256) {
        return Err(Error::conflict(
            "IDEMPOTENCY_KEY_REUSED",
            "This idempotency key was used for another request in the last 24 hours; use a new key",
        ));
    }
    let response = kept.and_then(|kept| kept.response.clone());
    response.ok_or_else(|| {
        Error::internal(anyhow::anyhow!(
            "an idempotency key without an answer was not taken"
        ))
    })
}

/// Takes the keys that are free, whose life is over, or that came to nothing, in a fixed order, so that no two wait for
/// each other.
async fn take(
    mut conn: &Conn,
    first: &Keyed,
    keyed: &[&Keyed],
    now: DateTime<Utc>,
) -> QueryResult<HashSet<String>> {
    const TAKE: &str = "INSERT INTO idempotency_keys AS k (org_id, scope, key, request_sha256, created_at, expires_at) \
        SELECT $1, $2, r.key, r.sha256, $5, $6 FROM unnest($3::text[], $4::bytea[]) AS r (key, sha256) ORDER BY r.key \
        ON CONFLICT (org_id, scope, key) DO UPDATE SET \
        request_sha256 = EXCLUDED.request_sha256, response = NULL, created_at = EXCLUDED.created_at, \
        expires_at = EXCLUDED.expires_at WHERE k.expires_at <= EXCLUDED.created_at OR k.response IS NULL RETURNING key";
    let taken: Vec<Taken> = prepared(TAKE, |query| {
        query
            .bind::<Text, _>(&first.org_id)
            .bind::<Text, _>(first.scope)
            .bind::<Array<Text>, _>(column(keyed, |keyed| &keyed.key))
            .bind::<Array<Binary>, _>(column(keyed, |keyed| &keyed.request_sha256))
            .bind::<Timestamptz, _>(now)
            .bind::<Timestamptz, _>(now + LIFETIME)
    })
    .load(&mut conn)
    .await?;
    Ok(taken.into_iter().map(|taken| taken.key).collect())
}

async fn find(mut conn: &Conn, first: &Keyed, keyed: &[&Keyed]) -> QueryResult<Vec<Kept>> {
    const FIND: &str = "SELECT key, request_sha256, response FROM idempotency_keys \
        WHERE org_id = $1 AND scope = $2 AND key = ANY($3)";
    if keyed.is_empty() {
        return Ok(Vec::new());
    }
    prepared(FIND, |query| {
        query
            .bind::<Text, _>(&first.org_id)
            .bind::<Text, _>(first.scope)
            .bind::<Array<Text>, _>(column(keyed, |keyed| &keyed.key))
    })
    .load(&mut conn)
    .await
}

/// The first answer of a request that carries a key and was answered before; otherwise its key, if any, is taken and
/// [`keep`] must follow in the same transaction.
pub async fn replay<T: Message + Default>(
    conn: &mut Conn,
    keyed: Option<&Keyed>,
    now: DateTime<Utc>,
) -> Result<Option<T>> {
    match replay_all(conn, &[keyed], now).await?.pop() {
        Some(replayed) => replayed,
        None => Ok(None),
    }
}

/// [`replay`] for several requests of one organisation and method, no two of them with the same key.
pub async fn replay_all<T: Message + Default>(
    conn: &Conn,
    keyed: &[Option<&Keyed>],
    now: DateTime<Utc>,
) -> Result<Vec<Result<Option<T>>>> {
    let with_key: Vec<&Keyed> = keyed.iter().copied().flatten().collect();
    let mut claims = claim(conn, &with_key, now).await?.into_iter();
    let mut answer = |keyed: &Option<&Keyed>| {
        let answered = match keyed {
            Some(_) => claims.next().transpose()?.flatten(),
            None => None,
        };
        let decode = |bytes: Vec<u8>| T::decode(bytes.as_slice()).map_err(Error::internal);
        answered.map(decode).transpose()
    };
    Ok(keyed.iter().map(&mut answer).collect())
}

/// Keeps the answer under the key taken by [`replay`]; nothing for a request without one.
pub async fn keep<T: Message>(
    conn: &mut Conn,
    keyed: Option<&Keyed>,
    answer: &T,
) -> QueryResult<()> {
    let kept = keyed.map(|keyed| (keyed, answer.encode_to_vec()));
    write::run_all(conn, keep_all(Vec::from_iter(kept))).await
}

/// The answers under the keys taken by [`replay_all`], to be written with the effects.
pub fn keep_all<'k>(kept: Vec<(&'k Keyed, Vec<u8>)>) -> Option<Write<'k>> {
    const KEEP: &str = "UPDATE idempotency_keys AS k SET response = r.response FROM {rows} \
        WHERE k.org_id = $1 AND k.scope = $2 AND k.key = r.key";
    let (first, _) = kept.as_slice().first()?;
    let write = Rows::of(&kept)
        .value::<Text, _>(first.org_id.as_str())
        .value::<Text, _>(first.scope)
        .column::<Text, _>("key", |(keyed, _)| keyed.key.as_str())
        .column::<Binary, _>("response", |(_, answer)| answer.clone())
        .write(KEEP);
    Some(write)
}
