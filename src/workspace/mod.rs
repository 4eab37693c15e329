//! The workspace (puppyone): login, organisations with their members and invitations, profiles.
//!
//! Whoever does not belong to an organisation is told that it does not exist; whoever belongs to it and lacks the role
//! is told so. Access keys see their own organisation and nothing else.

mod access;
pub mod auth;
mod invitations;
mod members;
pub mod organizations;
pub mod profile;

use pulpo_gateway::services::Services;

use crate::{
    app::App,
    proto::pulpo::workspace::v1::{
        auth_service_server::AuthServiceServer,
        organization_service_server::OrganizationServiceServer,
        profile_service_server::ProfileServiceServer,
    },
};

/// Adds the services of this domain.
pub fn register(app: &App, services: &mut Services) {
    let (db, clock) = (app.db.clone(), app.clock.clone());
    services
        .add_service(AuthServiceServer::new(auth::Auth {
            db: db.clone(),
            clock: clock.clone(),
            tokens: app.tokens.clone(),
            supabase_url: app.config.supabase_url(app.config.listen.puppyone),
            supabase_anon_key: app.config.supabase_anon_key().to_owned(),
        }))
        .add_service(OrganizationServiceServer::new(
            organizations::Organizations {
                db: db.clone(),
                clock,
            },
        ))
        .add_service(ProfileServiceServer::new(profile::Profiles { db }));
}
