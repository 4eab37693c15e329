//! Secrets at rest: envelope encryption.
//!
//! Every organisation has data keys; the newest one encrypts, older ones still open what they sealed. Data keys are
//! stored wrapped by the master key, which only the configuration knows. A sealed secret opens for its organisation
//! and its context only (say, `connection:<id>`), so a row copied elsewhere is of no use.
//!
//! `envelope` is the cryptography, `rotation` gives new keys for old; this file keeps the keys. Nothing is cached: a key made in a transaction that is
//! rolled back must not outlive it, and unwrapping costs less than the query for it.

mod envelope;
pub mod rotation;
pub mod schema;

use std::sync::Arc;

use anyhow::Context;
use aws_lc_rs::error::Unspecified;
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl};
use diesel_async::RunQueryDsl;

use self::{
    envelope::{KEY_LEN, Purpose},
    schema::data_keys,
};
use crate::{
    config,
    db::Conn,
    error::{Error, Result},
};

/// Seals and opens secrets; cheap to clone.
#[derive(Clone)]
pub struct Secrets {
    master_key: Arc<[u8; KEY_LEN]>,
    /// Opens what is not wrapped with the new one yet; wraps nothing.
    previous_master_key: Option<Arc<[u8; KEY_LEN]>>,
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
            previous_master_key: None,
        }
    }

    /// The same, which also opens what the master key before this one wrapped.
    #[must_use]
    pub fn with_previous(mut self, master_key: [u8; 32]) -> Self {
        self.previous_master_key = Some(Arc::new(master_key));
        self
    }

    /// Secrets under the configured master keys.
    ///
    /// # Errors
    /// There is none, or one is not 64 hexadecimal digits.
    pub fn configured(config: &config::Secrets) -> anyhow::Result<Self> {
        let decode = |key: &config::Secret, variable: &str| {
            let mut bytes = [0; KEY_LEN];
            hex::decode_to_slice(key.expose(), &mut bytes)
                .with_context(|| format!("{variable} must be 64 hexadecimal digits"))?;
            anyhow::Ok(bytes)
        };
        let key = config.master_key.as_ref();
        let key = key.context("no master key: set PULPO_MASTER_KEY")?;
        let secrets = Self::new(decode(key, "PULPO_MASTER_KEY")?);
        Ok(match &config.previous_master_key {
            Some(key) => secrets.with_previous(decode(key, "PULPO_PREVIOUS_MASTER_KEY")?),
            None => secrets,
        })
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
        envelope::seal(&self.master_key, version, data_key(org_id, &context), key)
            .map_err(failed("wrapping a data key"))
    }

    /// Whether the master key of now wrapped it.
    fn is_current(&self, org_id: &str, version: u32, wrapped: &[u8]) -> bool {
        let context = version.to_string();
        envelope::open(&self.master_key, data_key(org_id, &context), wrapped).is_ok()
    }

    fn unwrap_key(&self, org_id: &str, version: u32, wrapped: &[u8]) -> Result<DataKey> {
        let context = version.to_string();
        let purpose = data_key(org_id, &context);
        let opened = envelope::open(&self.master_key, purpose, wrapped);
        let opened = match (opened, &self.previous_master_key) {
            (Err(_), Some(previous)) => envelope::open(previous, purpose, wrapped),
            (opened, _) => opened,
        };
        let key = opened.map_err(failed(
            "unwrapping a data key; is the master key the one it was wrapped with?",
        ))?;
        let key = key
            .try_into()
            .map_err(|_| broken("a data key has a wrong length"))?;
        Ok(DataKey { version, key })
    }
}

fn data_key<'a>(org_id: &'a str, version: &'a str) -> Purpose<'a> {
    Purpose {
        kind: "pulpo data key",
        org_id,
        context: version,
    }
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

    #[test]
    fn the_previous_master_key_opens_and_does_not_wrap() {
        let old = Secrets::new([1; 32]);
        let both = Secrets::new([2; 32]).with_previous([1; 32]);
        let wrapped = old.wrap_key("org_1", 1, &[9; 32]).unwrap();
        assert_eq!(both.unwrap_key("org_1", 1, &wrapped).unwrap().key, [9; 32]);
        assert!(!both.is_current("org_1", 1, &wrapped));
        let wrapped = both.wrap_key("org_1", 1, &[9; 32]).unwrap();
        assert!(both.is_current("org_1", 1, &wrapped));
        assert!(old.unwrap_key("org_1", 1, &wrapped).is_err());
    }
}
