//! The hub's API (pullpush).

mod events;
mod health;
mod keys;
mod limits;
mod webhooks;

use chrono::Utc;
use pulpo::{db::Conn, hub::admin};
use serde_json::json;

use crate::support::{Client, TestApp};

/// The members of an error that is about no field.
const ERROR: &str = "{error details{message} requestId}";

/// Signs the webhooks of every connection.
const WEBHOOK_SECRET: &str = "webhook secret";

/// A tenant and its key.
struct Tenant {
    id: String,
    key: String,
}

impl Tenant {
    async fn new(app: &TestApp, name: &str) -> Self {
        let id = app.organization(name).await;
        let key = app.tenant_key(&id).await;
        Self { id, key }
    }

    /// The API as this tenant uses it.
    fn client(&self, app: &TestApp) -> Client {
        app.pullpush().bearer(&self.key)
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/tenants/{}{rest}", self.id)
    }

    /// A new connection; its id.
    async fn connection(&self, app: &TestApp, connector_type: &str, state: &str) -> String {
        let created = app
            .app
            .db
            .transaction("test_connection", async |conn: &mut Conn| {
                let new = admin::NewConnection {
                    org_id: self.id.clone(),
                    connector_type: connector_type.to_owned(),
                    name: "Test".to_owned(),
                    direction: "source".to_owned(),
                    state: state.to_owned(),
                    config: json!({}),
                    webhook_secret: Some(WEBHOOK_SECRET.to_owned()),
                };
                admin::create_connection(conn, &app.app.secrets, new, Utc::now()).await
            });
        created.await.expect("a connection").id
    }
}
