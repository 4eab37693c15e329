//! Strings, bytes, bools and enums in JSON.

use pulpo_gateway::codec::Problem;

use crate::support::{PROTO_JSON, read, round, scalar, scalar_refused};

#[test]
fn strings_are_unescaped() {
    for (json, expected) in [
        (r#""""#, r#""""#),
        (r#""\"\\\/\b\f\n\r\t""#, r#""\"\\/\b\f\n\r\t""#),
        (r#""\u00e9\u65E5""#, "\"é日\""),
        (r#""\ud83d\ude00 \uD83D\uDE00""#, "\"😀 😀\""),
        (r#""\u0000""#, r#""\u0000""#),
        ("\"\u{7f}\u{2028}\"", "\"\u{7f}\u{2028}\""),
        (r#""12345678\n12345678""#, r#""12345678\n12345678""#),
    ] {
        assert_eq!(scalar("theString", json), expected, "{json}");
    }
    let long = format!("\"{}\"", "0123456789abcdé".repeat(5000));
    assert_eq!(scalar("theString", &long), long);
    let escaped = format!("\"{}\\n\"", "x".repeat(200));
    assert_eq!(scalar("theString", &escaped), escaped);
    for json in [
        r#""\ud83d""#,
        r#""\ude00""#,
        r#""\ud83d\u0041""#,
        r#""\ud83d\ud83d""#,
        r#""\ud83dx""#,
        r#""\u12""#,
        r#""\u12g4""#,
        r#""\u+123""#,
        r#""\x41""#,
        r#""\'""#,
        "\"line\nbreak\"",
        "\"tab\t\"",
        "\"\u{1}\"",
        "\"open",
        "\"open\\",
        "\"open\\u",
        "'single'",
    ] {
        let fault = scalar_refused("theString", json);
        assert!(fault.starts_with("malformed JSON"), "{json}: {fault}");
    }
    assert_eq!(scalar_refused("theString", "1"), "expected a string");
    assert_eq!(scalar_refused("theString", "true"), "expected a string");
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    for bad in [
        &b"\xff"[..],
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe6\x97",
    ] {
        let json = [b"{\"theString\":\"", bad, b"\"}"].concat();
        let fault = read(&PROTO_JSON, "codec.test.Scalars", &json).unwrap_err();
        assert_eq!((fault.problem, fault.offset), (Problem::Utf8, 14));
    }
}

#[test]
fn bytes_are_read_in_both_alphabets() {
    for json in ["\"+/+/\"", "\"-_-_\"", "\"+\\/+\\/\""] {
        assert_eq!(scalar("theBytes", json), "\"+/+/\"");
    }
    for json in ["\"YQ==\"", "\"YQ\"", "\"YR==\""] {
        assert_eq!(scalar("theBytes", json), "\"YQ==\"");
    }
    assert_eq!(scalar("theBytes", "\"\""), "\"\"");
    let long = "YWJj".repeat(100);
    assert_eq!(
        scalar("theBytes", &format!("\"{long}\"")),
        format!("\"{long}\"")
    );
    for json in ["\"a\"", "\"a b=\"", "\"+_\"", "\"YQ===\"", "\"=\"", "\"é\""] {
        assert_eq!(
            scalar_refused("theBytes", json),
            "expected base64",
            "{json}"
        );
    }
    assert_eq!(scalar_refused("theBytes", "1"), "expected a base64 string");
}

#[test]
fn bools_and_enums() {
    assert_eq!(scalar("theBool", "true"), "true");
    for json in ["\"true\"", "1", "0", "[]"] {
        assert_eq!(scalar_refused("theBool", json), "expected true or false");
    }
    assert!(scalar_refused("theBool", "truth").starts_with("malformed JSON"));
    for (json, expected) in [
        ("\"COLOR_RED\"", "\"COLOR_RED\""),
        ("1", "\"COLOR_RED\""),
        ("1.0", "\"COLOR_RED\""),
        ("-3", "\"COLOR_NEGATIVE\""),
        ("100000", "\"COLOR_FAR\""),
        ("77", "77"),
        ("-77", "-77"),
    ] {
        assert_eq!(scalar("theColor", json), expected);
    }
    for json in ["\"RED\"", "\"color_red\"", "\"1\"", "\"\""] {
        assert_eq!(
            scalar_refused("theColor", json),
            "not one of the allowed values"
        );
    }
    assert!(scalar_refused("theColor", "2147483648").starts_with("expected a whole number from"));
    assert_eq!(
        scalar_refused("theColor", "{}"),
        "expected one of the allowed names"
    );
    assert_eq!(
        round("codec.test.Optionals", r#"{"alias":"ALIAS_SECOND"}"#),
        r#"{"alias":"ALIAS_FIRST"}"#
    );
}
