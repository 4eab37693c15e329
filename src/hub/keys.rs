//! Rotation of tenant keys.

use tonic::{Request, Response, Status};

use super::require_tenant;
use crate::{
    app::App,
    identity::{Caller, keys},
    proto::pulpo::hub::v1::{RotateKeyRequest, RotateKeyResponse, key_service_server::KeyService},
};

pub(super) struct Keys {
    app: App,
}

impl Keys {
    pub(super) fn new(app: &App) -> Self {
        Self { app: app.clone() }
    }
}

#[tonic::async_trait]
impl KeyService for Keys {
    async fn rotate_key(
        &self,
        request: Request<RotateKeyRequest>,
    ) -> Result<Response<RotateKeyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let org_id = require_tenant(&caller, &request.get_ref().tenant_id)?;
        let (key_id, now) = (caller.key()?.id.as_str(), self.app.clock.now());
        let (key, api_key) = self
            .app
            .db
            .transaction("rotate_tenant_keys", async |conn| {
                keys::rotate_tenant_keys(conn, org_id, key_id, now).await
            })
            .await?;
        Ok(Response::new(RotateKeyResponse {
            ok: true,
            api_key,
            prefix: key.prefix,
            request_id: caller.request_id.to_string(),
        }))
    }
}
