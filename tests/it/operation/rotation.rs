//! `pulpo admin rotate-secrets`.

use std::process::Command;

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::program::{Program, command, serve};
use crate::support::TestApp;

const WEBHOOK_SECRET: &str = "webhook secret";

struct Keys {
    master: String,
    previous: Option<String>,
}

impl Keys {
    fn new(digit: &str, previous: Option<&str>) -> Self {
        Self {
            master: digit.repeat(64),
            previous: previous.map(|digit| digit.repeat(64)),
        }
    }

    fn set(&self, command: &mut Command) {
        command.env("PULPO_MASTER_KEY", &self.master);
        if let Some(previous) = &self.previous {
            command.env("PULPO_PREVIOUS_MASTER_KEY", previous);
        }
    }
}

/// Runs `pulpo admin`; what it prints, or what it says it failed of.
fn admin(url: &str, keys: &Keys, arguments: &[&str]) -> Result<Value, String> {
    let mut command = command(&["admin"]);
    command.args(arguments).env("PULPO_DATABASE_URL", url);
    keys.set(&mut command);
    let output = command.output().expect("it runs");
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).expect("JSON")),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Whether a delivery to the connection is taken: its secret must be opened for that.
async fn delivers(url: &str, keys: &Keys, org: &str, connection: &str, event: u32) -> u16 {
    let mut server = serve(url, "api");
    keys.set(&mut server);
    let server = Program::start(server);
    let body = json!({"id": event.to_string()}).to_string();
    let key = hmac::Key::new(hmac::HMAC_SHA256, WEBHOOK_SECRET.as_bytes());
    let signature = hex::encode(hmac::sign(&key, body.as_bytes()));
    let address = server.address("pullpush");
    let request = reqwest::Client::new()
        .post(format!(
            "http://{address}/api/v1/webhooks/{org}/{connection}"
        ))
        .header("content-type", "application/json")
        .header("x-signature", signature)
        .body(body);
    let status = request.send().await.expect("an answer").status().as_u16();
    server.stop();
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn master_key_and_data_keys_are_rotated_and_secrets_stay_readable() {
    let app = TestApp::start().await;
    let url = app.database_url();
    let old = Keys::new("a", None);
    let org = admin(&url, &old, &["create-org", "--name", "Acme"]).unwrap();
    let org = org["organization_id"].as_str().unwrap();
    let connection = admin(
        &url,
        &old,
        &[
            "create-connection",
            "--org",
            org,
            "--connector",
            "generic",
            "--name",
            "Shop",
            "--webhook-secret",
            WEBHOOK_SECRET,
        ],
    )
    .unwrap();
    let connection = connection["connection_id"].as_str().unwrap();
    assert_eq!(delivers(&url, &old, org, connection, 1).await, 202);

    // Without the old key the new one opens nothing, and nothing is changed.
    let alone = Keys::new("b", None);
    let refused = admin(&url, &alone, &["rotate-secrets"]).unwrap_err();
    assert!(refused.contains("PULPO_PREVIOUS_MASTER_KEY"), "{refused}");
    let both = Keys::new("b", Some("a"));
    // Servers with both keys serve before, and nothing is as old as the default age yet.
    assert_eq!(delivers(&url, &both, org, connection, 2).await, 202);
    let rotated = admin(&url, &both, &["rotate-secrets"]).unwrap();
    let done = |rewrapped: u32, made: u32, resealed: u32| json!({"data_keys_rewrapped": rewrapped, "data_keys_made": made, "secrets_resealed": resealed});
    assert_eq!(rotated, done(1, 0, 0));
    assert_eq!(
        admin(&url, &both, &["rotate-secrets"]).unwrap(),
        done(0, 0, 0)
    );
    assert_eq!(delivers(&url, &alone, org, connection, 3).await, 202);
    assert_ne!(delivers(&url, &old, org, connection, 4).await, 202);

    let rotated = admin(&url, &alone, &["rotate-secrets", "--max-age-days", "0"]).unwrap();
    assert_eq!(rotated, done(0, 1, 1));
    assert_eq!(delivers(&url, &alone, org, connection, 5).await, 202);
    // The old data key is not needed any more.
    let versions = "SELECT count(*) FROM connections WHERE get_byte(secret, 4) = 2";
    assert_eq!(app.sql_number(versions).await, 1);
    app.sql("DELETE FROM data_keys WHERE version = 1").await;
    assert_eq!(delivers(&url, &alone, org, connection, 6).await, 202);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_was_interrupted_goes_on_where_it_stopped() {
    let app = TestApp::start().await;
    let url = app.database_url();
    let old = Keys::new("a", None);
    let mut orgs = Vec::new();
    for name in ["One", "Two", "Three"] {
        let org = admin(&url, &old, &["create-org", "--name", name]).unwrap();
        let org = org["organization_id"].as_str().unwrap().to_owned();
        let create = [
            "create-connection",
            "--connector",
            "generic",
            "--name",
            "Shop",
            "--webhook-secret",
            WEBHOOK_SECRET,
            "--org",
            org.as_str(),
        ];
        let connection = admin(&url, &old, &create).unwrap();
        orgs.push((
            org.clone(),
            connection["connection_id"].as_str().unwrap().to_owned(),
        ));
    }
    // More keys than one transaction takes: copies of other organisations that do not open, so it fails on the way.
    app.sql(
        "INSERT INTO data_keys (org_id, version, wrapped)
         SELECT 'org_zz' || i, 1, d.wrapped FROM generate_series(1, 300) AS i,
         (SELECT wrapped FROM data_keys LIMIT 1) AS d",
    )
    .await;
    let both = Keys::new("b", Some("a"));
    admin(&url, &both, &["rotate-secrets"]).unwrap_err();
    app.sql("DELETE FROM data_keys WHERE org_id LIKE 'org_zz%'")
        .await;
    let rotated = admin(&url, &both, &["rotate-secrets", "--max-age-days", "0"]).unwrap();
    assert_eq!(rotated["data_keys_made"], 3);
    assert_eq!(rotated["secrets_resealed"], 3);
    let alone = Keys::new("b", None);
    for (org, connection) in &orgs {
        assert_eq!(delivers(&url, &alone, org, connection, 1).await, 202);
    }
    app.stop().await;
}

/// Every column of bytes is either listed as sealed in `pulpo admin rotate-secrets` or no secret at all. Who adds one
/// has to decide.
#[tokio::test]
async fn no_sealed_column_is_forgotten() {
    let app = TestApp::start().await;
    let rows = app
        .sql(
            "SELECT table_name || '.' || column_name FROM information_schema.columns
             WHERE table_schema = 'public' AND data_type = 'bytea' ORDER BY 1",
        )
        .await;
    let columns: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let sealed = [
        "connections.secret",
        "delivery_endpoints.previous_secret",
        "delivery_endpoints.secret",
        "integrations.secrets",
        "pay_agent_secrets.previous_secret",
        "pay_agent_secrets.secret",
    ];
    let others = [
        "api_keys.sha256",
        "data_keys.wrapped",
        "idempotency_keys.request_sha256",
        "idempotency_keys.response",
        "invitations.token_sha256",
        "ledger_heads.chain_hash",
        "ledger_journals.chain_hash",
        "refresh_tokens.sha256",
    ];
    let mut known: Vec<_> = sealed.into_iter().chain(others).collect();
    known.sort_unstable();
    assert_eq!(columns, known);
    app.stop().await;
}
