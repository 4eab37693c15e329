//! The rules of a valid event.

use super::*;

fn fields(error: Error) -> Vec<String> {
    error
        .violations
        .into_iter()
        .map(|violation| violation.field)
        .collect()
}

#[test]
fn the_key_is_the_documented_digest() {
    // printf 't1:ingest:ORD-12345' | sha256sum
    assert_eq!(
        dedup_key("t1", "ORD-12345"),
        hex::encode(digest::sha256("t1:ingest:ORD-12345"))
    );
    assert_eq!(dedup_key("t1", "ORD-12345").len(), 64);
}

#[test]
fn a_payload_is_kept_as_given() {
    let text = r#"{ "total": 599.00, "big": 12345678901234567890123, "a": 1, "a": 2 }"#;
    let event =
        Incoming::check("order.created", "ORD-1", Some("2026-06-16T10:00:00Z"), text).unwrap();
    assert_eq!(event.payload, text);
    assert_eq!(
        event.occurred_at.unwrap().to_rfc3339(),
        "2026-06-16T10:00:00+00:00"
    );
    for absent in ["", "null"] {
        assert_eq!(
            Incoming::check("t", "x", None, absent).unwrap().payload,
            "{}"
        );
    }
}

#[test]
fn every_wrong_field_is_named() {
    let error = Incoming::check("", "", Some("yesterday"), "[1]").unwrap_err();
    assert_eq!(
        fields(error),
        ["type", "externalId", "occurredAt", "payload"]
    );
    let long = "ü".repeat(MOST_CHARS + 1);
    assert_eq!(
        fields(Incoming::check(&long, "a\0b", None, "1").unwrap_err()),
        ["type", "externalId", "payload"]
    );
    assert!(Incoming::check(&long[2..], "x", None, "").is_ok());
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(101), "]".repeat(101));
    assert_eq!(
        fields(Incoming::check("t", "x", None, &deep).unwrap_err()),
        ["payload"]
    );
    assert_eq!(
        fields(Incoming::check("t", "x", None, "{\"a\"}").unwrap_err()),
        ["payload"]
    );
}

#[test]
fn instants_are_iso_8601() {
    for (text, instant) in [
        ("2026-06-16T10:00:00Z", "2026-06-16T10:00:00+00:00"),
        (
            "2026-06-16T12:00:00.5+02:00",
            "2026-06-16T10:00:00.500+00:00",
        ),
        ("2026-06-16T12:00:00+0200", "2026-06-16T10:00:00+00:00"),
        ("2026-06-16T10:00:00", "2026-06-16T10:00:00+00:00"),
        ("2026-06-16T10:00Z", "2026-06-16T10:00:00+00:00"),
        ("2026-06-16", "2026-06-16T00:00:00+00:00"),
    ] {
        assert_eq!(parse_instant(text).unwrap().to_rfc3339(), instant, "{text}");
    }
    for text in [
        "",
        "now",
        "16.06.2026",
        "2026-13-01T00:00:00Z",
        "1718539200",
        "2026-06-16T25:00:00Z",
    ] {
        assert!(parse_instant(text).is_none(), "{text}");
    }
}
