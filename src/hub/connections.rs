//! Connections: a row and its queries.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};

use super::schema::connections;
use crate::{
    db::Conn,
    error::{Error, Result},
    secrets::Secrets,
};

/// A connection, as stored.
#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = connections, check_for_backend(diesel::pg::Pg))]
pub struct ConnectionRow {
    /// The tenant.
    pub org_id: String,
    /// Opaque.
    pub id: String,
    /// The type of its connector in the catalogue.
    pub connector_type: String,
    /// The name to show.
    pub name: String,
    /// `source`, `destination` or `both`.
    pub direction: String,
    /// `active`, `shadow`, `paused` or `error`.
    pub state: String,
    /// Settings without secrets.
    pub config: serde_json::Value,
    /// Sealed `Credentials`.
    pub secret: Option<Vec<u8>>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// What a connection keeps sealed.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Credentials {
    /// Signs the webhooks the other system sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) webhook_secret: Option<String>,
}

impl ConnectionRow {
    /// The connection of this tenant if it takes events: active, or in shadow. Error: `CONNECTION_NOT_FOUND`.
    pub(super) async fn receiving(conn: &mut Conn, org_id: &str, id: &str) -> Result<Self> {
        let found = connections::table
            .find((org_id, id))
            .filter(connections::state.eq_any(["active", "shadow"]))
            .select(Self::as_select())
            .first(conn)
            .await
            .optional()?;
        found.ok_or_else(not_found)
    }

    /// Whether the tenant has this connection, in whatever state. Error: `CONNECTION_NOT_FOUND`.
    pub(super) async fn require(conn: &mut Conn, org_id: &str, id: &str) -> Result<()> {
        let row = connections::table
            .find((org_id, id))
            .select(connections::id);
        let found: Option<String> = row.first(conn).await.optional()?;
        found.map(drop).ok_or_else(not_found)
    }

    /// Its credentials, opened; empty when it has none.
    pub(super) async fn credentials(
        &self,
        conn: &mut Conn,
        secrets: &Secrets,
    ) -> Result<Credentials> {
        let Some(sealed) = &self.secret else {
            return Ok(Credentials::default());
        };
        let opened = secrets
            .open(conn, &self.org_id, &context(&self.id), sealed)
            .await?;
        serde_json::from_slice(&opened)
            .map_err(|_| Error::internal(anyhow::anyhow!("credentials are not JSON")))
    }
}

/// What a connection's credentials are sealed for.
pub(super) fn context(id: &str) -> String {
    format!("connection:{id}")
}

fn not_found() -> Error {
    Error::not_found(
        "CONNECTION_NOT_FOUND",
        "There is no active connection with this id; check tenant and connection",
    )
}
