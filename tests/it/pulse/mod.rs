//! The payments API, by the chapters of its document.

mod agents;
mod agents_runs;
mod audit;
mod backtest;
mod bounds;
mod compliance;
mod concurrency;
mod curl;
mod data;
mod denials;
mod dry_run;
mod errors;
mod escrows;
mod idempotency;
mod ledger;
mod limits;
mod migrations;
mod model;
mod payments;
mod platform;
mod policies;
mod reconciliation;
mod refusals;
mod replicas;
mod reports;
mod reviews;
mod wallets;
pub(crate) mod webhooks;

use chrono::{DateTime, Utc};
use pulpo::clock::Clock;
use serde_json::{Value, json};

use crate::support::{Client, Reply, TestApp};

/// The agents of the document's examples.
const PAYER: &str = "agent-treasury-ops";
const PAYEE: &str = "agent-vendor-pay";

/// An organisation as the document's examples suppose it: two funded wallets and a policy for everyone.
struct Desk {
    app: TestApp,
    org_id: String,
    key: String,
}

impl Desk {
    async fn open() -> Self {
        Self::furnish(TestApp::start().await).await
    }

    async fn open_at(clock: &Clock) -> Self {
        Self::furnish(TestApp::builder().clock(clock).start().await).await
    }

    async fn furnish(app: TestApp) -> Self {
        let org_id = app.organization("Acme Payments").await;
        let key = app.payment_key(&org_id).await;
        app.wallet(&org_id, PAYER, "USD", 5_000_000).await;
        app.wallet(&org_id, PAYEE, "USD", 100_000).await;
        let desk = Self { app, org_id, key };
        desk.app.policy(&desk.key, &demo_policy()).await;
        desk
    }

    fn api(&self) -> Client {
        self.app.pulse().bearer(&self.key)
    }

    /// Requests the document's payment with these fields over it.
    async fn pay(&self, over: Value) -> Reply {
        self.api()
            .post("/payments/request", &with(invoice(), over))
            .await
    }

    async fn available(&self, agent_id: &str) -> Value {
        self.api()
            .get(&format!("/wallets/{agent_id}"))
            .await
            .expect_status(200)
            .json["available_balance"]
            .clone()
    }
}

/// Where clocks begin that tests move on.
fn start_of_time() -> DateTime<Utc> {
    "2026-04-14T12:00:00Z".parse().unwrap()
}

/// The policy of the demo organisation.
fn demo_policy() -> Value {
    json!({
        "policy_name": "Default Policy",
        "max_per_transaction": 10000,
        "max_daily": 50000,
        "max_monthly": 500000,
        "require_human_above": 9000,
    })
}

/// The request of the document's example.
fn invoice() -> Value {
    json!({
        "requesting_agent_id": PAYER,
        "counterparty_agent_id": PAYEE,
        "amount": 2500.00,
        "currency": "USD",
        "tx_type": "vendor_payment",
        "category": "operations",
        "description": "Invoice INV-2026-0412",
        "reference_id": "INV-2026-0412",
    })
}

/// `base` with the members of `over`; null removes one.
fn with(mut base: Value, over: Value) -> Value {
    for (name, value) in over.as_object().unwrap() {
        match value {
            Value::Null => base.as_object_mut().unwrap().remove(name),
            value => base
                .as_object_mut()
                .unwrap()
                .insert(name.clone(), value.clone()),
        };
    }
    base
}

/// The document's error body.
#[track_caller]
fn refused(reply: &Reply, status: u16, code: &str) {
    let reply = reply.clone().expect(status, "{error code detail}");
    assert_eq!(reply.json["code"], code, "{}", reply.text);
    assert!(
        reply.json["error"]
            .as_str()
            .is_some_and(|text| !text.is_empty()),
        "{}",
        reply.text
    );
}

/// A 400 that names this field.
#[track_caller]
fn refused_field(reply: &Reply, field: &str) {
    refused(reply, 400, "bad_request");
    assert!(
        reply.json["detail"]
            .as_str()
            .is_some_and(|text| text.contains(field)),
        "{field}: {}",
        reply.text
    );
}

/// An instant as the document prints it, for example `2026-04-14T12:35:00.000Z`.
#[track_caller]
fn is_instant(text: &str) {
    assert!(
        text.len() == 24 && text.as_bytes()[19] == b'.' && text.ends_with('Z'),
        "{text}"
    );
    chrono::DateTime::parse_from_rfc3339(text).unwrap();
}

/// A prefix and this many hexadecimal digits.
#[track_caller]
fn is_id(text: &str, prefix: &str, digits: usize) {
    let hex = text
        .strip_prefix(prefix)
        .unwrap_or_else(|| panic!("{text}"));
    assert!(
        hex.len() == digits && hex.bytes().all(|b| b.is_ascii_hexdigit()),
        "{text}"
    );
}
