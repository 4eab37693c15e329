//! From an event of the outbox to what is delivered of it.

use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};

use crate::{delivery::fanout::Message, events::consumer::Event};

use super::super::{money, time};

/// The version of the bodies.
pub(in super::super) const VERSION: &str = "2026-04-01";

/// The document's body.
#[derive(Serialize)]
struct Body<'a, T> {
    event: &'a str,
    event_id: &'a str,
    timestamp: String,
    version: &'static str,
    data: T,
}

/// What is said of a payment: what it is, and what happened.
#[derive(Serialize)]
struct Payment<'a> {
    transaction_id: &'a str,
    requesting_agent_id: &'a Value,
    requesting_org_id: &'a Value,
    counterparty_agent_id: &'a Value,
    counterparty_org_id: &'a Value,
    /// Two decimals, as everywhere.
    amount: Option<Box<RawValue>>,
    currency: &'a Value,
    tx_type: &'a Value,
    category: &'a Value,
    reference_id: &'a Value,
    #[serde(flatten)]
    happened: Map<String, Value>,
}

/// The members of [`Payment`] that what happened must not repeat.
const OWN: [&str; 10] = [
    "transaction_id",
    "requesting_agent_id",
    "requesting_org_id",
    "counterparty_agent_id",
    "counterparty_org_id",
    "amount",
    "currency",
    "tx_type",
    "category",
    "reference_id",
];

/// What is delivered of an event.
pub(super) fn message(event: &Event) -> Message {
    let payload = &event.payload;
    let own_id = format!("evt_{}", event.seq);
    let event_id = payload["event_id"].as_str().unwrap_or(&own_id);
    let happened = payload["event_data"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let data = Payment {
        transaction_id: &event.subject,
        requesting_agent_id: &payload["requesting_agent_id"],
        requesting_org_id: &payload["requesting_org_id"],
        counterparty_agent_id: &payload["counterparty_agent_id"],
        counterparty_org_id: &payload["counterparty_org_id"],
        amount: payload["amount_minor"].as_i64().and_then(amount),
        currency: &payload["currency"],
        tx_type: &payload["tx_type"],
        category: &payload["category"],
        reference_id: &payload["reference_id"],
        happened: happened
            .into_iter()
            .filter(|(name, _)| !OWN.contains(&name.as_str()))
            .collect(),
    };
    let body = Body {
        event: &event.kind,
        event_id,
        timestamp: time::text(event.created_at),
        version: VERSION,
        data,
    };
    Message {
        org_id: event.org_id.clone(),
        event_id: event_id.to_owned(),
        event_seq: event.seq,
        kind: event.kind.clone(),
        ordering_key: event.subject.clone(),
        labels: agents(event),
        body: text(&body),
        created_at: event.created_at,
    }
}

/// The body of a test.
pub(super) fn test(event_id: &str, endpoint_id: &str, at: chrono::DateTime<chrono::Utc>) -> String {
    text(&Body {
        event: super::TEST_EVENT,
        event_id,
        timestamp: time::text(at),
        version: VERSION,
        data: serde_json::json!({"webhook_id": endpoint_id}),
    })
}

/// The organisation's own agents that pay or receive: an agent of another organisation is another agent, whatever its name.
fn agents(event: &Event) -> Vec<String> {
    let payload = &event.payload;
    let payer_org_id = payload["requesting_org_id"]
        .as_str()
        .unwrap_or(&event.org_id);
    let payee_org_id = payload["counterparty_org_id"]
        .as_str()
        .unwrap_or(payer_org_id);
    [
        (payer_org_id, &payload["requesting_agent_id"]),
        (payee_org_id, &payload["counterparty_agent_id"]),
    ]
    .into_iter()
    .filter(|(org_id, _)| *org_id == event.org_id)
    .filter_map(|(_, agent_id)| agent_id.as_str().map(str::to_owned))
    .collect()
}

fn amount(minor: i64) -> Option<Box<RawValue>> {
    RawValue::from_string(money::decimal(minor).value).ok()
}

/// Texts, numbers and maps with text keys always serialise.
fn text(body: &impl Serialize) -> String {
    serde_json::to_string(body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(org_id: &str) -> Event {
        Event {
            seq: 7,
            org_id: org_id.to_owned(),
            kind: "payment.settled".to_owned(),
            subject: "txn_9f8e7d6c5b4a".to_owned(),
            payload: json!({
                "event_id": "evt_a1b2c3", "transaction_id": "txn_9f8e7d6c5b4a", "requesting_agent_id": "agent-a",
                "requesting_org_id": "org_1", "counterparty_agent_id": "agent-b", "counterparty_org_id": "org_2",
                "amount_minor": 250_000, "currency": "USD", "tx_type": "vendor_payment", "category": null,
                "reference_id": "INV-1", "event_data": {"settled_at": "2026-04-14T12:35:00.000Z", "amount": 1},
            }),
            created_at: "2026-04-14T12:35:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn the_body_is_the_documents() {
        let message = message(&event("org_1"));
        assert_eq!(
            message.body,
            concat!(
                r#"{"event":"payment.settled","event_id":"evt_a1b2c3","timestamp":"2026-04-14T12:35:00.000Z","#,
                r#""version":"2026-04-01","data":{"transaction_id":"txn_9f8e7d6c5b4a","requesting_agent_id":"agent-a","#,
                r#""requesting_org_id":"org_1","counterparty_agent_id":"agent-b","counterparty_org_id":"org_2","#,
                r#""amount":2500.00,"currency":"USD","tx_type":"vendor_payment","category":null,"reference_id":"INV-1","#,
                r#""settled_at":"2026-04-14T12:35:00.000Z"}}"#,
            )
        );
    }

    #[test]
    fn only_own_agents_are_labels() {
        assert_eq!(message(&event("org_1")).labels, ["agent-a"]);
        assert_eq!(message(&event("org_2")).labels, ["agent-b"]);
        let mut within = event("org_1");
        within.payload["counterparty_org_id"] = Value::Null;
        assert_eq!(message(&within).labels, ["agent-a", "agent-b"]);
        within.payload["counterparty_agent_id"] = Value::Null;
        assert_eq!(message(&within).labels, ["agent-a"]);
    }
}
