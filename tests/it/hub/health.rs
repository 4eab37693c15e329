//! `/health` and `/health/ready`: the bodies of the document to the letter.

use crate::support::TestApp;

#[tokio::test]
async fn the_bodies_are_as_printed() {
    let app = TestApp::start().await;
    let health = app.pullpush().get("/health").await.expect_status(200);
    assert_eq!(
        health.text,
        r#"{"ok":true,"service":"kaduno-pullpush-api"}"#
    );
    assert_eq!(health.header("content-type"), "application/json");
    let ready = app.pullpush().get("/health/ready").await.expect_status(200);
    assert_eq!(
        ready.text,
        r#"{"ok":true,"checks":{"postgres":true,"redis":true},"service":"kaduno-pullpush-api"}"#
    );
    // Neither the slash nor a credential nobody asked for makes a difference.
    assert_eq!(
        app.pullpush()
            .bearer("x")
            .get("/health/")
            .await
            .expect_status(200)
            .text,
        health.text
    );
    app.stop().await;
}
