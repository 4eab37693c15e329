//! What the package that others verify with says of the signatures: `standardwebhooks` of Python, see `verify.py`.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use chrono::Utc;
use serde_json::json;

use super::{Hooks, receiver::Received};

/// What `make install-webhooks` installs.
const PYTHON: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/.tools/webhooks/python/bin/python"
);
const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/it/pulse/webhooks/verify.py"
);

/// Whether the package accepts the request under the secret; what it says when it does not.
fn verify(received: &Received, secret: &str, body: &str) -> Result<(), String> {
    let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers: serde_json::Map<_, _> = headers
        .map(|name| (name.to_owned(), received.header(name).into()))
        .into_iter()
        .collect();
    let request = json!({"secret": secret, "headers": headers, "body": body});
    let mut python = Command::new(PYTHON)
        .arg(SCRIPT)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("make install-webhooks installs the package");
    let mut stdin = python.stdin.take().unwrap();
    stdin.write_all(request.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = python.wait_with_output().unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8(output.stderr).unwrap()),
    }
}

#[tokio::test]
async fn the_package_accepts_what_is_sent_and_nothing_else() {
    // The package refuses what is older than five minutes.
    let hooks = Hooks::open_at(Utc::now()).await;
    let (id, old) = hooks.register(&["payment.settled"]).await;
    let receive = async || {
        hooks.pay().await;
        hooks.settle().await;
        hooks.receiver.take().remove(0)
    };
    let one = receive().await;
    assert_eq!(verify(&one, &old, &one.body), Ok(()));
    let changed = one.body.replace("1.00", "9.00");
    assert_ne!(changed, one.body);
    let refusal = verify(&one, &old, &changed).unwrap_err();
    assert!(refusal.contains("No matching signature"), "{refusal}");

    // While a secret is rotated out both are good.
    let path = format!("/webhooks/{id}/rotate-secret");
    let reply = hooks.desk.api().post(&path, &json!({})).await;
    let new = reply.expect_status(200).str("/secret").to_owned();
    let one = receive().await;
    assert_eq!(verify(&one, &old, &one.body), Ok(()));
    assert_eq!(verify(&one, &new, &one.body), Ok(()));
    hooks.close().await;
}
