//! Pulpo's own types and field options.

use pulpo_gateway::codec::WireProblem;
use pulpo_gateway::profile::{Absent, JsonProfile};

use crate::support::{PROTO_JSON, codec, refused, round, round_with, sized, write};

fn problem(wire: &[u8]) -> WireProblem {
    write(&PROTO_JSON, OWN, wire).unwrap_err().problem
}

const OWN: &str = "codec.own.Own";

/// An `Own` whose field `number` holds a Decimal or Json with this text.
fn wire(number: u32, text: &str) -> Vec<u8> {
    sized(number, &sized(1, text.as_bytes()))
}

#[test]
fn decimals_keep_their_digits() {
    for number in [
        "0",
        "-0",
        "2500.00",
        "1E+05",
        "0.10",
        "123456789012345678901234567890.123456789",
    ] {
        let json = format!(r#"{{"amount":{number},"amounts":[{number},1.0],"decimal":{number}}}"#);
        assert_eq!(round(OWN, &json), json);
    }
    let longest = "9".repeat(64);
    assert_eq!(
        round(OWN, &format!(r#"{{"amount":{longest}}}"#)),
        format!(r#"{{"amount":{longest}}}"#)
    );
    assert_eq!(
        refused(OWN, &format!(r#"{{"amount":{longest}9}}"#)),
        "amount: expected a number of at most 64 characters"
    );
    assert_eq!(
        refused(OWN, r#"{"amount":"1"}"#),
        "amount: expected a number"
    );
    assert_eq!(
        refused(OWN, r#"{"amounts":[1,{}]}"#),
        "amounts[1]: expected a number"
    );
    assert_eq!(
        refused(OWN, r#"{"amounts":[null]}"#),
        "amounts[0]: null is not allowed here"
    );
    assert_eq!(round(OWN, r#"{"amount":null}"#), "{}");
    assert_eq!(
        write(&PROTO_JSON, OWN, &[0x0a, 0]).unwrap(),
        r#"{"amount":0}"#
    );
    assert_eq!(
        write(&PROTO_JSON, OWN, &wire(1, "")).unwrap(),
        r#"{"amount":0}"#
    );
    for text in [
        "abc",
        "1 ",
        " 1",
        "01",
        "1.",
        "+1",
        "NaN",
        "\"1\"",
        "1,2",
        &"9".repeat(65),
    ] {
        assert_eq!(problem(&wire(1, text)), WireProblem::Decimal, "{text}");
    }
}

#[test]
fn json_is_carried_as_it_was_written() {
    for text in [
        "null",
        "true",
        "\"a\\u0041\\/\"",
        "123456789012345678901234567890.10",
        "-0.0e-0",
        "[ 1 , 2 ]",
        "{ \"a\" : [ ] , \"a\" : {\"b\":null} }",
        "{\n}",
        "\"日本\"",
    ] {
        let json = format!(
            r#"{{"payload":{text},"payloads":[{text},1],"extra":{{"k":{text}}},"json":{text}}}"#
        );
        assert_eq!(round(OWN, &json), json);
        assert_eq!(round("pulpo.type.v1.Json", &format!(" {text}\n")), text);
    }
    assert_eq!(round(OWN, "{\"payload\": \t[1] \n}"), r#"{"payload":[1]}"#);
    assert_eq!(
        round(
            OWN,
            r#"{"any":{"@type":"x/pulpo.type.v1.Json","value":[1.0]}}"#
        ),
        r#"{"any":{"@type":"x/pulpo.type.v1.Json","value":[1.0]}}"#
    );
    assert_eq!(
        refused(OWN, r#"{"json":null,"decimal":1}"#),
        "decimal: only one field of `pick` may be given"
    );
    for text in [
        "{a:1}",
        "[1,]",
        "[01]",
        "\"\\ud800\"",
        "{\"a\"}",
        "tru",
        "'a'",
        "[1",
        "\"\\x\"",
    ] {
        let fault = refused(OWN, &format!(r#"{{"payload":{text}}}"#));
        assert!(
            fault.starts_with("payload: malformed JSON"),
            "{text}: {fault}"
        );
        assert_eq!(problem(&wire(2, text)), WireProblem::Json, "{text}");
    }
    assert_eq!(
        write(&PROTO_JSON, OWN, &[0x12, 0]).unwrap(),
        r#"{"payload":null}"#
    );
    assert_eq!(
        write(&PROTO_JSON, OWN, &wire(2, " [1] \n")).unwrap(),
        r#"{"payload":[1]}"#
    );
    for text in [" ", "1 2", "[1]]", "\u{a0}1"] {
        assert_eq!(problem(&wire(2, text)), WireProblem::Json, "{text}");
    }
}

#[test]
fn json_has_the_same_depth_in_both_directions() {
    let lists = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let json = format!(r#"{{"payload":{}}}"#, lists(99));
    assert_eq!(round(OWN, &json), json);
    assert_eq!(
        refused(OWN, &format!(r#"{{"payload":{}}}"#, lists(100))),
        "payload: nested too deeply"
    );
    assert_eq!(problem(&wire(2, &lists(100))), WireProblem::Json);
}

#[test]
fn the_field_option_says_how_absence_is_printed() {
    let name = "codec.own.Ruled";
    let omit = codec(JsonProfile::default());
    let null = codec(JsonProfile {
        absent: Absent::Null,
        ..JsonProfile::default()
    });
    let full = codec(JsonProfile {
        print_defaults: true,
        ..JsonProfile::default()
    });
    assert_eq!(
        round_with(&omit, name, "{}"),
        r#"{"alwaysNull":null,"plainNull":null,"listNull":null}"#
    );
    assert_eq!(
        round_with(&null, name, "{}"),
        r#"{"follows":null,"alwaysNull":null,"plainNull":null,"listNull":null,"message":null}"#
    );
    assert_eq!(
        round_with(&full, name, "{}"),
        r#"{"alwaysNull":null,"plain":"","plainNull":null,"listNull":null,"big":"0","status":"STATUS_UNSPECIFIED","map":{}}"#
    );
    let json = r#"{"alwaysNull":"","plainNull":"","listNull":[],"member":""}"#;
    assert_eq!(
        round_with(&omit, name, json),
        r#"{"alwaysNull":"","plainNull":null,"listNull":null,"member":""}"#
    );
    let json = r#"{"follows":"a","alwaysNull":"b","neverNull":"c","plain":"d","plainNull":"e","plainOmit":"f","listNull":["g"]}"#;
    assert_eq!(round_with(&omit, name, json), json);
}
