//! Repeatable requests: the first answer under a key is the answer of every repetition.
//!
//! Key, effect and answer are written in one transaction. Of two concurrent requests with one key the second waits for
//! the first: it then answers the same bytes, or, if the first was rolled back, takes its place. Nothing is kept in
//! memory, so this holds across replicas.

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Duration, Utc};
use diesel::{
    ExpressionMethods, QueryDsl, QueryResult,
    sql_types::{Binary, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use prost::Message;

use crate::{
    db::Conn,
    error::{Error, Result},
};

use schema::idempotency_keys;

/// How long a key is remembered.
const LIFETIME: Duration = Duration::hours(24);

/// Longest key, in characters.
pub const KEY_CHARS_MAX: usize = 255;

mod schema {
    diesel::table! {
        idempotency_keys (org_id, scope, key) {
            org_id -> Text,
            scope -> Text,
            key -> Text,
            request_sha256 -> Binary,
            response -> Nullable<Binary>,
            created_at -> Timestamptz,
            expires_at -> Timestamptz,
        }
    }
}

/// A request that carries a key.
#[derive(Clone, Debug)]
pub struct Keyed {
    org_id: String,
    scope: &'static str,
    key: String,
    request_sha256: Vec<u8>,
}

/// What a key is to a request.
#[derive(Debug, PartialEq, Eq)]
enum Claim {
    /// The key is this request's; [`complete`] must follow in the same transaction.
    New,
    /// The request was answered before, with these bytes.
    Replay(Vec<u8>),
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
}

/// Takes the key, or finds what was answered under it. Waits for a concurrent holder. 409 when the key was used for
/// another request within its life.
async fn claim(conn: &mut Conn, keyed: &Keyed, now: DateTime<Utc>) -> Result<Claim> {
    // One statement takes a free key and one whose life is over.
    let taken = diesel::sql_query(
        "INSERT INTO idempotency_keys AS k (org_id, scope, key, request_sha256, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (org_id, scope, key) DO UPDATE SET \
         request_sha256 = EXCLUDED.request_sha256, response = NULL, created_at = EXCLUDED.created_at, \
         expires_at = EXCLUDED.expires_at WHERE k.expires_at <= EXCLUDED.created_at",
    )
    .bind::<Text, _>(&keyed.org_id)
    .bind::<Text, _>(keyed.scope)
    .bind::<Text, _>(&keyed.key)
    .bind::<Binary, _>(&keyed.request_sha256)
    .bind::<Timestamptz, _>(now)
    .bind::<Timestamptz, _>(now + LIFETIME)
    .execute(conn)
    .await?;
    if taken == 1 {
        return Ok(Claim::New);
    }
    let (request_sha256, response): (Vec<u8>, Option<Vec<u8>>) = idempotency_keys::table
        .find((&keyed.org_id, keyed.scope, &keyed.key))
        .select((idempotency_keys::request_sha256, idempotency_keys::response))
        .first(conn)
        .await?;
    if request_sha256 != keyed.request_sha256 {
        return Err(Error::conflict(
            "IDEMPOTENCY_KEY_REUSED",
            "This idempotency key was used for another request in the last 24 hours; use a new key",
        ));
    }
    response.map(Claim::Replay).ok_or_else(|| {
        Error::internal(anyhow::anyhow!(
            "an idempotency key without an answer was committed"
        ))
    })
}

/// The first answer of a request that carries a key and was answered before; otherwise its key, if any, is taken and
/// [`keep`] must follow in the same transaction.
pub async fn replay<T: Message + Default>(
    conn: &mut Conn,
    keyed: Option<&Keyed>,
    now: DateTime<Utc>,
) -> Result<Option<T>> {
    let Some(keyed) = keyed else { return Ok(None) };
    match claim(conn, keyed, now).await? {
        Claim::New => Ok(None),
        Claim::Replay(bytes) => T::decode(bytes.as_slice())
            .map(Some)
            .map_err(Error::internal),
    }
}

/// Keeps the answer under the key taken by [`replay`]; nothing for a request without one.
pub async fn keep<T: Message>(
    conn: &mut Conn,
    keyed: Option<&Keyed>,
    answer: &T,
) -> QueryResult<()> {
    match keyed {
        Some(keyed) => complete(conn, keyed, &answer.encode_to_vec()).await,
        None => Ok(()),
    }
}

/// Keeps the answer under the key claimed before in the same transaction.
async fn complete(conn: &mut Conn, keyed: &Keyed, response: &[u8]) -> QueryResult<()> {
    diesel::update(idempotency_keys::table.find((&keyed.org_id, keyed.scope, &keyed.key)))
        .set(idempotency_keys::response.eq(response))
        .execute(conn)
        .await?;
    Ok(())
}
