//! The two doors for events; both share one space of external ids.

use tonic::{Request, Response, Status};

use super::{
    connections::ConnectionRow,
    ingest::{Incoming, ingest},
    require_tenant,
};
use crate::{
    app::App,
    error::{Error, Result},
    identity::Caller,
    proto::pulpo::hub::v1::{
        IngestConnectEventRequest, IngestConnectEventResponse, IngestEventRequest,
        IngestEventResponse, event_service_server::EventService,
    },
};

pub(super) struct Events {
    app: App,
}

impl Events {
    pub(super) fn new(app: &App) -> Self {
        Self { app: app.clone() }
    }

    async fn take(
        &self,
        org_id: &str,
        connection_id: Option<&str>,
        event: Incoming,
    ) -> Result<String> {
        let ids = ingest(
            &self.app.db,
            org_id,
            connection_id,
            &[event],
            self.app.clock.now(),
        )
        .await?;
        ids.into_iter()
            .next()
            .ok_or_else(|| Error::internal(anyhow::anyhow!("an event was taken without id")))
    }

    async fn take_of_connection(
        &self,
        org_id: &str,
        request: &IngestConnectEventRequest,
    ) -> Result<String> {
        let payload = request
            .payload
            .as_ref()
            .map_or("", |json| json.text.as_str());
        let event = Incoming::check(
            &request.r#type,
            &request.external_id,
            request.occurred_at.as_deref(),
            payload,
        );
        if request.connection_id.is_empty() {
            return Err(with_connection_id(event.err()));
        }
        let event = event?;
        ConnectionRow::require(
            &mut *self.app.db.connection().await?,
            org_id,
            &request.connection_id,
        )
        .await?;
        self.take(org_id, Some(&request.connection_id), event).await
    }
}

/// The connection is missing, and maybe more is wrong.
fn with_connection_id(others: Option<Error>) -> Error {
    let missing = Error::invalid("connectionId", "must be a text that is not empty");
    let violations = missing
        .violations
        .into_iter()
        .chain(others.into_iter().flat_map(|error| error.violations));
    Error::invalid_fields(violations.collect())
}

#[tonic::async_trait]
impl EventService for Events {
    async fn ingest_event(
        &self,
        request: Request<IngestEventRequest>,
    ) -> Result<Response<IngestEventResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let org_id = require_tenant(&caller, &request.tenant_id)?;
        let payload = request
            .payload
            .as_ref()
            .map_or("", |json| json.text.as_str());
        let event = Incoming::check(
            &request.r#type,
            &request.external_id,
            request.occurred_at.as_deref(),
            payload,
        )?;
        let event_id = self.take(org_id, None, event).await?;
        Ok(Response::new(IngestEventResponse {
            ok: true,
            event_id,
            request_id: caller.request_id.to_string(),
        }))
    }

    async fn ingest_connect_event(
        &self,
        request: Request<IngestConnectEventRequest>,
    ) -> Result<Response<IngestConnectEventResponse>, Status> {
        let caller = Caller::of(&request)?;
        let event_id = self
            .take_of_connection(caller.org_id()?, request.get_ref())
            .await?;
        Ok(Response::new(IngestConnectEventResponse { event_id }))
    }
}
