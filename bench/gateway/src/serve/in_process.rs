//! The gateway around the tonic service.

use std::sync::Arc;

use super::{DEADLINE, MAX_BODY_BYTES, service};
use crate::proto::DESCRIPTOR_SET;
use anyhow::{Result, anyhow};
use http::HeaderValue;
use prost_reflect::DescriptorPool;
use pulpo_gateway::{
    fault::{ErrorContext, ErrorFormat, ErrorReply, Fault},
    service::Gateway,
    services::Services,
    surface::{Deadlines, Limits, Surface, SurfaceOptions},
};

struct Errors;

impl ErrorFormat for Errors {
    fn render(&self, fault: &Fault, _: ErrorContext<'_>) -> ErrorReply {
        let body = serde_json::json!({ "code": fault.code as i32, "message": fault.message });
        ErrorReply {
            status: fault.status,
            content_type: HeaderValue::from_static("application/json"),
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        }
    }
}

/// ProtoJSON as it is by default, strict, bounded.
fn surface() -> Result<Arc<Surface>> {
    let pool = DescriptorPool::decode(DESCRIPTOR_SET)?;
    let services: Vec<_> = pool.services().collect();
    let options = SurfaceOptions {
        limits: Limits {
            max_body_bytes: MAX_BODY_BYTES,
            ..Limits::default()
        },
        deadlines: Deadlines {
            default: Some(DEADLINE),
            cap: Some(DEADLINE),
        },
        ..SurfaceOptions::new("bench", Arc::new(Errors))
    };
    Surface::compile(&pool, &services, options)
        .map(Arc::new)
        .map_err(|faults| anyhow!(faults.join("\n")))
}

pub(super) fn gateway() -> Result<Gateway<Services>> {
    Ok(Gateway::new(surface()?, service::services()).in_process())
}
