//! The OpenAPI document of a surface, and the page that shows it.

use std::sync::Arc;

use prost_reflect::{DescriptorPool, ServiceDescriptor};
use pulpo_gateway::{
    openapi::{Description, Security, document, pages::Pages},
    surface::Surface,
};
use serde_json::json;

use crate::{config, errors::Errors};

/// The pages of a surface that was compiled from these services; none where the configuration has them off.
pub(super) fn pages(
    config: &config::Surface,
    surface: &Arc<Surface>,
    pool: &DescriptorPool,
    services: Vec<ServiceDescriptor>,
) -> Option<Pages> {
    if !config.docs.serve {
        return None;
    }
    let description = Description {
        title: config.docs.title.as_ref().unwrap_or(&config.name).clone(),
        version: config.docs.version.clone(),
        text: config.docs.text.clone(),
        error_schema: Errors::new(config.errors).schema(),
        credentials: Vec::new(),
        security: Security {
            schemes: config.docs.security_schemes.clone().into_iter().collect(),
            requirements: config.docs.security.iter().map(|r| json!(r)).collect(),
        },
    };
    let (described, pool) = (surface.clone(), pool.clone());
    Some(Pages::new(surface, move || {
        document(&described, &pool, &services, &description)
    }))
}
