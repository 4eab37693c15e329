//! `PlatformService`: health, and what a key is.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use tonic::{Request, Response, Status};

use crate::{
    error::{Error, Result},
    identity::{
        Caller,
        schema::{api_keys, organizations},
    },
    proto::pulpo::pay::v1::{self as pb, platform_service_server::PlatformService},
};

use super::{
    Pay,
    time::{optional_timestamp, timestamp},
};

/// The version of the documented API.
const VERSION: &str = "4.17.0";
/// Requests of a key in any 60 seconds, before scaling.
const PER_MINUTE: i64 = 120;
/// Requests of a key in a UTC day, before scaling.
const DAILY: i64 = 10_000;

#[tonic::async_trait]
impl PlatformService for Pay {
    async fn check_health(
        &self,
        _request: Request<pb::CheckHealthRequest>,
    ) -> Result<Response<pb::CheckHealthResponse>, Status> {
        Ok(Response::new(health(self).await?))
    }

    async fn get_meta(
        &self,
        request: Request<pb::GetMetaRequest>,
    ) -> Result<Response<pb::GetMetaResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(meta(self, &caller).await?))
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = organizations, check_for_backend(diesel::pg::Pg))]
struct Organization {
    id: String,
    name: String,
    slug: String,
    kind: String,
    parent_id: Option<String>,
    created_at: DateTime<Utc>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = api_keys, check_for_backend(diesel::pg::Pg))]
struct Key {
    id: String,
    name: String,
    prefix: String,
    permissions: Vec<String>,
    ip_whitelist: Vec<String>,
    allowed_agents: Vec<String>,
    created_at: DateTime<Utc>,
    last_used_at: Option<DateTime<Utc>>,
}

/// Operational means that the database answers; 503 when it does not.
async fn health(pay: &Pay) -> Result<pb::CheckHealthResponse> {
    let mut conn = pay.db.connection().await?;
    diesel::sql_query("SELECT 1").execute(&mut conn).await?;
    Ok(pb::CheckHealthResponse {
        status: "operational".to_owned(),
        version: VERSION.to_owned(),
        timestamp: Some(timestamp(pay.clock.now())),
    })
}

async fn meta(pay: &Pay, caller: &Caller) -> Result<pb::GetMetaResponse> {
    let presented = caller.key()?;
    let mut conn = pay.db.connection().await?;
    let (key, organization) = api_keys::table
        .inner_join(organizations::table.on(organizations::id.eq(api_keys::org_id)))
        .filter(
            api_keys::id
                .eq(&presented.id)
                .and(api_keys::org_id.eq(&presented.org_id)),
        )
        .select((Key::as_select(), Organization::as_select()))
        .first::<(Key, Organization)>(&mut conn)
        .await
        .optional()?
        .ok_or_else(|| Error::not_found("KEY_NOT_FOUND", "This key was deleted"))?;
    let scale = i64::from(pay.rates_scale);
    Ok(pb::GetMetaResponse {
        organization: Some(organization.into()),
        permissions: key.permissions.clone(),
        api_key: Some(key.into()),
        rate_limits: Some(pb::RateLimits {
            per_minute: PER_MINUTE * scale,
            daily: DAILY * scale,
        }),
    })
}

impl From<Organization> for pb::OrganizationInfo {
    fn from(row: Organization) -> Self {
        Self {
            id: row.id,
            name: row.name,
            slug: row.slug,
            r#type: row.kind,
            parent_org_id: row.parent_id,
            created_at: Some(timestamp(row.created_at)),
        }
    }
}

impl From<Key> for pb::KeyInfo {
    fn from(row: Key) -> Self {
        Self {
            id: row.id,
            name: row.name,
            prefix: row.prefix,
            created_at: Some(timestamp(row.created_at)),
            last_used_at: optional_timestamp(row.last_used_at),
            ip_whitelist: row.ip_whitelist,
            allowed_agents: row.allowed_agents,
        }
    }
}
