//! What others say of the signatures: `standardwebhooks` of Python, the package they verify with, see `verify.py`; and the
//! documented schemes spelt out by the standard library of Python alone, see `scheme.py`.

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
const PACKAGE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/it/pulse/webhooks/verify.py"
);
const SCHEME: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/it/pulse/webhooks/scheme.py"
);
const HEADERS: [&str; 5] = [
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "x-pulse-timestamp",
    "x-pulse-signature",
];

/// Whether the script accepts the request under the secret; what it says when it does not.
fn verify(script: &str, received: &Received, secret: &str, body: &str) -> Result<(), String> {
    let headers: serde_json::Map<_, _> = HEADERS
        .map(|name| (name.to_owned(), received.header(name).into()))
        .into_iter()
        .collect();
    let request = json!({"secret": secret, "headers": headers, "body": body});
    let mut python = Command::new(PYTHON)
        .arg(script)
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
async fn what_is_sent_is_accepted_and_nothing_else() {
    // The package refuses what is older than five minutes.
    let hooks = Hooks::open_at(Utc::now()).await;
    let (id, old) = hooks.register(&["payment.settled"]).await;
    let receive = async || {
        hooks.pay().await;
        hooks.settle().await;
        hooks.receiver.take().remove(0)
    };
    let one = receive().await;
    for script in [PACKAGE, SCHEME] {
        assert_eq!(verify(script, &one, &old, &one.body), Ok(()));
    }
    let changed = one.body.replace("1.00", "9.00");
    assert_ne!(changed, one.body);
    let refusal = verify(PACKAGE, &one, &old, &changed).unwrap_err();
    assert!(refusal.contains("No matching signature"), "{refusal}");
    let refusal = verify(SCHEME, &one, &old, &changed).unwrap_err();
    assert!(refusal.contains("refused: X-Pulse-Signature"), "{refusal}");

    // While a secret is rotated out both are good.
    let path = format!("/webhooks/{id}/rotate-secret");
    let reply = hooks.desk.api().post(&path, &json!({})).await;
    let new = reply.expect_status(200).str("/secret").to_owned();
    let one = receive().await;
    assert_eq!(verify(PACKAGE, &one, &old, &one.body), Ok(()));
    // The document's own header is the new one's alone.
    for script in [PACKAGE, SCHEME] {
        assert_eq!(verify(script, &one, &new, &one.body), Ok(()));
    }
    let refusal = verify(SCHEME, &one, &old, &one.body).unwrap_err();
    assert!(refusal.contains("refused: X-Pulse-Signature"), "{refusal}");
    hooks.close().await;
}
