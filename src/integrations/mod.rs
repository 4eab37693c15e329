//! Management of integrations.
//!
//! It promises: a tenant sees its own integrations only, and a secret setting is never shown again: it is sealed, and
//! beside it stands a mask that tells which one it is.
//!
//! `manifests` shows the catalogue, `integration` is the row and its queries, `settings` the pure rules of secrets.

mod integration;
mod manifests;
pub mod schema;
pub mod settings;

use pulpo_gateway::services::Services;
use tonic::{Request, Response, Status};

use crate::{
    app::App,
    connectors,
    identity::Caller,
    proto::pulpo::integrations::v1::{
        ListAvailableIntegrationsRequest, ListAvailableIntegrationsResponse,
        ListIntegrationsRequest, ListIntegrationsResponse, Manifest,
        integration_service_server::{IntegrationService, IntegrationServiceServer},
    },
};

pub use integration::{IntegrationRow, NewIntegration, SynchronizationRow, create};

/// Adds the integrations service.
pub fn register(app: &App, services: &mut Services) {
    services.add_service(IntegrationServiceServer::new(Integrations {
        app: app.clone(),
    }));
}

struct Integrations {
    app: App,
}

#[tonic::async_trait]
impl IntegrationService for Integrations {
    async fn list_available_integrations(
        &self,
        _: Request<ListAvailableIntegrationsRequest>,
    ) -> Result<Response<ListAvailableIntegrationsResponse>, Status> {
        let data: Vec<Manifest> = connectors::catalogue()?
            .integrations()
            .map(Manifest::from)
            .collect();
        let total = i64::try_from(data.len()).unwrap_or(i64::MAX);
        Ok(Response::new(ListAvailableIntegrationsResponse {
            data,
            total,
        }))
    }

    async fn list_integrations(
        &self,
        request: Request<ListIntegrationsRequest>,
    ) -> Result<Response<ListIntegrationsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let mut conn = self.app.db.connection().await?;
        let data = integration::list(&mut conn, caller.org_id()?).await?;
        let total = i64::try_from(data.len()).unwrap_or(i64::MAX);
        Ok(Response::new(ListIntegrationsResponse { data, total }))
    }
}
