//! From an event of the outbox to what is delivered of it: what happened, and the payment it happened to.

use std::collections::{BTreeSet, HashMap};

use diesel::QueryResult;
use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};

use crate::{db::Conn, delivery::fanout::Message, events::consumer::Event};

use super::super::{
    money, time,
    transactions::{self, TransactionRow},
};

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
    requesting_agent_id: Option<&'a str>,
    requesting_org_id: Option<&'a str>,
    counterparty_agent_id: Option<&'a str>,
    counterparty_org_id: Option<&'a str>,
    /// Two decimals, as everywhere.
    amount: Option<Box<RawValue>>,
    currency: Option<&'a str>,
    tx_type: Option<&'a str>,
    category: Option<&'a str>,
    reference_id: Option<&'a str>,
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

/// What is delivered of events, in their order.
pub(super) async fn messages(conn: &mut Conn, events: &[Event]) -> QueryResult<Vec<Message>> {
    let keys: BTreeSet<(&str, &str)> = events.iter().map(key).collect();
    let rows = transactions::find_all(conn, &Vec::from_iter(keys)).await?;
    let payments: HashMap<(&str, &str), &TransactionRow> = rows
        .iter()
        .map(|row| ((row.org_id.as_str(), row.id.as_str()), row))
        .collect();
    Ok(events
        .iter()
        .map(|event| message(event, payments.get(&key(event)).copied()))
        .collect())
}

/// The organisation whose payment it is, and the payment.
fn key(event: &Event) -> (&str, &str) {
    let org_id = event.payload["requesting_org_id"].as_str();
    (org_id.unwrap_or(&event.org_id), &event.subject)
}

/// What is delivered of an event of a payment, which is there as long as the event.
fn message(event: &Event, payment: Option<&TransactionRow>) -> Message {
    let payload = &event.payload;
    let own_id = format!("evt_{}", event.seq);
    let event_id = payload["event_id"].as_str().unwrap_or(&own_id);
    let happened = payload["event_data"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let data = Payment {
        transaction_id: &event.subject,
        requesting_agent_id: payment.map(|row| row.requesting_agent_id.as_str()),
        requesting_org_id: payment.map(|row| row.org_id.as_str()),
        counterparty_agent_id: payment.and_then(|row| row.counterparty_agent_id.as_deref()),
        counterparty_org_id: payment.and_then(|row| row.counterparty_org_id.as_deref()),
        amount: payment.and_then(|row| amount(row.amount_minor)),
        currency: payment.map(|row| row.currency.as_str()),
        tx_type: payment.map(|row| row.tx_type.as_str()),
        category: payment.and_then(|row| row.category.as_deref()),
        reference_id: payment.and_then(|row| row.reference_id.as_deref()),
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
        labels: payment.map_or_else(Vec::new, |row| agents(&event.org_id, row)),
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
fn agents(org_id: &str, payment: &TransactionRow) -> Vec<String> {
    let payee_org_id = payment.counterparty_org_id.as_ref();
    [
        (&payment.org_id, Some(&payment.requesting_agent_id)),
        (
            payee_org_id.unwrap_or(&payment.org_id),
            payment.counterparty_agent_id.as_ref(),
        ),
    ]
    .into_iter()
    .filter(|(of, _)| *of == org_id)
    .filter_map(|(_, agent_id)| agent_id.cloned())
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

    use super::{super::super::transactions::JsonText, *};

    fn event(org_id: &str) -> Event {
        Event {
            seq: 7,
            org_id: org_id.to_owned(),
            kind: "payment.settled".to_owned(),
            subject: "txn_9f8e7d6c5b4a".to_owned(),
            payload: json!({
                "event_id": "evt_a1b2c3", "requesting_org_id": "org_1",
                "event_data": {"settled_at": "2026-04-14T12:35:00.000Z", "amount": 1},
            }),
            created_at: "2026-04-14T12:35:00Z".parse().unwrap(),
        }
    }

    fn payment() -> TransactionRow {
        TransactionRow {
            org_id: "org_1".to_owned(),
            id: "txn_9f8e7d6c5b4a".to_owned(),
            requesting_agent_id: "agent-a".to_owned(),
            counterparty_agent_id: Some("agent-b".to_owned()),
            counterparty_org_id: Some("org_2".to_owned()),
            amount_minor: 250_000,
            currency: "USD".to_owned(),
            tx_type: "vendor_payment".to_owned(),
            category: None,
            description: None,
            reference_id: Some("INV-1".to_owned()),
            metadata: JsonText("{}".to_owned()),
            status: "settled".to_owned(),
            settled_at: None,
            created_at: "2026-04-14T12:34:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn the_body_is_the_documents() {
        let message = message(&event("org_1"), Some(&payment()));
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
    fn a_payment_is_its_payers() {
        assert_eq!(key(&event("org_2")), ("org_1", "txn_9f8e7d6c5b4a"));
        let mut own = event("org_1");
        own.payload["requesting_org_id"] = Value::Null;
        assert_eq!(key(&own), ("org_1", "txn_9f8e7d6c5b4a"));
    }

    #[test]
    fn only_own_agents_are_labels() {
        let mut payment = payment();
        assert_eq!(agents("org_1", &payment), ["agent-a"]);
        assert_eq!(agents("org_2", &payment), ["agent-b"]);
        payment.counterparty_org_id = None;
        assert_eq!(agents("org_1", &payment), ["agent-a", "agent-b"]);
        payment.counterparty_agent_id = None;
        assert_eq!(agents("org_1", &payment), ["agent-a"]);
    }
}
