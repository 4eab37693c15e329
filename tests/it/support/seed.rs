//! What the operator would create: organisations, users, credentials of every kind, wallets.

use chrono::TimeDelta;
use pulpo::{
    db::Conn,
    identity::{
        admin,
        keys::{KeyKind, NewKey},
        memberships::Role,
        tokens::Audience,
        users::UserRole,
    },
    pay::admin::create_wallet,
};
use serde_json::Value;
use uuid::Uuid;

use super::TestApp;

/// The password of every user of tests.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// Every permission of the payments document.
pub(crate) const ALL_PAY_PERMISSIONS: [&str; 14] = [
    "payments:request",
    "payments:read",
    "payments:write",
    "wallets:read",
    "wallets:write",
    "policies:read",
    "policies:write",
    "reconciliation:read",
    "reconciliation:trigger",
    "data:read",
    "data:write",
    "agents:trigger",
    "reports:read",
    "webhooks:manage",
];

/// A user that can log in with [`PASSWORD`].
#[derive(Clone, Debug)]
pub(crate) struct User {
    /// Their id.
    pub(crate) id: Uuid,
    /// Their address, in lower case.
    pub(crate) email: String,
}

impl TestApp {
    /// A new organisation; its id.
    pub(crate) async fn organization(&self, name: &str) -> String {
        admin::create_organization(&self.app.db, &self.app.clock, name)
            .await
            .expect("an organisation")
            .id
    }

    /// A new user without an organisation.
    pub(crate) async fn user(&self, email: &str) -> User {
        let created = admin::create_user(
            &self.app.db,
            &self.app.clock,
            email,
            "Ada Lovelace",
            PASSWORD,
            UserRole::User,
        );
        let row = created.await.expect("a user");
        User {
            id: row.id,
            email: row.email,
        }
    }

    /// Makes a user a member.
    pub(crate) async fn member(&self, org_id: &str, user: &User, role: Role) {
        admin::add_member(&self.app.db, &self.app.clock, org_id, user.id, role)
            .await
            .expect("a membership");
    }

    /// A valid access token of the deployment API.
    pub(crate) fn deploy_token(&self, user: &User) -> String {
        self.app
            .tokens
            .issue(user.id, Audience::Deploy, TimeDelta::hours(1))
            .expect("a token")
    }

    /// A valid access token of the workspace API.
    pub(crate) fn workspace_token(&self, user: &User) -> String {
        self.app
            .tokens
            .issue(user.id, Audience::Workspace, TimeDelta::hours(1))
            .expect("a token")
    }

    /// Any key, as the operator issues it.
    pub(crate) async fn key(&self, new: NewKey) -> String {
        admin::create_key(&self.app.db, &self.app.clock, new)
            .await
            .expect("a key")
            .1
    }

    /// A `pp_…` key of the hub.
    pub(crate) async fn tenant_key(&self, org_id: &str) -> String {
        self.key(new_key(org_id, KeyKind::Tenant, &[])).await
    }

    /// A `cli_…` access key that acts for a member.
    pub(crate) async fn access_key(&self, org_id: &str, user: &User) -> String {
        self.key(NewKey {
            user_id: Some(user.id),
            ..new_key(org_id, KeyKind::Access, &[])
        })
        .await
    }

    /// A token of the integrations API with these permissions.
    pub(crate) async fn integration_key(&self, org_id: &str, permissions: &[&str]) -> String {
        self.key(new_key(org_id, KeyKind::Integration, permissions))
            .await
    }

    /// A payments key with every permission.
    pub(crate) async fn payment_key(&self, org_id: &str) -> String {
        self.payment_key_with(org_id, &ALL_PAY_PERMISSIONS).await
    }

    /// A payments key with these permissions.
    pub(crate) async fn payment_key_with(&self, org_id: &str, permissions: &[&str]) -> String {
        self.key(new_key(org_id, KeyKind::Payment, permissions))
            .await
    }

    /// A wallet that holds this much.
    pub(crate) async fn wallet(
        &self,
        org_id: &str,
        agent_id: &str,
        currency: &str,
        balance_minor: i64,
    ) {
        let now = self.app.clock.now();
        let created = self
            .app
            .db
            .transaction("test_wallet", async |conn: &mut Conn| {
                create_wallet(conn, org_id, agent_id, currency, balance_minor, now).await
            });
        created.await.expect("a wallet");
    }

    /// A policy created through the API; its id.
    pub(crate) async fn policy(&self, key: &str, body: &Value) -> String {
        self.pulse()
            .bearer(key)
            .post("/policies", body)
            .await
            .expect_status(201)
            .str("/id")
            .to_owned()
    }
}

/// A key without limits, to be changed.
pub(crate) fn new_key(org_id: &str, kind: KeyKind, permissions: &[&str]) -> NewKey {
    NewKey {
        org_id: org_id.to_owned(),
        user_id: None,
        kind,
        name: "test key".to_owned(),
        permissions: permissions.iter().map(|&p| p.to_owned()).collect(),
        ip_whitelist: Vec::new(),
        allowed_agents: Vec::new(),
    }
}
