//! `WebhookService`: endpoints and what is sent to them.

use tonic::{Request, Response, Status};

use crate::{
    delivery::{endpoints::EndpointRow, history::DeliveryRow},
    identity::Caller,
    proto::pulpo::{
        pay::v1::{self as pb, webhook_service_server::WebhookService},
        r#type::v1::Json,
    },
};

use super::{
    super::{
        Pay,
        time::{optional_timestamp, timestamp},
    },
    endpoints, history,
};

#[tonic::async_trait]
impl WebhookService for Pay {
    async fn list_webhooks(
        &self,
        request: Request<pb::ListWebhooksRequest>,
    ) -> Result<Response<pb::ListWebhooksResponse>, Status> {
        let caller = Caller::of(&request)?;
        let rows = endpoints::list(self, &caller).await?;
        Ok(Response::new(pb::ListWebhooksResponse {
            webhooks: rows.into_iter().map(Into::into).collect(),
        }))
    }

    async fn register_webhook(
        &self,
        request: Request<pb::RegisterWebhookRequest>,
    ) -> Result<Response<pb::RegisterWebhookResponse>, Status> {
        let caller = Caller::of(&request)?;
        let registered = endpoints::register(self, &caller, request.into_inner()).await?;
        Ok(Response::new(registered.into()))
    }

    async fn update_webhook(
        &self,
        request: Request<pb::UpdateWebhookRequest>,
    ) -> Result<Response<pb::UpdateWebhookResponse>, Status> {
        let caller = Caller::of(&request)?;
        endpoints::update(self, &caller, request.into_inner()).await?;
        Ok(Response::new(pb::UpdateWebhookResponse { updated: true }))
    }

    async fn delete_webhook(
        &self,
        request: Request<pb::DeleteWebhookRequest>,
    ) -> Result<Response<pb::DeleteWebhookResponse>, Status> {
        let caller = Caller::of(&request)?;
        endpoints::delete(self, &caller, &request.get_ref().id).await?;
        Ok(Response::new(pb::DeleteWebhookResponse { deleted: true }))
    }

    async fn list_webhook_deliveries(
        &self,
        request: Request<pb::ListWebhookDeliveriesRequest>,
    ) -> Result<Response<pb::ListWebhookDeliveriesResponse>, Status> {
        let caller = Caller::of(&request)?;
        let rows = history::list(self, &caller, request.get_ref()).await?;
        Ok(Response::new(pb::ListWebhookDeliveriesResponse {
            deliveries: rows.into_iter().map(Into::into).collect(),
        }))
    }

    async fn get_webhook_delivery(
        &self,
        request: Request<pb::GetWebhookDeliveryRequest>,
    ) -> Result<Response<pb::GetWebhookDeliveryResponse>, Status> {
        let caller = Caller::of(&request)?;
        let row = history::detail(self, &caller, request.get_ref()).await?;
        Ok(Response::new(pb::GetWebhookDeliveryResponse {
            delivery: Some(row.into()),
        }))
    }

    async fn test_webhook(
        &self,
        request: Request<pb::TestWebhookRequest>,
    ) -> Result<Response<pb::TestWebhookResponse>, Status> {
        let caller = Caller::of(&request)?;
        let sending = history::test(self, &caller, &request.get_ref().id).await?;
        Ok(Response::new(pb::TestWebhookResponse {
            delivered: sending.is_delivered,
            delivery_id: sending.delivery_id,
            response_status: sending.response_status,
            duration_ms: sending.duration_ms,
        }))
    }

    async fn replay_webhook(
        &self,
        request: Request<pb::ReplayWebhookRequest>,
    ) -> Result<Response<pb::ReplayWebhookResponse>, Status> {
        let caller = Caller::of(&request)?;
        let replayed = history::replay(self, &caller, request.get_ref()).await?;
        Ok(Response::new(pb::ReplayWebhookResponse {
            replayed: i32::try_from(replayed).unwrap_or(i32::MAX),
        }))
    }

    async fn rotate_webhook_secret(
        &self,
        request: Request<pb::RotateWebhookSecretRequest>,
    ) -> Result<Response<pb::RotateWebhookSecretResponse>, Status> {
        let caller = Caller::of(&request)?;
        let (secret, valid_until) = endpoints::rotate(self, &caller, &request.get_ref().id).await?;
        Ok(Response::new(pb::RotateWebhookSecretResponse {
            secret,
            previous_valid_until: Some(timestamp(valid_until)),
        }))
    }
}

/// An endpoint and its secret, which is shown this once.
impl From<(EndpointRow, String)> for pb::RegisterWebhookResponse {
    fn from((row, secret): (EndpointRow, String)) -> Self {
        Self {
            id: row.id,
            url: row.url,
            description: row.description,
            events: row.kinds,
            agent_filter: row.labels,
            status: row.status,
            secret,
            created_at: Some(timestamp(row.created_at)),
        }
    }
}

impl From<EndpointRow> for pb::Webhook {
    fn from(row: EndpointRow) -> Self {
        Self {
            id: row.id,
            url: row.url,
            description: row.description,
            events: row.kinds,
            agent_filter: row.labels,
            status: row.status,
            failure_count: row.failure_count,
            last_error: row.last_error,
            created_at: Some(timestamp(row.created_at)),
            updated_at: Some(timestamp(row.updated_at)),
        }
    }
}

impl From<DeliveryRow> for pb::WebhookDelivery {
    fn from(row: DeliveryRow) -> Self {
        Self {
            id: row.id,
            event_type: row.event_type,
            status: row.status,
            attempts: row.attempts,
            response_status: row.response_status,
            duration_ms: row.duration_ms,
            delivered_at: optional_timestamp(row.delivered_at),
            created_at: Some(timestamp(row.created_at)),
        }
    }
}

impl From<DeliveryRow> for pb::WebhookDeliveryDetail {
    fn from(row: DeliveryRow) -> Self {
        Self {
            id: row.id,
            event_id: row.event_id,
            event_type: row.event_type,
            status: row.status,
            attempts: row.attempts,
            next_attempt_at: optional_timestamp(row.next_attempt_at),
            attempted_at: optional_timestamp(row.attempted_at),
            request_headers: row.request_headers.map(|headers| Json {
                text: headers.to_string(),
            }),
            request_body: Some(Json { text: row.body }),
            response_status: row.response_status,
            response_body: row.response_body,
            duration_ms: row.duration_ms,
            last_error: row.last_error,
            delivered_at: optional_timestamp(row.delivered_at),
            created_at: Some(timestamp(row.created_at)),
        }
    }
}
