//! Bodies of known senders, batches, and bodies nobody should send.

use super::*;
use crate::connectors::catalogue;

fn read<'b>(
    connector: &str,
    headers: &[(&str, &'static str)],
    body: &'b str,
) -> Result<Vec<Parsed<'b>>, String> {
    let webhook = catalogue()
        .unwrap()
        .connector(connector)
        .unwrap()
        .webhook
        .as_ref()
        .unwrap();
    let header = |name: &str| {
        headers
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    };
    parse(webhook, header, body.as_bytes())
}

#[test]
fn a_shopify_order_is_canonical_and_keeps_its_text() {
    let body = r#"{ "id": 820982911946154508, "total_price": "403.00", "big": 12345678901234567890123, "updated_at": "2026-06-16T10:00:00Z" }"#;
    let headers = [
        ("x-shopify-topic", "orders/create"),
        ("x-shopify-webhook-id", "b54557e4"),
    ];
    let events = read("shopify", &headers, body).unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].event_type, "order.created");
    assert_eq!(events[0].external_id, "b54557e4");
    assert_eq!(
        events[0].occurred_at.as_deref(),
        Some("2026-06-16T10:00:00Z")
    );
    assert_eq!(events[0].payload, body);
}

#[test]
fn a_batch_is_split_in_order() {
    let body = r#"{"events":[{"eventId":"e1","eventType":"stock_change"},{"eventId":2,"eventType":"own.type"}]}"#;
    let events = read("flowretail", &[], body).unwrap();
    let read: Vec<_> = events
        .iter()
        .map(|e| (e.event_type.as_str(), e.external_id.as_str()))
        .collect();
    assert_eq!(read, [("stocklevel.updated", "e1"), ("own.type", "2")]);
    assert_eq!(
        super::parse(
            catalogue()
                .unwrap()
                .connector("generic")
                .unwrap()
                .webhook
                .as_ref()
                .unwrap(),
            |name| (name == "x-event-id").then_some("d1"),
            br#"[{"type":"a"},{"type":"b"}]"#,
        )
        .unwrap()
        .iter()
        .map(|e| e.external_id.as_str())
        .collect::<Vec<_>>(),
        ["d1:0", "d1:1"]
    );
}

#[test]
fn two_states_of_one_thing_are_two_events_and_a_repeat_is_not() {
    let id = |body: &str| read("magento", &[], body).unwrap()[0].external_id.clone();
    let (first, second) = (
        r#"{"event":"order_update","increment_id":"1","status":"a"}"#,
        r#"{"event":"order_update","increment_id":"1","status":"b"}"#,
    );
    assert!(id(first).starts_with("order.updated:1:"));
    assert_eq!(id(first), id(first));
    assert_ne!(id(first), id(second));
}

#[test]
fn nothing_to_take_is_no_event() {
    assert_eq!(read("generic", &[], "[]").unwrap(), []);
    assert_eq!(read("generic", &[], r#"{"events":[]}"#).unwrap(), []);
    assert_eq!(
        read("github", &[("x-github-event", "ping")], r#"{"zen":"x"}"#).unwrap(),
        []
    );
}

#[test]
fn bodies_that_are_not_events_are_refused() {
    let deep = "[".repeat(5_000) + &"]".repeat(5_000);
    for body in [
        "",
        "{",
        "null",
        "1",
        "[1]",
        "[{}, 2]",
        deep.as_str(),
        "{\"a\":\"\u{1}\"}",
    ] {
        assert!(read("generic", &[], body).is_err(), "{body}");
    }
    let webhook = catalogue()
        .unwrap()
        .connector("generic")
        .unwrap()
        .webhook
        .as_ref()
        .unwrap();
    assert!(parse(webhook, |_| None, b"{\"a\":\"\xff\"}").is_err());
    let many = format!("[{}]", vec!["{}"; MOST_EVENTS + 1].join(","));
    assert!(read("generic", &[], &many).unwrap_err().contains("1000"));
}

#[test]
fn depth_ignores_brackets_in_text() {
    assert_eq!(depth(r#"{"a":"[[[\"[[","b":[{}]}"#), 3);
}
