//! `/tenants/:tenantId/keys/rotate`.

use serde_json::json;

use super::{ERROR, Tenant};
use crate::support::{MCP_KEY, TestApp};

const ROTATED: &str = "{ok apiKey prefix requestId}";

#[tokio::test]
async fn a_rotation_revokes_every_key_of_the_tenant() {
    let app = TestApp::start().await;
    let (tenant, other) = (
        Tenant::new(&app, "Acme").await,
        Tenant::new(&app, "Other").await,
    );
    let second_key = app.tenant_key(&tenant.id).await;
    let payment_key = app.payment_key(&tenant.id).await;
    let rotate = tenant.path("/keys/rotate");

    let rotated = tenant
        .client(&app)
        .post(&rotate, &json!({}))
        .await
        .expect(200, ROTATED);
    let key = rotated.str("/apiKey");
    assert!(key.starts_with("pp_") && key.len() >= 40);
    assert_eq!(rotated.str("/prefix"), &key[..8]);
    assert_eq!(rotated.str("/requestId"), rotated.header("x-request-id"));
    assert_eq!(rotated.json["ok"], true);

    for old in [&tenant.key, &second_key] {
        let refused = app
            .pullpush()
            .bearer(old)
            .post(&rotate, &json!({}))
            .await
            .expect(401, ERROR);
        assert_eq!(refused.str("/error"), "invalid_tenant_or_key");
    }
    app.pulse()
        .bearer(&payment_key)
        .get("/wallets")
        .await
        .expect_status(200);
    let event = json!({"type": "order.created", "externalId": "1"});
    app.pullpush()
        .bearer(key)
        .post(&tenant.path("/events"), &event)
        .await
        .expect_status(200);
    other
        .client(&app)
        .post(&other.path("/events"), &event)
        .await
        .expect_status(200);
    // No body at all is as good as an empty one.
    let bare = app
        .pullpush()
        .bearer(key)
        .send(reqwest::Method::POST, &rotate, None)
        .await;
    bare.expect(200, ROTATED);
    // The key is nowhere in the clear.
    assert_eq!(
        app.sql_number(&format!(
            "SELECT count(*) FROM api_keys k WHERE k::text LIKE '%{key}%'"
        ))
        .await,
        0
    );
    app.stop().await;
}

#[tokio::test]
async fn of_many_rotations_at_once_one_wins() {
    let app = TestApp::start().await;
    let tenant = Tenant::new(&app, "Acme").await;
    let (client, path, body) = (tenant.client(&app), tenant.path("/keys/rotate"), json!({}));
    let replies = futures_util::future::join_all((0..8).map(|_| client.post(&path, &body))).await;
    assert_eq!(
        replies.iter().filter(|reply| reply.status == 200).count(),
        1
    );
    assert_eq!(
        replies.iter().filter(|reply| reply.status == 401).count(),
        7
    );
    let live = "SELECT count(*) FROM api_keys WHERE revoked_at IS NULL";
    assert_eq!(app.sql_number(live).await, 1);
    app.stop().await;
}

#[tokio::test]
async fn only_a_key_of_the_tenant_rotates() {
    let app = TestApp::start().await;
    let (tenant, other) = (
        Tenant::new(&app, "Acme").await,
        Tenant::new(&app, "Other").await,
    );
    let path = tenant.path("/keys/rotate");
    let foreign = other
        .client(&app)
        .post(&path, &json!({}))
        .await
        .expect_status(401);
    let unknown = tenant
        .client(&app)
        .post("/api/v1/tenants/nobody/keys/rotate", &json!({}))
        .await
        .expect_status(401);
    let operator = app
        .pullpush()
        .bearer(MCP_KEY)
        .post(&path, &json!({}))
        .await
        .expect_status(401);
    for reply in [&foreign, &unknown, &operator] {
        assert_eq!(reply.str("/error"), "invalid_tenant_or_key");
    }
    for header in ["", "Basic YTpi", "Bearer", &tenant.key] {
        let reply = app
            .pullpush()
            .header("authorization", header)
            .post(&path, &json!({}))
            .await
            .expect_status(401);
        assert_eq!(reply.str("/error"), "missing_api_key");
    }
    // The header of the other door is no credential here.
    let reply = app
        .pullpush()
        .header("x-api-key", &tenant.key)
        .post(&path, &json!({}))
        .await
        .expect_status(401);
    assert_eq!(reply.str("/error"), "missing_api_key");
    tenant
        .client(&app)
        .post(&path, &json!({}))
        .await
        .expect(200, ROTATED);
    app.stop().await;
}
