//! A caller who may call every route, so that refusals are about the input.

use std::net::SocketAddr;

use pulpo::{
    contract::SurfaceName,
    identity::{memberships::Role, users},
    proto::pulpo::options::v1::Scheme,
};

use super::{
    routes::Route,
    wire::{self, Answer},
};
use crate::support::TestApp;

/// The largest body the program of these tests takes.
pub(super) const MAX_BODY_BYTES: usize = 64 * 1024;

/// A running program and credentials of every kind.
pub(super) struct World {
    pub(super) app: TestApp,
    org: String,
    tenant_key: String,
    workspace_token: String,
    deploy_token: String,
    payment_key: String,
    integration_key: String,
    user: String,
}

impl World {
    pub(super) async fn new() -> Self {
        let app = TestApp::builder()
            .config(|config| {
                config.rates.scale = 100_000;
                config.http.max_body_bytes = MAX_BODY_BYTES;
            })
            .start()
            .await;
        Self::of(app).await
    }

    pub(super) async fn of(app: TestApp) -> Self {
        let org = app.organization("Acme").await;
        let user = app.user("ada@example.com").await;
        app.member(&org, &user, Role::Owner).await;
        app.wallet(&org, "agent-a", "USD", 100_000).await;
        Self {
            tenant_key: app.tenant_key(&org).await,
            workspace_token: app.workspace_token(&user),
            deploy_token: app.deploy_token(&user),
            payment_key: app.payment_key(&org).await,
            integration_key: app.integration_key(&org, &["INTEGRATIONS.READ"]).await,
            user: users::print_id(user.id),
            org,
            app,
        }
    }

    pub(super) fn address(&self, surface: SurfaceName) -> SocketAddr {
        let addresses = self.app.addresses;
        match surface {
            SurfaceName::Hub => addresses.pullpush,
            SurfaceName::Deploy => addresses.pushpaka,
            SurfaceName::Workspace => addresses.puppyone,
            SurfaceName::Pay => addresses.pulse,
            SurfaceName::Integrations => addresses.integrations,
        }
    }

    /// The header that lets this caller in.
    pub(super) fn credential(&self, schemes: &[Scheme]) -> (&'static str, String) {
        let bearer = |credential: &str| ("authorization", format!("Bearer {credential}"));
        match schemes.first() {
            None => ("x-no-credential", "needed".to_owned()),
            Some(Scheme::TenantKey) => bearer(&self.tenant_key),
            Some(Scheme::TenantKeyHeader) => ("x-api-key", self.tenant_key.clone()),
            Some(Scheme::DeployToken) => bearer(&self.deploy_token),
            Some(Scheme::WorkspaceToken | Scheme::AccessKey) => bearer(&self.workspace_token),
            Some(Scheme::PaymentKey) => bearer(&self.payment_key),
            Some(Scheme::IntegrationToken) => bearer(&self.integration_key),
            Some(Scheme::McpKey) => bearer(crate::support::MCP_KEY),
            Some(Scheme::Unspecified) => unreachable!("no rule has it"),
        }
    }

    /// A value for a name in a path: the caller's own where there is one, unknown otherwise.
    pub(super) fn parameter(&self, name: &str) -> String {
        match name {
            "tenant_id" | "org_id" => self.org.clone(),
            "user_id" => self.user.clone(),
            "agent_id" => "agent-a".to_owned(),
            _ => "unknown".to_owned(),
        }
    }

    /// The path of a route with this caller's own ids.
    pub(super) fn path(&self, route: &Route) -> String {
        route.path(|name| self.parameter(name))
    }

    /// Calls a route with its credential and further headers.
    pub(super) async fn call(
        &self,
        route: &Route,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Answer {
        self.call_as(route, &route.method, path, headers, body)
            .await
    }

    /// The same with another method.
    pub(super) async fn call_as(
        &self,
        route: &Route,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Answer {
        let (name, value) = self.credential(&route.schemes);
        let mut all = vec![(name, value.as_str())];
        all.extend_from_slice(headers);
        let bytes = wire::request(method, path, &all, body);
        wire::exchange(self.address(route.surface), &bytes).await
    }

    /// Sends a JSON body to a route.
    pub(super) async fn send(&self, route: &Route, body: &[u8]) -> Answer {
        self.call(
            route,
            &self.path(route),
            &[("content-type", "application/json")],
            Some(body),
        )
        .await
    }
}
