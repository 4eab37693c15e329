//! Request ids and the limit of 120 requests a minute.

use chrono::{TimeDelta, Utc};
use pulpo::clock::Clock;
use serde_json::json;
use uuid::Uuid;

use super::Tenant;
use crate::support::TestApp;

#[tokio::test]
async fn the_request_id_is_echoed_or_made() {
    let app = TestApp::start().await;
    let tenant = Tenant::new(&app, "Acme").await;
    let event = json!({"type": "order.created", "externalId": "1"});
    let named = tenant
        .client(&app)
        .header("x-request-id", "trace-42")
        .post(&tenant.path("/events"), &event)
        .await;
    assert_eq!(
        (named.str("/requestId"), named.header("x-request-id")),
        ("trace-42", "trace-42")
    );
    let made = tenant
        .client(&app)
        .post(&tenant.path("/events"), &event)
        .await;
    assert!(Uuid::try_parse(made.str("/requestId")).is_ok());
    assert_eq!(made.str("/requestId"), made.header("x-request-id"));
    // In errors too, and in the headers of the bodies that lack it.
    let refused = app
        .pullpush()
        .header("x-request-id", "trace-43")
        .post(&tenant.path("/events"), &event)
        .await;
    assert_eq!(refused.expect_status(401).str("/requestId"), "trace-43");
    let health = app
        .pullpush()
        .header("x-request-id", "trace-44")
        .get("/health")
        .await;
    assert_eq!(health.header("x-request-id"), "trace-44");
    let nowhere = app
        .pullpush()
        .header("x-request-id", "trace-45")
        .get("/nowhere")
        .await
        .expect_status(404);
    assert_eq!(
        (nowhere.str("/requestId"), nowhere.str("/error")),
        ("trace-45", "not_found")
    );
    app.stop().await;
}

#[tokio::test]
async fn the_121st_request_of_a_minute_is_refused() {
    let clock = Clock::fixed(Utc::now());
    let app = TestApp::builder().clock(&clock).start().await;
    let path = "/api/v1/tenants/t/events";
    for _ in 0..119 {
        app.pullpush()
            .post(path, &json!({}))
            .await
            .expect_status(401);
    }
    // Routes that do not exist count as well.
    app.pullpush().get("/nowhere").await.expect_status(404);
    let refused = app
        .pullpush()
        .post(path, &json!({}))
        .await
        .expect_status(429);
    assert_eq!(refused.str("/error"), "rate_limited");
    assert_eq!(refused.str("/requestId"), refused.header("x-request-id"));
    let wait: i64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    // Probes are exempt, and other APIs have limits of their own.
    app.pullpush().get("/health").await.expect_status(200);
    app.pullpush().get("/health/ready").await.expect_status(200);
    app.puppyone().get("/auth/config").await.expect_status(200);
    // Nobody gets around it by claiming to be somebody else.
    app.pullpush()
        .header("x-forwarded-for", "203.0.113.9")
        .post(path, &json!({}))
        .await
        .expect_status(429);
    // After the time it names, it is over.
    clock.set(clock.now() + TimeDelta::seconds(wait));
    app.pullpush()
        .post(path, &json!({}))
        .await
        .expect_status(401);
    app.stop().await;
}
