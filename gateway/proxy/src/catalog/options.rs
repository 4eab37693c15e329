//! What the configuration of a surface says, as the gateway takes it.

use std::sync::Arc;

use pulpo_gateway::{
    connect::ConnectOptions,
    metadata::{MetadataRules, PassFault},
    surface::SurfaceOptions,
};

use crate::{config, errors::Errors};

/// What the Connect protocol has to know.
pub(super) fn connect(config: &config::Surface) -> Result<ConnectOptions, Vec<String>> {
    Ok(ConnectOptions {
        limits: config.limits(),
        deadlines: config.deadlines(),
        metadata: rules(config)?,
        ..ConnectOptions::default()
    })
}

fn rules(config: &config::Surface) -> Result<MetadataRules, Vec<String>> {
    let rules = config.headers.rules();
    rules.map_err(|faults| faults.iter().map(PassFault::to_string).collect())
}

/// What the surface is besides its routes.
pub(super) fn surface(config: &config::Surface) -> Result<SurfaceOptions, Vec<String>> {
    Ok(SurfaceOptions {
        profile: config.json.into(),
        has_forms: config.forms,
        has_problem_json: true,
        has_debug_details: config.debug_details,
        has_entity_tags: config.entity_tags,
        compress_from_bytes: config.compress_from_bytes,
        has_grpc_gzip: config.grpc_gzip,
        limits: config.limits(),
        deadlines: config.deadlines(),
        streams: config.streams.into(),
        metadata: rules(config)?,
        origins: config.cors_origins.clone(),
        ..SurfaceOptions::new(&*config.name, Arc::new(Errors::new(config.errors)))
    })
}
