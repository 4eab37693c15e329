//! What each choice of a profile changes.

use pulpo_gateway::codec::WireProblem;
use pulpo_gateway::profile::{Absent, Enums, Integers, JsonProfile, Names, TimestampDigits};

use crate::support::{codec, read, refused_with, round_with, write};

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
        (Enums::WithoutPrefix, "\"DEEP_BLUE\""),
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
    use TimestampDigits::{Auto, Micros, Millis, Nanos, Seconds};
    for (digits, text, expected) in [
        (Auto, "2024-01-01T00:00:00.120Z", "2024-01-01T00:00:00.120Z"),
        (
            Auto,
            "2024-01-01T00:00:00.00012Z",
            "2024-01-01T00:00:00.000120Z",
        ),
        (Auto, "2024-01-01T00:00:00.0000000Z", "2024-01-01T00:00:00Z"),
        (
            Seconds,
            "2024-01-01T00:00:00.999999999Z",
            "2024-01-01T00:00:00Z",
        ),
        // Towards the past, before 1970 too.
        (Seconds, "1969-12-31T23:59:59.9Z", "1969-12-31T23:59:59Z"),
        (Millis, "2024-01-01T00:00:00Z", "2024-01-01T00:00:00.000Z"),
        (
            Millis,
            "2024-01-01T00:00:00.999999999Z",
            "2024-01-01T00:00:00.999Z",
        ),
        (
            Millis,
            "1969-12-31T23:59:59.9999Z",
            "1969-12-31T23:59:59.999Z",
        ),
        (
            Millis,
            "2024-01-01T00:00:00.120Z",
            "2024-01-01T00:00:00.120Z",
        ),
        (
            Micros,
            "2024-01-01T00:00:00.0000019Z",
            "2024-01-01T00:00:00.000001Z",
        ),
        (
            Micros,
            "2024-01-01T00:00:00Z",
            "2024-01-01T00:00:00.000000Z",
        ),
        (
            Nanos,
            "2024-01-01T00:00:00.5Z",
            "2024-01-01T00:00:00.500000000Z",
        ),
    ] {
        let codec = with(|profile| profile.timestamps = digits);
        assert_eq!(
            round_with(&codec, "google.protobuf.Timestamp", &format!("\"{text}\"")),
            format!("\"{expected}\"")
        );
        // A duration has the digits it needs.
        assert_eq!(
            round_with(&codec, "google.protobuf.Duration", "\"1s\""),
            "\"1s\""
        );
    }
}

const SAFE: &str = r#"{"theInt64":-9007199254740991,"theUint64":9007199254740991,"theSint64":-9007199254740991,"theFixed64":9007199254740991,"theSfixed64":9007199254740991}"#;

#[test]
fn safe_integers_are_those_a_double_tells_apart() {
    let safe = with(|profile| profile.integers = Integers::SafeNumbers);
    assert_eq!(round_with(&safe, "codec.test.Scalars", SAFE), SAFE);
    for (json, expected) in [
        (r#"{"theInt64":9007199254740992}"#, "-9007199254740991"),
        (r#"{"theInt64":"-9007199254740992"}"#, "-9007199254740991"),
        (r#"{"theUint64":18446744073709551615}"#, "0"),
        (r#"{"theSint64":9.007199254740992e15}"#, "-9007199254740991"),
        (r#"{"theFixed64":99999999999999999999}"#, "0"),
        (
            r#"{"theSfixed64":-9223372036854775808}"#,
            "-9007199254740991",
        ),
    ] {
        let field = json.split('"').nth(1).unwrap();
        assert_eq!(
            refused_with(&safe, "codec.test.Scalars", json),
            format!("{field}: expected a whole number from {expected} to 9007199254740991")
        );
    }
    // Keys of maps are strings whatever their kind, and 32-bit integers are always safe.
    let keys =
        r#"{"byInt64":{"9223372036854775807":"a"},"byFixed64":{"18446744073709551615":"b"}}"#;
    assert_eq!(round_with(&safe, "codec.test.Maps", keys), keys);
    let limit = safe
        .field_path(safe.message("codec.own.Order").unwrap(), "limit")
        .unwrap();
    let read_text = |text: &str| safe.read_text(&limit, text, &mut Vec::new());
    read_text("9007199254740991").unwrap();
    assert_eq!(read_text("9007199254740992").unwrap_err().path, "limit");
}

#[test]
fn a_reply_with_an_unsafe_integer_fails_and_names_the_field() {
    let numbers = with(|profile| profile.integers = Integers::Numbers);
    let safe = with(|profile| profile.integers = Integers::SafeNumbers);
    for (name, json, path) in [
        (
            "codec.test.Scalars",
            r#"{"theUint64":9007199254740992}"#,
            "theUint64",
        ),
        (
            "codec.test.Scalars",
            r#"{"theSint64":-9223372036854775808}"#,
            "theSint64",
        ),
        (
            "codec.own.Order",
            r#"{"items":[{},{"parent":{"quantity":-9007199254740992}}]}"#,
            "items[1].parent.quantity",
        ),
        ("codec.own.Order", r#"{"limit":9007199254740992}"#, "limit"),
        (
            "codec.test.Lists",
            r#"{"theInt64":[1,2,9007199254740992]}"#,
            "theInt64[2]",
        ),
        (
            "codec.test.Lists",
            r#"{"looseFixed64":[1,9007199254740992]}"#,
            "looseFixed64[1]",
        ),
        (
            "codec.test.Maps",
            r#"{"toUint64":{"a":1,"b c":9007199254740992}}"#,
            r#"toUint64["b c"]"#,
        ),
        (
            "codec.test.Known",
            r#"{"any":{"@type":"x/google.protobuf.Int64Value","value":9007199254740992}}"#,
            "any.value",
        ),
    ] {
        let wire = read(&numbers, name, json).unwrap();
        let fault = write(&safe, name, &wire).unwrap_err();
        assert_eq!(
            (&*fault.path, fault.problem),
            (path, WireProblem::UnsafeInteger),
            "{json}"
        );
        assert_eq!(
            fault.to_string(),
            format!("{path}: an integer is outside -9007199254740991 to 9007199254740991")
        );
        // The same by the way that gathers fields, which a field given twice asks for.
        let twice = [&*wire, &*wire].concat();
        assert_eq!(
            write(&safe, name, &twice).unwrap_err().problem,
            WireProblem::UnsafeInteger
        );
    }
    let scalars = numbers.message("codec.test.Scalars").unwrap();
    let wire = read(
        &numbers,
        "codec.test.Scalars",
        r#"{"theInt64":9007199254740992}"#,
    )
    .unwrap();
    let mut out = Vec::new();
    numbers.write_json(scalars, &wire, &mut out).unwrap();
    let field = safe
        .field_path(safe.message("codec.test.Scalars").unwrap(), "the_int64")
        .unwrap();
    let fault = safe.write_field_json(&field, &wire, &mut out).unwrap_err();
    assert_eq!(fault.path, "theInt64");
}

#[test]
fn what_has_no_json_form_is_named_by_its_place() {
    let codec = with(|_| {});
    // A timestamp with nanoseconds below zero, within: a message, a list, a map, and gathered.
    let bad = [
        0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
    ];
    let sized = |number: u8, inner: &[u8]| [&[number << 3 | 2, inner.len() as u8], inner].concat();
    let in_list = [
        &[0xaa, 0x01, 0x00][..],
        &[0xaa, 0x01, bad.len() as u8],
        &bad,
    ]
    .concat();
    let entry = [&[0x0a, 1, b'k'][..], &sized(2, &bad)].concat();
    let in_map = [&[0xf2, 0x01, entry.len() as u8][..], &entry].concat();
    for (name, wire, path) in [
        ("google.protobuf.Timestamp", bad.to_vec(), ""),
        ("codec.test.Known", sized(1, &bad), "timestamp"),
        ("codec.test.Known", in_list.clone(), "timestamps[1]"),
        ("codec.test.Maps", in_map.clone(), r#"toTimestamp["k"]"#),
        // Field 9 stands behind a later one, so fields are gathered.
        (
            "codec.test.Known",
            [in_list.clone(), vec![0x48, 0]].concat(),
            "timestamps[1]",
        ),
        (
            "codec.test.Maps",
            [in_map.clone(), vec![0x0a, 0]].concat(),
            r#"toTimestamp["k"]"#,
        ),
    ] {
        let fault = write(&codec, name, &wire).unwrap_err();
        assert_eq!(
            (&*fault.path, fault.problem),
            (path, WireProblem::Timestamp)
        );
    }
}
