//! Numbers in JSON: exact over their range, strict in their syntax.

use crate::support::{scalar, scalar_refused};

#[test]
fn whole_numbers_are_exact_in_every_notation() {
    for (json, expected) in [
        ("0", "0"),
        ("-0", "0"),
        ("1.0", "1"),
        ("1e2", "100"),
        ("1E+2", "100"),
        ("1.50e1", "15"),
        ("100e-2", "1"),
        ("-2147483648", "-2147483648"),
        ("2147483647.000", "2147483647"),
        ("0e999999999999999999999", "0"),
        ("0.0", "0"),
        ("\"12\"", "12"),
        ("\"1e1\"", "10"),
        ("\"\\u0031\"", "1"),
    ] {
        assert_eq!(scalar("theInt32", json), expected, "{json}");
        assert_eq!(scalar("theSint32", json), expected, "{json}");
        assert_eq!(scalar("theSfixed32", json), expected, "{json}");
    }
    for (field, json, expected) in [
        ("theInt64", "9223372036854775807", "\"9223372036854775807\""),
        (
            "theInt64",
            "-9223372036854775808",
            "\"-9223372036854775808\"",
        ),
        (
            "theInt64",
            "\"-9223372036854775808.0\"",
            "\"-9223372036854775808\"",
        ),
        ("theSint64", "9007199254740993", "\"9007199254740993\""),
        (
            "theUint64",
            "18446744073709551615",
            "\"18446744073709551615\"",
        ),
        (
            "theUint64",
            "1844674407370955161.5e1",
            "\"18446744073709551615\"",
        ),
        ("theFixed64", "1e19", "\"10000000000000000000\""),
        ("theUint32", "4294967295", "4294967295"),
        ("theUint32", "-0", "0"),
    ] {
        assert_eq!(scalar(field, json), expected, "{json}");
    }
}

#[test]
fn whole_numbers_out_of_range_are_refused() {
    let int32 = "expected a whole number from -2147483648 to 2147483647";
    for (field, json, expected) in [
        ("theInt32", "2147483648", int32),
        ("theInt32", "-2147483649", int32),
        ("theSint32", "1e10", int32),
        ("theInt32", "1e400", int32),
        ("theInt32", "1e99999999999999999999", int32),
        ("theInt32", "1.5", "expected a whole number"),
        ("theInt32", "1e-1", "expected a whole number"),
        (
            "theUint32",
            "-1",
            "expected a whole number from 0 to 4294967295",
        ),
        (
            "theFixed32",
            "4294967296",
            "expected a whole number from 0 to 4294967295",
        ),
        (
            "theInt64",
            "9223372036854775808",
            "expected a whole number from -9223372036854775808 to 9223372036854775807",
        ),
        (
            "theInt64",
            "9223372036854775808.0",
            "expected a whole number from -9223372036854775808 to 9223372036854775807",
        ),
        (
            "theUint64",
            "18446744073709551616",
            "expected a whole number from 0 to 18446744073709551615",
        ),
        (
            "theUint64",
            "184467440737095516150",
            "expected a whole number from 0 to 18446744073709551615",
        ),
        ("theInt32", "\"\"", "expected a whole number"),
        ("theInt32", "\" 1\"", "expected a whole number"),
        ("theInt32", "\"+1\"", "expected a whole number"),
        ("theInt32", "\"0x1\"", "expected a whole number"),
        ("theInt32", "\"NaN\"", "expected a whole number"),
        ("theInt32", "true", "expected a whole number"),
        ("theInt32", "[1]", "expected a whole number"),
        ("theInt32", "{}", "expected a whole number"),
    ] {
        assert_eq!(scalar_refused(field, json), expected, "{json}");
    }
}

#[test]
fn floats_are_rounded_correctly_and_do_not_overflow() {
    for (field, json, expected) in [
        ("theDouble", "0.1", "0.1"),
        ("theDouble", "1", "1"),
        ("theDouble", "-0.0", "-0"),
        (
            "theDouble",
            "1.7976931348623157e308",
            "1.7976931348623157e308",
        ),
        ("theDouble", "1e-400", "0"),
        ("theDouble", "\"1.5\"", "1.5"),
        ("theDouble", "\"NaN\"", "\"NaN\""),
        ("theDouble", "\"Infinity\"", "\"Infinity\""),
        ("theDouble", "\"-Infinity\"", "\"-Infinity\""),
        ("theFloat", "0.1", "0.1"),
        ("theFloat", "3.4028235e38", "3.4028235e38"),
        ("theFloat", "16777217", "16777216"),
    ] {
        let read: &str = &scalar(field, json);
        assert_eq!(read.replace("e+", "e"), expected, "{json}");
    }
    for (field, json, expected) in [
        (
            "theDouble",
            "1e400",
            "expected a number that fits in 64 bits",
        ),
        (
            "theDouble",
            "-1e309",
            "expected a number that fits in 64 bits",
        ),
        ("theFloat", "1e39", "expected a number that fits in 32 bits"),
        (
            "theFloat",
            "\"1e39\"",
            "expected a number that fits in 32 bits",
        ),
        ("theDouble", "\"inf\"", "expected a number"),
        ("theDouble", "\"nan\"", "expected a number"),
        ("theDouble", "\"1.\"", "expected a number"),
        ("theDouble", "\"\"", "expected a number"),
        ("theDouble", "false", "expected a number"),
        (
            "theDouble",
            "NaN",
            "malformed JSON: expected a value at byte 13",
        ),
        (
            "theDouble",
            "Infinity",
            "malformed JSON: expected a value at byte 13",
        ),
    ] {
        assert_eq!(scalar_refused(field, json), expected, "{json}");
    }
}

#[test]
fn number_syntax_is_strict() {
    for json in [
        "01", "-01", "00", ".5", "1.", "+1", "-", "1e", "1e+", "0x10", "1_000", "--1", "1.e1",
        "-a", "1e1.5",
    ] {
        for field in ["theDouble", "theInt32"] {
            let fault = scalar_refused(field, json);
            assert!(fault.contains("malformed JSON"), "{json}: {fault}");
        }
    }
}
