//! Platform routes 16 and 17: health and meta.

use serde_json::json;

use super::{Desk, is_instant, refused};
use crate::support::ALL_PAY_PERMISSIONS;

#[tokio::test]
async fn health_needs_no_key() {
    let desk = Desk::open().await;
    let reply = desk
        .app
        .pulse()
        .get("/health")
        .await
        .expect(200, "{status version timestamp}");
    assert_eq!(reply.json["status"], "operational");
    assert_eq!(reply.json["version"], "4.17.0");
    is_instant(reply.str("/timestamp"));
    // There is no key to be limited, and a wrong one is not looked at.
    assert!(reply.headers.get("x-ratelimit-limit").is_none());
    desk.app
        .pulse()
        .bearer("nonsense")
        .get("/health")
        .await
        .expect_status(200);
    desk.app.stop().await;
}

#[tokio::test]
async fn meta_tells_a_key_what_it_is() {
    let desk = Desk::open().await;
    let reply = desk.api().get("/meta").await.expect(
        200,
        "{organization{id name slug type parent_org_id created_at} permissions[] \
         api_key{id name prefix created_at last_used_at ip_whitelist[] allowed_agents[]} rate_limits{per_minute daily}}",
    );
    assert_eq!(reply.json["organization"]["id"], desk.org_id);
    assert_eq!(reply.json["organization"]["name"], "Acme Payments");
    assert_eq!(reply.json["permissions"], json!(ALL_PAY_PERMISSIONS));
    assert_eq!(
        reply.json["rate_limits"],
        json!({"per_minute": 120, "daily": 10_000})
    );
    assert!(desk.key.starts_with(reply.str("/api_key/prefix")));
    assert!(!reply.text.contains(&desk.key));
    // Any valid key may ask.
    let bare = desk.app.payment_key_with(&desk.org_id, &[]).await;
    desk.app
        .pulse()
        .bearer(&bare)
        .get("/meta")
        .await
        .expect_status(200);
    refused(&desk.app.pulse().get("/meta").await, 401, "unauthorized");
    desk.app.stop().await;
}
