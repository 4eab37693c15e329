//! Webhooks: whose, of what kind, signed by whom, and only then what is in them.

use tonic::{Request, Response, Status, metadata::MetadataMap};

use super::{
    connections::ConnectionRow,
    ingest::{Incoming, check_name, ingest, parse_instant},
};
use crate::{
    app::App,
    connectors::{
        self,
        manifest::Webhook,
        signature,
        webhook::{self, Parsed},
    },
    error::{Error, Result},
    identity::Caller,
    proto::pulpo::hub::v1::{
        ReceiveWebhookRequest, ReceiveWebhookResponse, webhook_service_server::WebhookService,
    },
};

pub(super) struct Webhooks {
    app: App,
}

impl Webhooks {
    pub(super) fn new(app: &App) -> Self {
        Self { app: app.clone() }
    }

    /// Verifies and stores; answers the ids of the events in the order of the body.
    async fn receive(
        &self,
        headers: &MetadataMap,
        request: &ReceiveWebhookRequest,
    ) -> Result<Vec<String>> {
        let (org_id, connection_id) = (request.tenant_id.as_str(), request.connection_id.as_str());
        let body = request
            .body
            .as_ref()
            .map_or(&[][..], |body| body.data.as_ref());
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());

        let manifest = self.verify(org_id, connection_id, header, body).await?;
        let parsed = webhook::parse(manifest, header, body)
            .map_err(|fault| Error::invalid("body", fault))?;
        let events = parsed.iter().map(incoming).collect::<Result<Vec<_>>>()?;
        ingest(
            &self.app.db,
            org_id,
            Some(connection_id),
            &events,
            self.app.clock.now(),
        )
        .await
    }

    /// Errors, in this order: `CONNECTION_NOT_FOUND`, `CONNECTOR_HAS_NO_WEBHOOK`, `INVALID_SIGNATURE`.
    async fn verify<'h>(
        &self,
        org_id: &str,
        connection_id: &str,
        header: impl Fn(&str) -> Option<&'h str>,
        body: &[u8],
    ) -> Result<&'static Webhook> {
        let mut conn = self.app.db.connection().await?;
        let connection = ConnectionRow::receiving(&mut conn, org_id, connection_id).await?;
        let connector = connectors::catalogue()?.connector(&connection.connector_type);
        let Some(manifest) = connector.and_then(|connector| connector.webhook.as_ref()) else {
            return Err(Error::precondition(
                "CONNECTOR_HAS_NO_WEBHOOK",
                format!(
                    "Connections of type {} do not take webhooks",
                    connection.connector_type
                ),
            ));
        };
        let credentials = connection.credentials(&mut conn, &self.app.secrets).await?;
        let secret = credentials.webhook_secret.unwrap_or_default();
        if signature::verify(&manifest.signatures, header, secret.as_bytes(), body) {
            return Ok(manifest);
        }
        Err(Error::unauthenticated(
            "INVALID_SIGNATURE",
            "The signature is missing or does not fit the body; check the webhook secret of the connection",
        ))
    }
}

/// A sender's instant that cannot be read is no reason to lose the event: it then happened when it was received.
fn incoming(parsed: &Parsed<'_>) -> Result<Incoming> {
    for (what, name) in [
        ("event type", &parsed.event_type),
        ("event id", &parsed.external_id),
    ] {
        check_name(name)
            .map_err(|fault| Error::invalid("body", format!("has an {what} that {fault}")))?;
    }
    Ok(Incoming {
        event_type: parsed.event_type.clone(),
        external_id: parsed.external_id.clone(),
        occurred_at: parsed.occurred_at.as_deref().and_then(parse_instant),
        payload: parsed.payload.to_owned(),
    })
}

#[tonic::async_trait]
impl WebhookService for Webhooks {
    async fn receive_webhook(
        &self,
        request: Request<ReceiveWebhookRequest>,
    ) -> Result<Response<ReceiveWebhookResponse>, Status> {
        let caller = Caller::of(&request)?;
        let event_ids = self.receive(request.metadata(), request.get_ref()).await?;
        let request_id = caller.request_id.to_string();
        Ok(Response::new(ReceiveWebhookResponse {
            ok: true,
            event_ids,
            request_id,
        }))
    }
}
