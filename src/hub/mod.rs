//! The integration hub.
//!
//! It promises: an event is taken once per tenant and external id, whichever door it comes through, and is stored
//! together with its entry in the organisation's event stream or not at all. A webhook is believed only when its
//! signature over the exact bytes is right.
//!
//! One file per resource: `health`, `events` (both doors, over `ingest`), `webhooks`, `connections`, `keys`; `admin`
//! is for the command line.

pub mod admin;
mod connections;
mod events;
mod health;
mod id;
pub mod ingest;
mod keys;
pub mod schema;
mod webhooks;

use pulpo_gateway::services::Services;

use crate::{
    app::App,
    error::{Error, Result},
    identity::Caller,
    proto::pulpo::hub::v1::{
        event_service_server::EventServiceServer, health_service_server::HealthServiceServer,
        key_service_server::KeyServiceServer, webhook_service_server::WebhookServiceServer,
    },
};

pub use connections::ConnectionRow;

/// Adds the hub's services.
pub fn register(app: &App, services: &mut Services) {
    services
        .add_service(HealthServiceServer::new(health::Health::new(app)))
        .add_service(EventServiceServer::new(events::Events::new(app)))
        .add_service(WebhookServiceServer::new(webhooks::Webhooks::new(app)))
        .add_service(KeyServiceServer::new(keys::Keys::new(app)));
}

/// The tenant of the path must be the key's organisation; the answer does not say whether the tenant exists.
fn require_tenant<'c>(caller: &'c Caller, tenant_id: &str) -> Result<&'c str> {
    let org_id = caller.org_id()?;
    if org_id == tenant_id {
        return Ok(org_id);
    }
    Err(Error::unauthenticated(
        "INVALID_TENANT_OR_KEY",
        "The tenant does not exist or the key is not one of its keys; check both",
    ))
}
