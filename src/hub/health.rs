//! Liveness and readiness.

use tonic::{Request, Response, Status, metadata::MetadataValue};

use crate::{
    app::App,
    db::Db,
    proto::pulpo::hub::v1::{
        CheckLivenessRequest, CheckLivenessResponse, CheckReadinessRequest, CheckReadinessResponse,
        ReadinessChecks, health_service_server::HealthService,
    },
};

const SERVICE: &str = "kaduno-pullpush-api";

pub(super) struct Health {
    db: Db,
}

impl Health {
    pub(super) fn new(app: &App) -> Self {
        Self { db: app.db.clone() }
    }
}

#[tonic::async_trait]
impl HealthService for Health {
    async fn check_liveness(
        &self,
        _: Request<CheckLivenessRequest>,
    ) -> Result<Response<CheckLivenessResponse>, Status> {
        Ok(Response::new(CheckLivenessResponse {
            ok: true,
            service: SERVICE.to_owned(),
        }))
    }

    async fn check_readiness(
        &self,
        _: Request<CheckReadinessRequest>,
    ) -> Result<Response<CheckReadinessResponse>, Status> {
        let postgres = self.db.answers().await;
        // The queue and the counters are in this process: they work as long as it answers.
        let checks = ReadinessChecks {
            postgres,
            redis: true,
        };
        let ok = checks.postgres && checks.redis;
        let mut response = Response::new(CheckReadinessResponse {
            ok,
            checks: Some(checks),
            service: SERVICE.to_owned(),
        });
        if !ok {
            response
                .metadata_mut()
                .insert("pulpo-http-status", MetadataValue::from_static("503"));
        }
        Ok(response)
    }
}
