//! What each choice of a profile changes.

use pulpo_gateway::profile::{Absent, Enums, Integers, JsonProfile, Names, TimestampDigits};

use crate::support::{codec, read, refused_with, round_with};

fn with(change: impl FnOnce(&mut JsonProfile)) -> pulpo_gateway::codec::Codec {
    let mut profile = JsonProfile::default();
    change(&mut profile);
    codec(profile)
}

#[test]
fn names_are_printed_in_one_spelling_and_read_in_both() {
    let proto = with(|profile| profile.names = Names::Proto);
    for json in [
        r#"{"order_id":"a","create_time":"2024-01-01T00:00:00Z"}"#,
        r#"{"orderId":"a","createTime":"2024-01-01T00:00:00Z"}"#,
    ] {
        assert_eq!(
            round_with(&proto, "codec.own.Order", json),
            r#"{"order_id":"a","create_time":"2024-01-01T00:00:00Z"}"#
        );
    }
    assert_eq!(
        refused_with(&proto, "codec.own.Order", r#"{"createTime":1}"#),
        "create_time: expected a timestamp"
    );
    assert_eq!(
        refused_with(
            &proto,
            "codec.own.Order",
            r#"{"orderId":"a","order_id":"b"}"#
        ),
        "order_id: given more than once"
    );
}

#[test]
fn absent_fields_are_filled_in_at_their_place() {
    let full = with(|profile| {
        profile.absent = Absent::Null;
        profile.print_defaults = true;
        profile.integers = Integers::Numbers;
    });
    let empty = r#"{"sku":"","quantity":0,"status":"STATUS_UNSPECIFIED","tags":[],"counts":{},"parent":null}"#;
    assert_eq!(round_with(&full, "codec.own.Item", "{}"), empty);
    assert_eq!(
        round_with(
            &full,
            "codec.own.Item",
            r#"{"parent":null,"status":0,"quantity":9007199254740993}"#
        ),
        empty.replace("\"quantity\":0", "\"quantity\":9007199254740993")
    );
    let json = r#"{"tags":["a"],"parent":{"counts":{"k":0}}}"#;
    let printed = round_with(&full, "codec.own.Item", json);
    assert_eq!(
        printed,
        r#"{"sku":"","quantity":0,"status":"STATUS_UNSPECIFIED","tags":["a"],"counts":{},"parent":{"sku":"","quantity":0,"status":"STATUS_UNSPECIFIED","tags":[],"counts":{"k":0},"parent":null}}"#
    );
    // Members of a oneof never are.
    assert!(!round_with(&full, "codec.own.Order", "{}").contains("target"));
    assert_eq!(round_with(&full, "google.protobuf.Struct", "{}"), "{}");
}

#[test]
fn integers_of_64_bits_are_strings_or_numbers() {
    let numbers = with(|profile| profile.integers = Integers::Numbers);
    let json = r#"{"theInt64":-1,"theUint64":18446744073709551615,"theSint64":1,"theFixed64":2,"theSfixed64":3}"#;
    assert_eq!(round_with(&numbers, "codec.test.Scalars", json), json);
    let strings = with(|_| {});
    let quoted = r#"{"theInt64":"-1","theUint64":"18446744073709551615","theSint64":"1","theFixed64":"2","theSfixed64":"3"}"#;
    assert_eq!(round_with(&strings, "codec.test.Scalars", json), quoted);
    assert_eq!(
        round_with(&numbers, "codec.own.Order", r#"{"limit":"5"}"#),
        r#"{"limit":5}"#
    );
}

#[test]
fn enums_are_printed_in_one_form_and_read_in_three() {
    for (form, expected) in [
        (Enums::Names, "\"COLOR_DEEP_BLUE\""),
        (Enums::Numbers, "5"),
        (Enums::Lower, "\"color_deep_blue\""),
        (Enums::LowerWithoutPrefix, "\"deep_blue\""),
    ] {
        let codec = with(|profile| profile.enums = form);
        for json in [expected, "\"COLOR_DEEP_BLUE\"", "5"] {
            let json = format!(r#"{{"theColor":{json}}}"#);
            assert_eq!(
                round_with(&codec, "codec.test.Scalars", &json),
                format!(r#"{{"theColor":{expected}}}"#)
            );
        }
        assert_eq!(
            round_with(&codec, "codec.test.Scalars", r#"{"theColor":77}"#),
            r#"{"theColor":77}"#
        );
        read(&codec, "codec.test.Scalars", r#"{"theColor":"Deep_Blue"}"#).unwrap_err();
    }
    let lower = with(|profile| {
        profile.enums = Enums::LowerWithoutPrefix;
        profile.print_defaults = true;
    });
    // A name cannot begin with a digit.
    assert!(
        round_with(&lower, "codec.test.Scalars", r#"{"theColor":7}"#)
            .contains(r#""theColor":"color_3d""#)
    );
    assert!(round_with(&lower, "codec.test.Scalars", "{}").contains(r#""theColor":"unspecified""#));
    assert!(
        round_with(&lower, "codec.test.Scalars", r#"{"theColor":"far"}"#)
            .contains(r#""theColor":"far""#)
    );
    assert_eq!(
        round_with(&lower, "codec.own.Item", r#"{"status":"in_review"}"#),
        r#"{"sku":"","quantity":"0","status":"in_review","tags":[],"counts":{}}"#
    );
}

#[test]
fn timestamps_have_as_many_digits_as_the_profile_says() {
    let millis = with(|profile| profile.timestamps = TimestampDigits::Millis);
    for (text, expected) in [
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00.000Z"),
        ("2024-01-01T00:00:00.999999999Z", "2024-01-01T00:00:00.999Z"),
        ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
        ("2024-01-01T00:00:00.120Z", "2024-01-01T00:00:00.120Z"),
    ] {
        assert_eq!(
            round_with(&millis, "google.protobuf.Timestamp", &format!("\"{text}\"")),
            format!("\"{expected}\"")
        );
    }
    assert_eq!(
        round_with(&millis, "google.protobuf.Duration", "\"1s\""),
        "\"1s\""
    );
}
