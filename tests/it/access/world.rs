//! What the requests of the matrix name, and the credentials they are made with.

use pulpo::{
    db::Conn,
    hub::admin::NewConnection,
    identity::{
        invitations,
        keys::{KeyKind, NewKey},
        memberships::Role,
        refresh_tokens,
        users::{self, UserRow},
    },
    proto::pulpo::options::v1::Scheme,
};
use uuid::Uuid;

use crate::support::{ALL_PAY_PERMISSIONS, TestApp, User, new_key};

/// The agent every payment, wallet and request of the world is about.
pub(super) const AGENT: &str = "agent-a";

/// The permissions of the integrations API.
const INTEGRATION_PERMISSIONS: [&str; 2] = ["INTEGRATIONS.READ", "INTEGRATIONS.WRITE"];

/// An organisation with everything a request can name, and a stranger beside it.
pub(super) struct World<'a> {
    pub(super) app: &'a TestApp,
    pub(super) org_id: String,
    pub(super) owner: User,
    pub(super) member: User,
    pub(super) invited: String,
    pub(super) connection_id: String,
    pub(super) refresh_token: String,
    pub(super) transaction_id: String,
    /// A payment in escrow.
    pub(super) held_id: String,
    /// A payment that waits for a human.
    pub(super) pending_id: String,
    pub(super) policy_id: String,
    pub(super) webhook_id: String,
    pub(super) delivery_id: String,
    pub(super) run_id: String,
    /// A reconciliation that is being made.
    pub(super) report_id: String,
    pub(super) stranger_org_id: String,
    pub(super) stranger: User,
}

/// A credential as it stands in a request.
pub(super) struct Credential {
    pub(super) header: &'static str,
    pub(super) value: String,
}

impl<'a> World<'a> {
    /// `template` is a user whose password hash the others share; hashing is slow.
    pub(super) async fn new(app: &'a TestApp, template: &UserRow) -> Self {
        let (owner, member, stranger) = (
            user(app, template).await,
            user(app, template).await,
            user(app, template).await,
        );
        let org_id = app.organization("Acme").await;
        app.member(&org_id, &owner, Role::Owner).await;
        app.member(&org_id, &member, Role::Member).await;
        // An owner may not delete their only organisation.
        let second = app.organization("Second").await;
        app.member(&second, &owner, Role::Owner).await;
        let stranger_org_id = app.organization("Stranger").await;
        app.member(&stranger_org_id, &stranger, Role::Owner).await;

        app.wallet(&org_id, AGENT, "USD", 100_000).await;
        let key = app.payment_key(&org_id).await;
        let policy_id = app
            .policy(
                &key,
                &serde_json::json!({"policy_name": "All", "require_human_above": 100}),
            )
            .await;
        let payment =
            serde_json::json!({"requesting_agent_id": AGENT, "amount": 1, "tx_type": "t"});
        let api = app.pulse().bearer(&key);
        let paid = api.post("/payments/request", &payment).await;
        let paid = paid.expect_status(200);

        let held = with_member(&payment, "escrow_conditions", serde_json::json!({}));
        let held = api.post("/payments/request", &held).await;
        let pending = with_member(&payment, "amount", serde_json::json!(101));
        let pending = api.post("/payments/request", &pending).await;

        // Nobody listens there.
        let webhook = serde_json::json!({
            "url": "http://127.0.0.1:9/", "events": ["payment.settled"], "agent_filter": [AGENT],
        });
        let webhook = api.post("/webhooks", &webhook).await.expect_status(201);
        let webhook_id = webhook.str("/id").to_owned();
        let tested = api
            .post(
                &format!("/webhooks/{webhook_id}/test"),
                &serde_json::json!({}),
            )
            .await;
        let delivery_id = tested.expect_status(200).str("/delivery_id").to_owned();

        let agent = serde_json::json!({"name": AGENT, "url": "http://127.0.0.1:9/"});
        api.post("/agents", &agent).await.expect_status(201);
        let run = serde_json::json!({"agent": AGENT});
        let run = api.post("/agents/trigger", &run).await.expect_status(200);
        let run_id = run.str("/run_id").to_owned();
        let triggered = api
            .post("/reconciliation/trigger", &serde_json::json!({}))
            .await
            .expect_status(200);

        let now = app.app.clock.now();
        let mut conn = app.app.db.connection().await.unwrap();
        let refresh_token = refresh_tokens::start(&mut conn, owner.id, now)
            .await
            .unwrap();
        let invited = invitations::replace(
            &mut conn,
            &org_id,
            &stranger.email,
            Role::Member,
            owner.id,
            now,
        )
        .await
        .unwrap()
        .1;
        let connection_id = connection(app, &org_id).await;
        let transaction_id = paid.str("/transaction_id").to_owned();
        Self {
            app,
            org_id,
            owner,
            member,
            invited,
            connection_id,
            refresh_token,
            transaction_id,
            held_id: held.str("/transaction_id").to_owned(),
            pending_id: pending.str("/transaction_id").to_owned(),
            policy_id,
            webhook_id,
            delivery_id,
            run_id,
            report_id: triggered.str("/report_id").to_owned(),
            stranger_org_id,
            stranger,
        }
    }

    /// A good credential of the owner's organisation.
    pub(super) async fn own(&self, scheme: Scheme) -> Credential {
        self.credential(scheme, &self.org_id, &self.owner).await
    }

    /// A key of the organisation with every permission of its API, changed before it is issued; none for a scheme that
    /// takes no keys.
    async fn key(&self, scheme: Scheme, change: impl FnOnce(&mut NewKey)) -> Option<Credential> {
        let (kind, permissions): (_, &[&str]) = match scheme {
            Scheme::TenantKey | Scheme::TenantKeyHeader => (KeyKind::Tenant, &[]),
            Scheme::AccessKey => (KeyKind::Access, &[]),
            Scheme::PaymentKey => (KeyKind::Payment, &ALL_PAY_PERMISSIONS),
            Scheme::IntegrationToken => (KeyKind::Integration, &INTEGRATION_PERMISSIONS),
            _ => return None,
        };
        let mut new = new_key(&self.org_id, kind, permissions);
        new.user_id = (kind == KeyKind::Access).then_some(self.owner.id);
        change(&mut new);
        let secret = self.app.key(new).await;
        Some(match scheme {
            Scheme::TenantKeyHeader => Credential {
                header: "x-api-key",
                value: secret,
            },
            _ => Credential {
                header: "authorization",
                value: format!("Bearer {secret}"),
            },
        })
    }

    /// A good key that may not be used from here.
    pub(super) async fn at_wrong_address(&self, scheme: Scheme) -> Option<Credential> {
        let change = |new: &mut NewKey| new.ip_whitelist = vec!["203.0.113.7".to_owned()];
        self.key(scheme, change).await
    }

    /// A payments key for an agent nothing in the organisation is about; none where no such key is taken.
    pub(super) async fn bound(&self, schemes: &[Scheme]) -> Option<Credential> {
        if !schemes.contains(&Scheme::PaymentKey) {
            return None;
        }
        let change = |new: &mut NewKey| new.allowed_agents = vec!["agent-z".to_owned()];
        self.key(Scheme::PaymentKey, change).await
    }

    /// A good credential of the other organisation.
    pub(super) async fn foreign(&self, scheme: Scheme) -> Credential {
        self.credential(scheme, &self.stranger_org_id, &self.stranger)
            .await
    }

    async fn credential(&self, scheme: Scheme, org_id: &str, user: &User) -> Credential {
        let app = self.app;
        let bearer = |secret: String| Credential {
            header: "authorization",
            value: format!("Bearer {secret}"),
        };
        match scheme {
            Scheme::TenantKey => bearer(app.tenant_key(org_id).await),
            Scheme::TenantKeyHeader => Credential {
                header: "x-api-key",
                value: app.tenant_key(org_id).await,
            },
            Scheme::McpKey => bearer(crate::support::MCP_KEY.to_owned()),
            Scheme::DeployToken => bearer(app.deploy_token(user)),
            Scheme::WorkspaceToken => bearer(app.workspace_token(user)),
            Scheme::AccessKey => bearer(app.access_key(org_id, user).await),
            Scheme::PaymentKey => bearer(app.payment_key(org_id).await),
            Scheme::IntegrationToken => {
                bearer(app.integration_key(org_id, &INTEGRATION_PERMISSIONS).await)
            }
            Scheme::Unspecified => unreachable!("no rule has it"),
        }
    }

    /// Keys of the organisation with every permission of their API but one.
    pub(super) async fn lacking(&self, schemes: &[Scheme], permission: &str) -> Vec<Credential> {
        let without = |all: &[&'static str]| {
            all.iter()
                .copied()
                .filter(|&held| held != permission)
                .collect::<Vec<_>>()
        };
        let mut credentials = Vec::new();
        for scheme in schemes {
            let new = match scheme {
                Scheme::PaymentKey => new_key(
                    &self.org_id,
                    KeyKind::Payment,
                    &without(&ALL_PAY_PERMISSIONS),
                ),
                Scheme::IntegrationToken => new_key(
                    &self.org_id,
                    KeyKind::Integration,
                    &without(&INTEGRATION_PERMISSIONS),
                ),
                other => panic!("the matrix does not know how {other:?} could lack {permission}"),
            };
            credentials.push(Credential {
                header: "authorization",
                value: format!("Bearer {}", self.app.key(new).await),
            });
        }
        credentials
    }
}

fn with_member(
    base: &serde_json::Value,
    name: &str,
    value: serde_json::Value,
) -> serde_json::Value {
    let mut changed = base.clone();
    changed[name] = value;
    changed
}

async fn user(app: &TestApp, template: &UserRow) -> User {
    let id = Uuid::new_v4();
    let row = UserRow {
        id,
        email: format!("{}@example.com", id.simple()),
        ..template.clone()
    };
    users::insert(&mut app.app.db.connection().await.unwrap(), &row)
        .await
        .unwrap();
    User {
        id,
        email: row.email,
    }
}

async fn connection(app: &TestApp, org_id: &str) -> String {
    let now = app.app.clock.now();
    let secrets = app.app.secrets.clone();
    let created = app
        .app
        .db
        .transaction("test_connection", async |conn: &mut Conn| {
            let new = NewConnection {
                org_id: org_id.to_owned(),
                connector_type: "generic".to_owned(),
                name: "Shop".to_owned(),
                direction: "source".to_owned(),
                state: "active".to_owned(),
                config: serde_json::json!({}),
                webhook_secret: Some("secret".to_owned()),
            };
            pulpo::hub::admin::create_connection(conn, &secrets, new, now).await
        });
    created.await.unwrap().id
}
