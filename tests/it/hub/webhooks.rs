//! `/webhooks/:tenantId/:connectionId`, for every connector of the catalogue.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use pulpo::connectors::{
    catalogue,
    manifest::Signature,
    signature::{Algorithm, Encoding},
};
use reqwest::Method;
use serde_json::json;

use super::{Tenant, WEBHOOK_SECRET};
use crate::support::{Reply, TestApp};

const TAKEN: &str = "{ok eventIds[] requestId}";

fn path(tenant: &Tenant, connection: &str) -> String {
    format!("/api/v1/webhooks/{}/{connection}", tenant.id)
}

/// The value of a signature header, without a prefix.
fn sign(encoding: Encoding, algorithm: Algorithm, secret: &str, body: &str) -> String {
    let algorithm = match algorithm {
        Algorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Algorithm::Sha256 => hmac::HMAC_SHA256,
        Algorithm::Sha512 => hmac::HMAC_SHA512,
    };
    let tag = hmac::sign(
        &hmac::Key::new(algorithm, secret.as_bytes()),
        body.as_bytes(),
    );
    match encoding {
        Encoding::Hex => hex::encode(tag),
        Encoding::Base64 => STANDARD.encode(tag),
    }
}

async fn send(app: &TestApp, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut client = app.pullpush();
    for (name, value) in headers {
        client = client.header(name, *value);
    }
    client
        .send(Method::POST, path, Some(body.as_bytes().to_vec()))
        .await
}

/// A delivery of a connection whose connector is `generic`, rightly signed.
async fn deliver(app: &TestApp, path: &str, body: &str) -> Reply {
    let signature = sign(Encoding::Hex, Algorithm::Sha256, WEBHOOK_SECRET, body);
    send(app, path, &[("x-signature", &signature)], body).await
}

fn ids(reply: &Reply) -> Vec<String> {
    reply.json["eventIds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_str().unwrap().to_owned())
        .collect()
}

/// What the headers of one connector may hold, and whether it is right.
fn headers_of(signature: &Signature, body: &str) -> Vec<(String, bool)> {
    let right = |algorithm| sign(signature.encoding, algorithm, WEBHOOK_SECRET, body);
    let mut cases = vec![
        (right(signature.algorithm), true),
        (
            sign(
                signature.encoding,
                signature.algorithm,
                "another secret",
                body,
            ),
            false,
        ),
        (
            sign(
                signature.encoding,
                signature.algorithm,
                WEBHOOK_SECRET,
                "another body",
            ),
            false,
        ),
        (right(signature.algorithm)[1..].to_owned(), false),
        ("nonsense".to_owned(), false),
        ("sha256=".to_owned(), false),
        (String::new(), false),
    ];
    for (prefix, algorithm) in &signature.prefixes {
        cases.push((format!("{prefix}{}", right(*algorithm)), true));
        cases.push((
            format!(
                "{prefix}{}",
                sign(signature.encoding, *algorithm, "another secret", body)
            ),
            false,
        ));
    }
    cases
}

#[tokio::test]
async fn every_connector_verifies_its_own_signature() {
    let app = TestApp::builder()
        .config(|config| config.rates.scale = 1000)
        .start()
        .await;
    let tenant = Tenant::new(&app, "Acme").await;
    let mut verified = 0;
    for connector in catalogue().unwrap().connectors() {
        let Some(webhook) = &connector.webhook else {
            continue;
        };
        let path = path(
            &tenant,
            &tenant.connection(&app, &connector.kind, "active").await,
        );
        let body = json!({"id": connector.kind, "type": "order.created"}).to_string();
        for signature in &webhook.signatures {
            for (value, is_right) in headers_of(signature, &body) {
                let reply = send(&app, &path, &[(signature.header.as_str(), &value)], &body).await;
                let what = format!("{} {}: {value}", connector.kind, signature.header);
                if is_right {
                    assert_eq!(reply.status, 202, "{what}: {}", reply.text);
                    let reply = reply.expect(202, TAKEN);
                    assert_eq!(ids(&reply).len(), 1, "{what}");
                    assert_eq!(reply.str("/requestId"), reply.header("x-request-id"));
                    verified += 1;
                } else {
                    assert_eq!(
                        (reply.status, reply.str("/error")),
                        (401, "invalid_signature"),
                        "{what}"
                    );
                }
            }
        }
        let unsigned = send(&app, &path, &[], &body).await.expect_status(401);
        assert_eq!(unsigned.str("/error"), "invalid_signature");
        // However often and in whichever way it was delivered, it is one event.
        let stored = format!(
            "SELECT count(*) FROM hub_events WHERE payload->>'id' = '{}'",
            connector.kind
        );
        assert_eq!(app.sql_number(&stored).await, 1, "{}", connector.kind);
    }
    assert!(verified >= 5, "{verified}");
    app.stop().await;
}

#[tokio::test]
async fn a_batch_is_split_in_order_and_a_repeat_gives_the_same_ids() {
    let app = TestApp::start().await;
    let tenant = Tenant::new(&app, "Acme").await;
    let path = path(&tenant, &tenant.connection(&app, "generic", "active").await);
    let batch =
        r#"{"events":[{"id":"a","type":"orders/create"},{"id":"b","type":"own.type"},{"id":"c"}]}"#;
    let first = deliver(&app, &path, batch).await.expect(202, TAKEN);
    let stored: Vec<(String, String, String)> = app
        .sql("SELECT id, external_id, type FROM hub_events ORDER BY external_id")
        .await
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect();
    let expected: Vec<(String, String, String)> = ids(&first)
        .into_iter()
        .zip([
            ("a", "order.created"),
            ("b", "own.type"),
            ("c", "webhook.received"),
        ])
        .map(|(id, (external, kind))| (id, external.to_owned(), kind.to_owned()))
        .collect();
    assert_eq!(stored, expected);

    let again = deliver(&app, &path, batch).await.expect(202, TAKEN);
    assert_eq!(ids(&again), ids(&first));
    // A new one among known ones, and one twice in the same batch.
    let mixed = deliver(&app, &path, r#"[{"id":"b"},{"id":"d"},{"id":"d"}]"#)
        .await
        .expect(202, TAKEN);
    assert_eq!(ids(&mixed)[0], ids(&first)[1]);
    assert_eq!(ids(&mixed)[1], ids(&mixed)[2]);
    assert_eq!(app.sql_number("SELECT count(*) FROM hub_events").await, 4);
    assert_eq!(app.sql_number("SELECT count(*) FROM events").await, 4);

    let none = deliver(&app, &path, r#"{"events":[]}"#)
        .await
        .expect(202, TAKEN);
    assert_eq!(ids(&none), Vec::<String>::new());
    app.stop().await;
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_after_the_signature() {
    let app = TestApp::start().await;
    let tenant = Tenant::new(&app, "Acme").await;
    let path = path(&tenant, &tenant.connection(&app, "generic", "active").await);
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    for body in [
        "",
        "{",
        "null",
        "7",
        "[1]",
        "<xml/>",
        r#"[{"id":"a"},2]"#,
        r#"{"id":"a\u0000b"}"#,
        deep.as_str(),
    ] {
        let reply = deliver(&app, &path, body).await.expect_status(400);
        assert_eq!(reply.str("/error"), "invalid_body", "{body}");
        assert!(reply.json["details"]["body"].is_string(), "{}", reply.text);
    }
    let unsigned = send(&app, &path, &[], "{").await.expect_status(401);
    assert_eq!(unsigned.str("/error"), "invalid_signature");
    assert_eq!(app.sql_number("SELECT count(*) FROM hub_events").await, 0);
    // A form is signed like any other bytes; only what is in it counts.
    let body = r#"{"id":"form"}"#;
    let signature = sign(Encoding::Hex, Algorithm::Sha256, WEBHOOK_SECRET, body);
    let headers = [
        ("x-signature", signature.as_str()),
        ("content-type", "text/plain"),
    ];
    send(&app, &path, &headers, body).await.expect(202, TAKEN);
    app.stop().await;
}

#[tokio::test]
async fn the_connection_must_be_there_receive_and_know_webhooks() {
    let app = TestApp::start().await;
    let (tenant, other) = (
        Tenant::new(&app, "Acme").await,
        Tenant::new(&app, "Other").await,
    );
    let foreign = other.connection(&app, "generic", "active").await;
    let body = r#"{"id":"1"}"#;
    for connection in [
        foreign.as_str(),
        "nothing",
        &tenant.connection(&app, "generic", "paused").await,
        &tenant.connection(&app, "generic", "error").await,
    ] {
        let reply = deliver(&app, &path(&tenant, connection), body)
            .await
            .expect_status(404);
        assert_eq!(reply.str("/error"), "connection_not_found");
    }
    let poll = tenant.connection(&app, "csv-poll", "active").await;
    let reply = deliver(&app, &path(&tenant, &poll), body)
        .await
        .expect_status(400);
    assert_eq!(reply.str("/error"), "connector_has_no_webhook");
    let shadow = tenant.connection(&app, "generic", "shadow").await;
    deliver(&app, &path(&tenant, &shadow), body)
        .await
        .expect(202, TAKEN);
    assert_eq!(app.sql_number("SELECT count(*) FROM hub_events").await, 1);
    app.stop().await;
}
