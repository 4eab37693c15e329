//! `/health`, `/ready` and `/metrics`.

use crate::support::TestApp;

#[tokio::test]
async fn health_and_readiness() {
    let app = TestApp::start().await;
    let health = app
        .pushpaka()
        .get("/health")
        .await
        .expect(200, "{status version checks{database redis}}");
    assert_eq!(
        health.text,
        format!(
            r#"{{"status":"ok","version":"{}","checks":{{"database":true,"redis":false}}}}"#,
            env!("CARGO_PKG_VERSION")
        )
    );
    let ready = app.pushpaka().get("/ready").await.expect_status(200);
    assert_eq!(ready.text, r#"{"status":"ready"}"#);
    app.stop().await;
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let app = TestApp::start().await;
    app.pushpaka().get("/health").await.expect_status(200);
    let metrics = app.pushpaka().get("/metrics").await.expect_status(200);
    assert!(
        metrics.header("content-type").starts_with("text/plain"),
        "{}",
        metrics.header("content-type")
    );
    assert!(
        metrics.text.contains("# TYPE pulpo_calls_total counter"),
        "{}",
        metrics.text
    );
    assert!(
        metrics
            .text
            .contains("pulpo.deploy.v1.HealthService/CheckHealth"),
        "{}",
        metrics.text
    );
    // Scrapers ask for text.
    let asked = app
        .pushpaka()
        .header("accept", "text/plain")
        .get("/metrics")
        .await;
    asked.expect_status(200);
    app.stop().await;
}

#[tokio::test]
async fn every_reply_carries_the_security_headers() {
    let app = TestApp::start().await;
    for reply in [
        app.pushpaka().get("/health").await.expect_status(200),
        app.pushpaka()
            .get("/nothing-here")
            .await
            .expect(404, "{error}"),
        app.pushpaka()
            .get("/auth/login")
            .await
            .expect(405, "{error}"),
    ] {
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert_eq!(reply.header("x-frame-options"), "DENY");
        assert!(
            reply
                .header("strict-transport-security")
                .starts_with("max-age=")
        );
        assert!(
            reply
                .header("content-security-policy")
                .contains("default-src 'none'")
        );
        assert_eq!(reply.header("referrer-policy"), "no-referrer");
        assert!(!reply.header("x-request-id").is_empty());
    }
    app.stop().await;
}
