//! Secrets at rest: envelope encryption.
//!
//! Every organisation has data keys; the newest one encrypts, older ones still open what they sealed. Data keys are
//! stored wrapped by the master key, which only the configuration knows. A sealed secret opens for its organisation
//! and its context only (say, `connection:<id>`), so a row copied elsewhere is of no use.
//!
//! `envelope` is the cryptography; this file keeps the keys. Nothing is cached: a key made in a transaction that is
//! rolled back must not outlive it, and unwrapping costs less than the query for it.

mod envelope;
pub mod schema;

use std::sync::Arc;

use aws_lc_rs::error::Unspecified;
use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods, OptionalExtension, QueryDsl, QueryResult,
    sql_types::{Array, Binary, Integer, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use self::{
    envelope::{KEY_LEN, Purpose},
    schema::data_keys,
};
use crate::{
    db::Conn,
    error::{Error, Result},
};

/// Keys that are wrapped anew per statement.
const REWRAP_BATCH: i64 = 500;

/// Seals and opens secrets; cheap to clone.
#[derive(Clone)]
pub struct Secrets {
    master_key: Arc<[u8; KEY_LEN]>,
}

/// A data key, ready to use.
struct DataKey {
    version: u32,
    key: [u8; KEY_LEN],
}

impl Secrets {
    /// Secrets under this master key.
    pub fn new(master_key: [u8; 32]) -> Self {
        Self {
            master_key: Arc::new(master_key),
        }
    }

    /// Encrypts `plaintext` for one place of one organisation. Makes the organisation's first data key if it has none.
    pub async fn seal(
        &self,
        conn: &mut Conn,
        org_id: &str,
        context: &str,
        plaintext: &[u8],
    ) -> Result<Vec<u8>> {
        let data_key = match self.current(conn, org_id).await? {
            Some(data_key) => data_key,
            None => {
                self.insert(conn, org_id, 1).await?;
                // Somebody else may have been faster; what is stored counts.
                self.current(conn, org_id)
                    .await?
                    .ok_or_else(|| broken("a new data key is missing"))?
            }
        };
        envelope::seal(
            &data_key.key,
            data_key.version,
            secret(org_id, context),
            plaintext,
        )
        .map_err(failed("sealing"))
    }

    /// Decrypts what [`Secrets::seal`] made for the same organisation and context.
    pub async fn open(
        &self,
        conn: &mut Conn,
        org_id: &str,
        context: &str,
        sealed: &[u8],
    ) -> Result<Vec<u8>> {
        let version = envelope::version(sealed)
            .ok_or_else(|| broken("a sealed secret has an unknown format"))?;
        let stored: Option<Vec<u8>> = data_keys::table
            .find((org_id, signed(version)))
            .select(data_keys::wrapped)
            .first(conn)
            .await
            .optional()?;
        let wrapped = stored.ok_or_else(|| broken("the data key of a sealed secret is missing"))?;
        let data_key = self.unwrap_key(org_id, version, &wrapped)?;
        envelope::open(&data_key.key, secret(org_id, context), sealed).map_err(failed("opening"))
    }

    /// Gives the organisation a new data key, used from now on; answers its version. What is sealed stays readable and
    /// moves to the new key when it is sealed again.
    pub async fn rotate_data_key(&self, conn: &mut Conn, org_id: &str) -> Result<u32> {
        let version = self
            .current(conn, org_id)
            .await?
            .map_or(1, |data_key| data_key.version + 1);
        if self.insert(conn, org_id, version).await? == 0 {
            return Err(Error::conflict(
                "DATA_KEY_ROTATED",
                "Somebody else rotated the data key at the same time",
            ));
        }
        Ok(version)
    }

    async fn current(&self, conn: &mut Conn, org_id: &str) -> Result<Option<DataKey>> {
        let newest: Option<(i32, Vec<u8>)> = data_keys::table
            .filter(data_keys::org_id.eq(org_id))
            .order(data_keys::version.desc())
            .select((data_keys::version, data_keys::wrapped))
            .first(conn)
            .await
            .optional()?;
        newest
            .map(|(version, wrapped)| self.unwrap_key(org_id, version.unsigned_abs(), &wrapped))
            .transpose()
    }

    async fn insert(&self, conn: &mut Conn, org_id: &str, version: u32) -> Result<usize> {
        let key = envelope::random_key().map_err(failed("making a data key"))?;
        let wrapped = self.wrap_key(org_id, version, &key)?;
        let new = (
            data_keys::org_id.eq(org_id),
            data_keys::version.eq(signed(version)),
            data_keys::wrapped.eq(wrapped),
        );
        Ok(diesel::insert_into(data_keys::table)
            .values(new)
            .on_conflict_do_nothing()
            .execute(conn)
            .await?)
    }

    fn wrap_key(&self, org_id: &str, version: u32, key: &[u8; KEY_LEN]) -> Result<Vec<u8>> {
        let context = version.to_string();
        let purpose = Purpose {
            kind: "pulpo data key",
            org_id,
            context: &context,
        };
        envelope::seal(&self.master_key, version, purpose, key)
            .map_err(failed("wrapping a data key"))
    }

    fn unwrap_key(&self, org_id: &str, version: u32, wrapped: &[u8]) -> Result<DataKey> {
        let context = version.to_string();
        let purpose = Purpose {
            kind: "pulpo data key",
            org_id,
            context: &context,
        };
        let key = envelope::open(&self.master_key, purpose, wrapped).map_err(failed(
            "unwrapping a data key; is the master key the one it was wrapped with?",
        ))?;
        let key = key
            .try_into()
            .map_err(|_| broken("a data key has a wrong length"))?;
        Ok(DataKey { version, key })
    }
}

/// Wraps every data key with the master key of `new` instead of that of `old`; answers how many. Run it in one
/// transaction while no process works with the old key; keys that `new` opens already stay as they are.
pub async fn rewrap(
    conn: &mut Conn,
    old: &Secrets,
    new: &Secrets,
    now: DateTime<Utc>,
) -> Result<usize> {
    let (mut changed, mut after) = (0, (String::new(), 0));
    loop {
        let rows = page(conn, &after).await?;
        let Some(last) = rows.last() else {
            return Ok(changed);
        };
        after = (last.0.clone(), last.1);
        let (mut orgs, mut versions, mut boxes) = (Vec::new(), Vec::new(), Vec::new());
        for (org_id, version, wrapped) in rows {
            if new
                .unwrap_key(&org_id, version.unsigned_abs(), &wrapped)
                .is_ok()
            {
                continue;
            }
            let data_key = old.unwrap_key(&org_id, version.unsigned_abs(), &wrapped)?;
            boxes.push(new.wrap_key(&org_id, data_key.version, &data_key.key)?);
            orgs.push(org_id);
            versions.push(version);
        }
        changed += diesel::sql_query(
            "UPDATE data_keys AS d SET wrapped = g.wrapped, rewrapped_at = $4
             FROM unnest($1::text[], $2::integer[], $3::bytea[]) AS g(org_id, version, wrapped)
             WHERE d.org_id = g.org_id AND d.version = g.version",
        )
        .bind::<Array<Text>, _>(orgs)
        .bind::<Array<Integer>, _>(versions)
        .bind::<Array<Binary>, _>(boxes)
        .bind::<Timestamptz, _>(now)
        .execute(conn)
        .await?;
    }
}

async fn page(
    conn: &mut Conn,
    (org_id, version): &(String, i32),
) -> QueryResult<Vec<(String, i32, Vec<u8>)>> {
    use diesel::BoolExpressionMethods;
    let later = data_keys::org_id
        .eq(org_id)
        .and(data_keys::version.gt(version));
    data_keys::table
        .filter(data_keys::org_id.gt(org_id).or(later))
        .order((data_keys::org_id, data_keys::version))
        .select((data_keys::org_id, data_keys::version, data_keys::wrapped))
        .limit(REWRAP_BATCH)
        .for_update()
        .load(conn)
        .await
}

fn secret<'a>(org_id: &'a str, context: &'a str) -> Purpose<'a> {
    Purpose {
        kind: "pulpo secret",
        org_id,
        context,
    }
}

fn signed(version: u32) -> i32 {
    i32::try_from(version).unwrap_or(i32::MAX)
}

fn broken(what: &'static str) -> Error {
    Error::internal(anyhow::anyhow!(what))
}

/// The library says only that it failed, on purpose; the log gets what was tried.
fn failed(what: &'static str) -> impl Fn(Unspecified) -> Error {
    move |_| Error::internal(anyhow::anyhow!("{what} failed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_key_opens_under_its_master_key_organisation_and_version() {
        let secrets = Secrets::new([1; 32]);
        let wrapped = secrets.wrap_key("org_1", 2, &[9; 32]).unwrap();
        assert_eq!(
            secrets.unwrap_key("org_1", 2, &wrapped).unwrap().key,
            [9; 32]
        );
        assert!(secrets.unwrap_key("org_2", 2, &wrapped).is_err());
        assert!(secrets.unwrap_key("org_1", 3, &wrapped).is_err());
        assert!(
            Secrets::new([2; 32])
                .unwrap_key("org_1", 2, &wrapped)
                .is_err()
        );
    }
}
