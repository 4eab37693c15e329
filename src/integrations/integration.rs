//! A configured integration: its row, its queries, and its message.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use prost_types::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{schema::integrations, settings};
use crate::{
    connectors,
    db::Conn,
    error::{Error, Result},
    ids,
    proto::pulpo::{
        integrations::v1::{Integration, Synchronization},
        r#type::v1::Json,
    },
    secrets::Secrets,
};

/// Integrations of one tenant in a list; the document knows no paging.
const MOST_LISTED: i64 = 1_000;

/// An integration, as stored.
#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = integrations, check_for_backend(diesel::pg::Pg))]
pub struct IntegrationRow {
    /// The tenant.
    pub org_id: String,
    /// `int_…`
    pub id: String,
    /// The service of its manifest.
    pub service: String,
    /// The name to show.
    pub name: String,
    /// Whether new events are dispatched to it.
    pub enabled: bool,
    /// As they are shown: secret ones masked.
    pub settings: Value,
    /// The sealed secret settings.
    pub secrets: Option<Vec<u8>>,
    /// A list of [`SynchronizationRow`].
    pub synchronizations: Value,
    /// The first characters of the inbound key of a custom integration.
    pub api_key_prefix: Option<String>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// When it last synchronised.
    pub last_sync_at: Option<DateTime<Utc>>,
}

/// One event an integration synchronises, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SynchronizationRow {
    /// For example `order.created`.
    pub event_type: String,
    /// Whether it is on.
    pub enabled: bool,
    /// Automatic retries, 0 to 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_count: Option<u8>,
}

/// An integration to be.
pub struct NewIntegration {
    /// The tenant.
    pub org_id: String,
    /// In the catalogue.
    pub service: String,
    /// The manifest's name when absent.
    pub name: Option<String>,
    /// Whether new events are dispatched to it.
    pub enabled: bool,
    /// With secrets in them; not checked against the schema here.
    pub settings: Map<String, Value>,
    /// The manifest's defaults when absent.
    pub synchronizations: Option<Vec<SynchronizationRow>>,
}

/// Stores an integration, its secrets sealed; run it in a transaction. Error: `INVALID_ARGUMENT` for a service that is
/// not in the catalogue.
pub async fn create(
    conn: &mut Conn,
    secrets: &Secrets,
    new: NewIntegration,
    now: DateTime<Utc>,
) -> Result<IntegrationRow> {
    let manifest = connectors::catalogue()?.integration(&new.service);
    let manifest = manifest
        .ok_or_else(|| Error::invalid("service", "must be one of the available integrations"))?;
    let id = ids::sortable("int");
    let (shown, sealed) = settings::split(manifest, &new.settings);
    let sealed = match sealed.is_empty() {
        true => None,
        false => {
            let text = serde_json::to_vec(&sealed).map_err(Error::internal)?;
            Some(
                secrets
                    .seal(conn, &new.org_id, &format!("integration:{id}"), &text)
                    .await?,
            )
        }
    };
    let defaults = || {
        let row = |event: &connectors::manifest::IntegrationEvent| SynchronizationRow {
            event_type: event.event_type.clone(),
            enabled: event.default_enabled,
            retry_count: Some(event.retry_count),
        };
        manifest.events.iter().map(row).collect()
    };
    let row = IntegrationRow {
        org_id: new.org_id,
        id,
        service: new.service,
        name: new.name.unwrap_or_else(|| manifest.name.clone()),
        enabled: new.enabled,
        settings: Value::Object(shown),
        secrets: sealed,
        synchronizations: serde_json::to_value(new.synchronizations.unwrap_or_else(defaults))
            .map_err(Error::internal)?,
        api_key_prefix: None,
        created_at: now,
        updated_at: now,
        last_sync_at: None,
    };
    diesel::insert_into(integrations::table)
        .values(&row)
        .execute(conn)
        .await?;
    Ok(row)
}

/// The tenant's integrations, newest first.
pub(super) async fn list(conn: &mut Conn, org_id: &str) -> Result<Vec<Integration>> {
    let rows: Vec<IntegrationRow> = integrations::table
        .filter(integrations::org_id.eq(org_id))
        .order((integrations::created_at.desc(), integrations::id.desc()))
        .limit(MOST_LISTED)
        .select(IntegrationRow::as_select())
        .load(conn)
        .await?;
    rows.into_iter().map(Integration::try_from).collect()
}

impl TryFrom<IntegrationRow> for Integration {
    type Error = Error;

    fn try_from(row: IntegrationRow) -> Result<Self> {
        let stored: Vec<SynchronizationRow> =
            serde_json::from_value(row.synchronizations).map_err(Error::internal)?;
        Ok(Self {
            id: row.id,
            service: row.service,
            name: row.name,
            enabled: row.enabled,
            settings: Some(Json {
                text: row.settings.to_string(),
            }),
            synchronizations: stored.into_iter().map(Synchronization::from).collect(),
            api_key_prefix: row.api_key_prefix,
            created_at: Some(timestamp(row.created_at)),
            updated_at: Some(timestamp(row.updated_at)),
            last_sync_at: row.last_sync_at.map(timestamp),
        })
    }
}

impl From<SynchronizationRow> for Synchronization {
    fn from(row: SynchronizationRow) -> Self {
        Self {
            event_type: row.event_type,
            enabled: row.enabled,
            retry_count: row.retry_count.map(i64::from),
        }
    }
}

fn timestamp(at: DateTime<Utc>) -> Timestamp {
    // Below a thousand million, always.
    let nanos = i32::try_from(at.timestamp_subsec_nanos()).unwrap_or(0);
    Timestamp {
        seconds: at.timestamp(),
        nanos,
    }
}
