//! The deployment platform (pushpaka): registration and login, health, readiness and metrics.

pub mod auth;
pub mod health;

use pulpo_gateway::services::Services;

use crate::{
    app::App,
    proto::pulpo::deploy::v1::{
        auth_service_server::AuthServiceServer, health_service_server::HealthServiceServer,
    },
};

/// Adds the services of this domain.
pub fn register(app: &App, services: &mut Services) {
    services
        .add_service(AuthServiceServer::new(auth::Auth {
            db: app.db.clone(),
            clock: app.clock.clone(),
            tokens: app.tokens.clone(),
            token_lifetime: chrono::TimeDelta::hours(i64::from(app.config.deploy.jwt_expiry_hours)),
        }))
        .add_service(HealthServiceServer::new(health::Health {
            db: app.db.clone(),
            metrics: app.metrics.clone(),
        }));
}
