//! API keys of every kind: a row and its queries. Only the SHA-256 and a prefix of a key are stored.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use futures_util::future::try_join_all;
use uuid::Uuid;

use super::{authenticate, digest, schema::api_keys, words::words};
use crate::{
    db::{Conn, Db},
    error::Result,
    ids,
    lanes::{self, Lanes, Work},
    proto::pulpo::options::v1::Scheme,
};

words! {
    /// Which API a key opens.
    KeyKind {
        /// The integration hub.
        Tenant = "tenant",
        /// The workspace.
        Access = "access",
        /// The payments API.
        Payment = "payment",
        /// The management of integrations.
        Integration = "integration",
    }
}

impl KeyKind {
    /// A new key of this kind, and what is shown of it later.
    fn generate(self) -> (String, String) {
        let (secret, shown) = match self {
            Self::Tenant => (ids::secret("pp_", 40), 8),
            Self::Access => (digest::random_urlsafe("cli_"), 8),
            Self::Payment => (ids::secret("pulse_", 40), 10),
            Self::Integration => (ids::secret("int_", 40), 8),
        };
        let prefix = secret.chars().take(shown).collect();
        (secret, prefix)
    }

    /// The scheme that accepts keys of this kind as a bearer token.
    pub fn scheme(self) -> Scheme {
        match self {
            Self::Tenant => Scheme::TenantKey,
            Self::Access => Scheme::AccessKey,
            Self::Payment => Scheme::PaymentKey,
            Self::Integration => Scheme::IntegrationToken,
        }
    }
}

/// A key, as stored.
#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = api_keys, check_for_backend(diesel::pg::Pg))]
pub struct KeyRow {
    /// `key_…`
    pub id: String,
    /// The organisation that owns it.
    pub org_id: String,
    /// The user it acts for, if any.
    pub user_id: Option<Uuid>,
    /// Which API it opens.
    pub kind: KeyKind,
    /// Name to show.
    pub name: String,
    /// SHA-256 of the key.
    pub sha256: Vec<u8>,
    /// The first characters of the key.
    pub prefix: String,
    /// What it may do.
    pub permissions: Vec<String>,
    /// Addresses and CIDR blocks it may be used from; empty for everywhere.
    pub ip_whitelist: Vec<String>,
    /// Agents it may act for; empty for all.
    pub allowed_agents: Vec<String>,
    /// When it was issued.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// From when on it is refused.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl KeyRow {
    /// Whether what it may do is the same.
    pub(super) fn is_as_good_as(&self, other: &Self) -> bool {
        self.powers() == other.powers()
    }

    /// Who it is, and what it may do.
    fn powers(&self) -> (&str, &str, Option<Uuid>, [&[String]; 3]) {
        let limits = [&self.permissions, &self.ip_whitelist, &self.allowed_agents];
        let limits = limits.map(Vec::as_slice);
        (&self.id, &self.org_id, self.user_id, limits)
    }
}

/// A key to be.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The organisation that owns it.
    pub org_id: String,
    /// The user it acts for, if any.
    pub user_id: Option<Uuid>,
    /// Which API it opens.
    pub kind: KeyKind,
    /// Name to show.
    pub name: String,
    /// What it may do.
    pub permissions: Vec<String>,
    /// Addresses and CIDR blocks it may be used from; empty for everywhere.
    pub ip_whitelist: Vec<String>,
    /// Agents it may act for; empty for all.
    pub allowed_agents: Vec<String>,
}

/// Keys of one lookup.
const LOOKUP_MAX: usize = 256;

/// How coarse `last_used_at` is.
const LAST_USED_EVERY: TimeDelta = TimeDelta::minutes(1);

/// Issues a key; the second value is the key itself, which is shown once.
pub async fn issue(
    conn: &mut Conn,
    new: NewKey,
    now: DateTime<Utc>,
) -> QueryResult<(KeyRow, String)> {
    let (secret, prefix) = new.kind.generate();
    let row = KeyRow {
        id: ids::sortable("key"),
        org_id: new.org_id,
        user_id: new.user_id,
        kind: new.kind,
        name: new.name,
        sha256: digest::sha256(&secret).to_vec(),
        prefix,
        permissions: new.permissions,
        ip_whitelist: new.ip_whitelist,
        allowed_agents: new.allowed_agents,
        created_at: now,
        last_used_at: None,
        revoked_at: None,
    };
    diesel::insert_into(api_keys::table)
        .values(&row)
        .execute(conn)
        .await?;
    Ok((row, secret))
}

/// Looks keys up, those that are asked for at the same time together: a lookup begins after it was asked for, so a key that
/// was revoked before is never found.
pub struct Finder(Db);

/// The digest of a presented key.
pub type Sha256 = [u8; 32];

impl Finder {
    /// The finder of a process; it has one lane.
    pub fn start(db: Db) -> Arc<Lanes<Self>> {
        Lanes::new(Self(db))
    }

    async fn find_live(&self, digests: &[Sha256]) -> Result<HashMap<Vec<u8>, KeyRow>> {
        let conn = self.0.connection().await?;
        let distinct: BTreeSet<&[u8]> = digests.iter().map(Sha256::as_slice).collect();
        // One statement a key, all sent at once: a list of keys would be planned anew at every lookup.
        let rows = try_join_all(distinct.into_iter().map(|sha256| find(&conn, sha256))).await?;
        Ok(rows
            .into_iter()
            .flatten()
            .map(|row| (row.sha256.clone(), row))
            .collect())
    }
}

/// The unrevoked key with this digest.
pub(super) async fn find(mut conn: &Conn, sha256: &[u8]) -> QueryResult<Option<KeyRow>> {
    api_keys::table
        .filter(api_keys::sha256.eq(sha256))
        .filter(api_keys::revoked_at.is_null())
        .select(KeyRow::as_select())
        .first(&mut conn)
        .await
        .optional()
}

#[async_trait::async_trait]
impl Work for Finder {
    type Item = Sha256;
    type Answer = Result<Option<KeyRow>>;

    const NAME: &str = "keys";

    fn group_max(&self) -> usize {
        LOOKUP_MAX
    }

    fn mark<'i>(&self, _: &'i Sha256) -> Option<&'i str> {
        None
    }

    async fn run(&self, _: &str, digests: Vec<Sha256>) -> Vec<Self::Answer> {
        match self.find_live(&digests).await {
            Ok(rows) => {
                let find = |digest: &Sha256| Ok(rows.get(digest.as_slice()).cloned());
                digests.iter().map(find).collect()
            }
            Err(error) => lanes::to_all(error, digests.len()),
        }
    }
}

/// The unrevoked key with this digest, if it is of one of these kinds.
pub async fn find_live(
    finder: &Arc<Lanes<Finder>>,
    sha256: Sha256,
    kinds: &[KeyKind],
) -> Result<Option<KeyRow>> {
    let row = finder.ask("", sha256).await??;
    Ok(row.filter(|row| kinds.contains(&row.kind)))
}

/// Whether `last_used_at` of this key is old enough to be written again.
pub fn is_touch_due(last_used_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    last_used_at.is_none_or(|at| at <= now - LAST_USED_EVERY)
}

/// Notes that the key was used, at most once a minute.
pub async fn touch(conn: &mut Conn, id: &str, now: DateTime<Utc>) -> QueryResult<usize> {
    let due = api_keys::last_used_at
        .is_null()
        .or(api_keys::last_used_at.le(now - LAST_USED_EVERY));
    diesel::update(
        api_keys::table
            .filter(api_keys::id.eq(id))
            .filter(due.assume_not_null()),
    )
    .set(api_keys::last_used_at.eq(now))
    .execute(conn)
    .await
}

/// Revokes every tenant key of the organisation and issues a new one with the limits of the one presented; run it in
/// a transaction. Of several rotations at once the first wins, the others find their key revoked (401).
pub async fn rotate_tenant_keys(
    conn: &mut Conn,
    org_id: &str,
    presented_key_id: &str,
    now: DateTime<Utc>,
) -> Result<(KeyRow, String)> {
    let revoked: Vec<KeyRow> = diesel::update(
        api_keys::table
            .filter(api_keys::org_id.eq(org_id))
            .filter(api_keys::kind.eq(KeyKind::Tenant))
            .filter(api_keys::revoked_at.is_null()),
    )
    .set(api_keys::revoked_at.eq(now))
    .returning(KeyRow::as_returning())
    .get_results(conn)
    .await?;
    let Some(presented) = revoked.into_iter().find(|key| key.id == presented_key_id) else {
        return Err(authenticate::invalid());
    };
    let new = NewKey {
        org_id: presented.org_id,
        user_id: presented.user_id,
        kind: KeyKind::Tenant,
        name: presented.name,
        permissions: presented.permissions,
        ip_whitelist: presented.ip_whitelist,
        allowed_agents: presented.allowed_agents,
    };
    Ok(issue(conn, new, now).await?)
}

/// Revokes the keys by which a user acts in an organisation; for when they stop belonging to it.
pub async fn revoke_of_member(
    conn: &mut Conn,
    org_id: &str,
    user_id: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    let live = api_keys::table
        .filter(api_keys::org_id.eq(org_id))
        .filter(api_keys::user_id.eq(user_id))
        .filter(api_keys::revoked_at.is_null());
    diesel::update(live)
        .set(api_keys::revoked_at.eq(now))
        .execute(conn)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_documented_forms() {
        for (kind, start, length, shown) in [
            (KeyKind::Tenant, "pp_", 43, 8),
            (KeyKind::Access, "cli_", 47, 8),
            (KeyKind::Payment, "pulse_", 46, 10),
            (KeyKind::Integration, "int_", 44, 8),
        ] {
            let (secret, prefix) = kind.generate();
            assert!(secret.starts_with(start), "{kind:?}");
            assert_eq!(secret.len(), length, "{kind:?}");
            assert_eq!(prefix, secret[..shown], "{kind:?}");
            assert_eq!(KeyKind::parse(kind.as_str()), Some(kind));
        }
    }

    #[test]
    fn last_use_is_written_once_a_minute() {
        let now = Utc::now();
        assert!(is_touch_due(None, now));
        assert!(!is_touch_due(Some(now - TimeDelta::seconds(59)), now));
        assert!(is_touch_due(Some(now - TimeDelta::seconds(60)), now));
    }
}
