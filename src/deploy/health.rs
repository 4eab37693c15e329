//! Health, readiness and metrics: contract section 2.7.

use metrics_exporter_prometheus::PrometheusHandle;
use tonic::{Request, Response, Status, metadata::MetadataValue};

use crate::{
    db::Db,
    proto::{
        google::api::HttpBody,
        pulpo::deploy::v1::{
            CheckHealthRequest, CheckHealthResponse, CheckReadinessRequest, CheckReadinessResponse,
            GetMetricsRequest, GetMetricsResponse, HealthChecks,
            health_service_server::HealthService,
        },
    },
};

/// The response metadata that gives a reply another HTTP status; the gateway takes it out.
const HTTP_STATUS: &str = "pulpo-http-status";

/// The media type of the Prometheus text format.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4";

/// Health, readiness and metrics.
pub struct Health {
    /// What is probed.
    pub db: Db,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
}

#[tonic::async_trait]
impl HealthService for Health {
    async fn check_health(
        &self,
        _: Request<CheckHealthRequest>,
    ) -> Result<Response<CheckHealthResponse>, Status> {
        let database = self.db.answers().await;
        let reply = CheckHealthResponse {
            status: if database { "ok" } else { "degraded" }.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            // Redis is not configurable yet; its absence degrades nothing.
            checks: Some(HealthChecks {
                database,
                redis: false,
            }),
        };
        Ok(reply_of(reply, database))
    }

    async fn check_readiness(
        &self,
        _: Request<CheckReadinessRequest>,
    ) -> Result<Response<CheckReadinessResponse>, Status> {
        let is_ready = self.db.answers().await;
        let status = if is_ready { "ready" } else { "unavailable" }.to_owned();
        Ok(reply_of(CheckReadinessResponse { status }, is_ready))
    }

    async fn get_metrics(
        &self,
        _: Request<GetMetricsRequest>,
    ) -> Result<Response<GetMetricsResponse>, Status> {
        let body = HttpBody {
            content_type: PROMETHEUS_TEXT.to_owned(),
            data: self.metrics.render().into_bytes(),
            ..HttpBody::default()
        };
        Ok(Response::new(GetMetricsResponse { body: Some(body) }))
    }
}

/// The same body with 200 or 503.
fn reply_of<T>(message: T, is_well: bool) -> Response<T> {
    let mut response = Response::new(message);
    if !is_well {
        response
            .metadata_mut()
            .insert(HTTP_STATUS, MetadataValue::from_static("503"));
    }
    response
}
