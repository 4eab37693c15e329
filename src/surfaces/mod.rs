//! The five surfaces: how each API looks from outside. One file per API holds its JSON profile and its error body.

mod deploy;
mod describe;
mod hub;
mod integrations;
mod pay;
mod workspace;

use std::{sync::Arc, time::Duration};

use anyhow::{Result, anyhow, bail};
use http::{HeaderValue, StatusCode};
use pulpo_gateway::{
    connect::{ConnectOptions, Methods},
    fault::{ErrorFormat, ErrorReply},
    metadata::MetadataRules,
    profile::{Absent, Enums, Integers, JsonProfile, Names, TimestampDigits, Unknown},
    surface::{Deadlines, Limits, Surface, SurfaceOptions},
};
use serde::Serialize;

pub use self::describe::{document, pages};
use crate::{
    config::Http,
    contract::{Contract, SurfaceName},
};

/// A reply that fits in one packet gains nothing from being compressed.
const COMPRESS_FROM_BYTES: usize = 1400;

/// Messages nested in the outermost one of a request.
const MAX_DEPTH: u32 = 64;
/// Values in one request.
const MAX_VALUES: u32 = 100_000;

/// Compiles a surface; an impossible or ambiguous route is refused here, at start, with all faults.
pub fn compile(contract: &Contract, name: SurfaceName, http: &Http) -> Result<Surface> {
    let (names, timestamps, envelope, errors): (_, _, _, Arc<dyn ErrorFormat>) = match name {
        SurfaceName::Hub => (
            Names::Camel,
            TimestampDigits::Auto,
            None,
            Arc::new(hub::Errors),
        ),
        SurfaceName::Deploy => (
            Names::Proto,
            TimestampDigits::Auto,
            None,
            Arc::new(deploy::Errors),
        ),
        SurfaceName::Workspace => (
            Names::Proto,
            TimestampDigits::Auto,
            Some(workspace::ENVELOPE),
            Arc::new(workspace::Errors),
        ),
        SurfaceName::Pay => (
            Names::Proto,
            TimestampDigits::Millis,
            None,
            Arc::new(pay::Errors),
        ),
        SurfaceName::Integrations => (
            Names::Camel,
            TimestampDigits::Auto,
            None,
            Arc::new(integrations::Errors),
        ),
    };
    let options = SurfaceOptions {
        profile: profile(names, timestamps),
        envelope,
        has_problem_json: true,
        has_entity_tags: true,
        compress_from_bytes: Some(COMPRESS_FROM_BYTES),
        limits: limits(http),
        metadata: metadata(name)?,
        origins: http.cors_origins.clone(),
        unmatched: Some(name.unmatched().to_owned()),
        ..SurfaceOptions::new(name.as_str(), errors)
    };
    match Surface::compile(&contract.pool, &contract.services(name), options) {
        Ok(surface) => Ok(surface),
        Err(faults) => bail!(
            "the {} surface cannot be served:\n  {}",
            name.as_str(),
            faults.join("\n  ")
        ),
    }
}

/// Webhooks are signed in headers of each sender's own; the other surfaces pass on the usual ones.
fn metadata(name: SurfaceName) -> Result<MetadataRules> {
    let mut rules = MetadataRules::default();
    if name == SurfaceName::Hub {
        rules.requests.pass("*")?;
    }
    Ok(rules)
}

fn limits(http: &Http) -> Limits {
    Limits {
        max_body_bytes: http.max_body_bytes,
        body_timeout: Duration::from_millis(http.body_timeout_ms),
        ..Limits::default()
    }
}

/// The methods of all services for the Connect protocol, whose JSON is the same whatever the documents say.
pub fn methods(contract: &Contract, http: &Http) -> Result<Methods> {
    let services: Vec<_> = contract.pool.services().collect();
    let defaults = ConnectOptions::default();
    let options = ConnectOptions {
        limits: limits(http),
        deadlines: Deadlines {
            default: None,
            cap: Some(Duration::from_millis(http.request_timeout_ms)),
        },
        profile: JsonProfile {
            refuse_nul: true,
            max_depth: MAX_DEPTH,
            max_values: MAX_VALUES,
            ..defaults.profile
        },
        // One table for all services: what the most open of their surfaces lets pass.
        metadata: metadata(SurfaceName::Hub)?,
    };
    Methods::compile(&contract.pool, &services, options).map_err(|fault| anyhow!(fault))
}

/// What the five documents have in common: members always printed, numbers as numbers, unknown members ignored.
fn profile(names: Names, timestamps: TimestampDigits) -> JsonProfile {
    JsonProfile {
        names,
        absent: Absent::Omit,
        print_defaults: true,
        integers: Integers::Numbers,
        enums: Enums::LowerWithoutPrefix,
        timestamps,
        unknown_fields: Unknown::Ignore,
        unknown_enums: Unknown::Refuse,
        // Postgres text cannot hold it, and no document needs it.
        refuse_nul: true,
        max_depth: MAX_DEPTH,
        max_values: MAX_VALUES,
    }
}

/// The word of a status, as the documents write it.
fn word(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "BAD_REQUEST",
        401 => "UNAUTHORIZED",
        403 => "FORBIDDEN",
        404 => "NOT_FOUND",
        405 => "METHOD_NOT_ALLOWED",
        406 => "NOT_ACCEPTABLE",
        408 => "REQUEST_TIMEOUT",
        409 => "CONFLICT",
        413 => "PAYLOAD_TOO_LARGE",
        414 => "URI_TOO_LONG",
        415 => "UNSUPPORTED_MEDIA_TYPE",
        422 => "VALIDATION_ERROR",
        429 => "RATE_LIMITED",
        499 => "CLIENT_CLOSED_REQUEST",
        501 => "NOT_IMPLEMENTED",
        503 => "SERVICE_UNAVAILABLE",
        504 => "TIMEOUT",
        _ => "INTERNAL_ERROR",
    }
}

/// Members are printed in the order of the type's fields, which is the document's.
fn json_reply(status: StatusCode, body: &impl Serialize) -> ErrorReply {
    ErrorReply {
        status,
        content_type: HeaderValue::from_static("application/json"),
        headers: Vec::new(),
        // Texts, numbers and nulls always serialise.
        body: serde_json::to_vec(body).unwrap_or_default(),
    }
}
