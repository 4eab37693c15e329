//! The well-known types in JSON.

use crate::support::{refused, round};

#[test]
fn timestamps_durations_and_masks() {
    let one = |field: &str, text: &str| {
        let text = round("codec.test.Known", &format!(r#"{{"{field}":"{text}"}}"#));
        text.split_once(':')
            .unwrap()
            .1
            .trim_matches(['"', '}'])
            .to_owned()
    };
    let bad = |field: &str, text: &str| {
        refused("codec.test.Known", &format!(r#"{{"{field}":"{text}"}}"#))
    };
    for (text, expected) in [
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        (
            "9999-12-31T23:59:59.999999999Z",
            "9999-12-31T23:59:59.999999999Z",
        ),
        ("2024-02-29T23:59:59.5Z", "2024-02-29T23:59:59.500Z"),
        ("2000-02-29T00:00:00.000001Z", "2000-02-29T00:00:00.000001Z"),
        ("2024-01-01T00:30:00+01:00", "2023-12-31T23:30:00Z"),
        ("2023-12-31T23:30:00.25-05:30", "2024-01-01T05:00:00.250Z"),
        ("1969-12-31T23:59:59.9Z", "1969-12-31T23:59:59.900Z"),
        ("0000-12-31T23:00:00-02:00", "0001-01-01T01:00:00Z"),
    ] {
        assert_eq!(one("timestamp", text), expected);
    }
    for text in [
        "",
        "2024-01-01",
        "2024-01-01T00:00:00",
        "2024-01-01t00:00:00Z",
        "2024-01-01T00:00:00z",
        "2024-01-01 00:00:00Z",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "2024-01-32T00:00:00Z",
        "2024-04-31T00:00:00Z",
        "2024-01-00T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z",
        "2024-01-01T23:59:60Z",
        "2024-01-01T00:00:00.Z",
        "2024-01-01T00:00:00.1234567891Z",
        "2024-01-01T00:00:00+24:00",
        "2024-01-01T00:00:00+0100",
        "2024-01-01T00:00:00+01:60",
        "0000-12-31T23:59:59Z",
        "9999-12-31T23:59:59-00:01",
        "0001-01-01T00:00:00+00:01",
        "10000-01-01T00:00:00Z",
        "-001-01-01T00:00:00Z",
        "2024-1-1T0:0:0Z",
        "2024-01-01T00:00:00ZZ",
        "２024-01-01T00:00:00Z",
    ] {
        assert_eq!(
            bad("timestamp", text),
            "timestamp: expected a timestamp such as 2024-01-31T10:00:00Z",
            "{text}"
        );
    }
    for (text, expected) in [
        ("0s", "0s"),
        ("-0s", "0s"),
        ("1.5s", "1.500s"),
        ("-0.000000001s", "-0.000000001s"),
        ("315576000000s", "315576000000s"),
        ("-315576000000s", "-315576000000s"),
        ("3.000s", "3s"),
        ("1.000001s", "1.000001s"),
    ] {
        assert_eq!(one("duration", text), expected);
    }
    for text in [
        "",
        "s",
        "1",
        "1.s",
        ".5s",
        "+1s",
        "1.0000000001s",
        "315576000001s",
        "1e3s",
        " 1s",
        "--1s",
        "1m",
        "99999999999999999999s",
    ] {
        assert_eq!(
            bad("duration", text),
            "duration: expected a duration such as 1.5s",
            "{text}"
        );
    }
    for (text, expected) in [
        ("", ""),
        ("a", "a"),
        ("displayName,user.fullName", "displayName,user.fullName"),
        ("Foo", "Foo"),
        (r#"a\"b\\c,\u0001"#, r#"a\"b\\c,\u0001"#),
    ] {
        assert_eq!(one("fieldMask", text), expected);
    }
    for text in ["snake_case", "a,,b", ",", "a..b", "a.", ".a"] {
        assert!(
            bad("fieldMask", text).starts_with("fieldMask: expected field names"),
            "{text}"
        );
    }
    assert_eq!(
        refused("codec.test.Known", r#"{"timestamp":1}"#),
        "timestamp: expected a timestamp"
    );
    assert_eq!(
        refused("codec.test.Known", r#"{"duration":{}}"#),
        "duration: expected a duration"
    );
}

#[test]
fn wrappers_structs_and_any() {
    let same = [
        r#"{"int64Value":"5","boolValue":false,"stringValue":"","bytesValue":"YQ=="}"#,
        r#"{"value":{"a":[1,"b",null,true,{}]}}"#,
        r#"{"structure":{"a":1.5,"b":{}},"list":[[],{}]}"#,
        r#"{"structure":{},"list":[]}"#,
        r#"{"empty":{}}"#,
        r#"{"any":{}}"#,
        r#"{"any":{"@type":"type.googleapis.com/codec.test.Scalars","theInt32":5}}"#,
        r#"{"any":{"@type":"x/google.protobuf.Duration","value":"1.500s"}}"#,
        r#"{"any":{"@type":"x/google.protobuf.Value","value":null}}"#,
        r#"{"any":{"@type":"x/google.protobuf.Empty"}}"#,
        r#"{"any":{"@type":"x/google.protobuf.Any","value":{"@type":"x/codec.test.Scalars"}}}"#,
    ];
    for json in same {
        assert_eq!(round("codec.test.Known", json), json);
    }
    assert_eq!(
        round(
            "codec.test.Known",
            r#"{"any":{"theInt32":5,"@type":"x/codec.test.Scalars","theBool":true}}"#
        ),
        r#"{"any":{"@type":"x/codec.test.Scalars","theInt32":5,"theBool":true}}"#
    );
    assert_eq!(
        round(
            "codec.test.Known",
            r#"{"any":{"value":"1s","@type":"x/google.protobuf.Duration"}}"#
        ),
        r#"{"any":{"@type":"x/google.protobuf.Duration","value":"1s"}}"#
    );
    assert_eq!(
        round(
            "codec.test.Known",
            r#"{"any":{"@type":"x/google.protobuf.Empty","value":{}}}"#
        ),
        r#"{"any":{"@type":"x/google.protobuf.Empty"}}"#
    );
    for (json, fault) in [
        (
            r#"{"any":{"a":1}}"#,
            "any: expected `@type` with the name of a known message",
        ),
        (
            r#"{"any":{"@type":"x/no.Such"}}"#,
            "any.@type: expected `@type` with the name of a known message",
        ),
        (
            r#"{"any":{"@type":"codec.test.Scalars"}}"#,
            "any.@type: expected `@type` with the name of a known message",
        ),
        (r#"{"any":{"@type":1}}"#, "any.@type: expected a string"),
        (
            r#"{"any":{"@type":"x/codec.test.Scalars","@type":"x/codec.test.Scalars"}}"#,
            "any.@type: given more than once",
        ),
        (
            r#"{"any":{"@type":"x/codec.test.Scalars","value":1}}"#,
            "any.value: unknown field",
        ),
        (
            r#"{"any":{"@type":"x/codec.test.Scalars","theBool":1}}"#,
            "any.theBool: expected true or false",
        ),
        (
            r#"{"any":{"@type":"x/google.protobuf.Duration"}}"#,
            "any: expected `value` beside `@type`",
        ),
        (
            r#"{"any":{"@type":"x/google.protobuf.Duration","value":"1s","value":"1s"}}"#,
            "any.value: given more than once",
        ),
        (
            r#"{"any":{"@type":"x/google.protobuf.Duration","value":"1"}}"#,
            "any.value: expected a duration such as 1.5s",
        ),
        (
            r#"{"any":{"@type":"x/google.protobuf.Duration","value":"1s","more":1}}"#,
            "any.more: unknown field",
        ),
        (r#"{"any":[]}"#, "any: expected an object"),
        (
            r#"{"structure":{"a":1,"a":2}}"#,
            r#"structure["a"]: given more than once"#,
        ),
        (
            r#"{"structure":{"a":{"b":1e999}}}"#,
            r#"structure["a"]["b"]: expected a number that fits in 64 bits"#,
        ),
        (r#"{"structure":[]}"#, "structure: expected an object"),
        (r#"{"list":{}}"#, "list: expected a list"),
        (
            r#"{"list":[1,[1e999]]}"#,
            "list[1][0]: expected a number that fits in 64 bits",
        ),
        (
            r#"{"uint32Value":-1}"#,
            "uint32Value: expected a whole number from 0 to 4294967295",
        ),
        (r#"{"empty":{"a":1}}"#, "empty.a: unknown field"),
        (
            r#"{"timestamps":["2024-01-01T00:00:00Z","x"]}"#,
            "timestamps[1]: expected a timestamp such as 2024-01-31T10:00:00Z",
        ),
    ] {
        assert_eq!(refused("codec.test.Known", json), fault, "{json}");
    }
    assert_eq!(round("google.protobuf.Value", " null "), "null");
    assert_eq!(round("google.protobuf.Struct", r#"{"a":1}"#), r#"{"a":1}"#);
    assert_eq!(round("google.protobuf.ListValue", "[1]"), "[1]");
    assert_eq!(round("google.protobuf.StringValue", "\"a\""), "\"a\"");
    assert_eq!(round("google.protobuf.Empty", "{}"), "{}");
}
