//! Objects in JSON: names, nulls, oneofs, map keys, syntax, and where a fault is said to be.

use pulpo_gateway::codec::Problem;
use pulpo_gateway::profile::{JsonProfile, Unknown};

use crate::support::{PROTO_JSON, codec, read, refused, refused_with, round, round_with};

#[test]
fn both_names_of_a_field_are_taken_once() {
    let json = r#"{"snake_case":"a","an \"odd\" name":"b","LeadIng":"c","x1Y":"d"}"#;
    assert_eq!(
        round("codec.test.Named", json),
        r#"{"snakeCase":"a","an \"odd\" name":"b","LeadIng":"c","x1Y":"d"}"#
    );
    assert_eq!(
        round(
            "codec.test.Named",
            r#"{"odd":"b","\u0070lain":"p","_lead_ing_":"c"}"#
        ),
        r#"{"plain":"p","an \"odd\" name":"b","LeadIng":"c"}"#
    );
    for (json, fault) in [
        (
            r#"{"plain":"a","plain":"b"}"#,
            "plain: given more than once",
        ),
        (
            r#"{"snakeCase":"a","snake_case":"b"}"#,
            "snakeCase: given more than once",
        ),
        (
            r#"{"plain":null,"plain":"b"}"#,
            "plain: given more than once",
        ),
        (
            r#"{"an \"odd\" name":"a","odd":"b"}"#,
            "an \"odd\" name: given more than once",
        ),
        (r#"{"Plain":"a"}"#, "Plain: unknown field"),
        (r#"{"":"a"}"#, ": unknown field"),
    ] {
        assert_eq!(refused("codec.test.Named", json), fault);
    }
    let wide = r#"{"field300":"a","field299":"b","field300":"c"}"#;
    assert!(
        refused(
            "codec.test.Wide",
            &wide.replace("299", "1").replace("\"b\"", "1")
        )
        .starts_with("field300: ")
    );
}

#[test]
fn null_is_absent_but_for_what_has_a_null() {
    let all = r#"{"timestamp":null,"duration":null,"fieldMask":null,"structure":null,"list":null,"any":null,"empty":null,
        "int64Value":null,"stringValue":null,"timestamps":null,"strings":null}"#;
    assert_eq!(round("codec.test.Known", all), "{}");
    assert_eq!(
        round("codec.test.Known", r#"{"value":null}"#),
        r#"{"value":null}"#
    );
    assert_eq!(
        round(
            "codec.test.Known",
            r#"{"maybeNothing":null,"nothing":null}"#
        ),
        r#"{"maybeNothing":null}"#
    );
    assert_eq!(
        round(
            "codec.test.Known",
            r#"{"nothings":[null,"NULL_VALUE",0],"values":[null]}"#
        ),
        r#"{"values":[null],"nothings":[null,null,null]}"#
    );
    assert_eq!(
        refused("codec.test.Known", r#"{"nothing":1}"#),
        "nothing: expected null"
    );
    assert_eq!(
        refused("codec.test.Known", r#"{"nothing":"NULL"}"#),
        "nothing: not one of the allowed values"
    );
    assert_eq!(
        round(
            "codec.test.Maps",
            r#"{"toInt32":null,"toValue":{"a":null},"toNull":{"true":null}}"#
        ),
        r#"{"toValue":{"a":null},"toNull":{"true":null}}"#
    );
    assert_eq!(
        refused("codec.test.Lists", r#"{"theString":["a",null]}"#),
        "theString[1]: null is not allowed here"
    );
    assert_eq!(
        refused("codec.test.Known", r#"{"strings":[null]}"#),
        "strings[0]: null is not allowed here"
    );
    assert_eq!(
        refused("codec.test.Maps", r#"{"toInt32":{"a b":null}}"#),
        r#"toInt32["a b"]: null is not allowed here"#
    );
    assert_eq!(
        refused("codec.test.Scalars", "null"),
        ": expected an object"
    );
    assert!(refused("codec.test.Scalars", r#"{"theInt32":nul}"#).contains("malformed JSON"));
}

#[test]
fn oneofs_take_one_member() {
    let name = "codec.test.Choice";
    assert_eq!(
        refused(name, r#"{"text":"a","number":1}"#),
        "number: only one field of `pick` may be given"
    );
    assert_eq!(
        refused(name, r#"{"nothing":null,"value":null}"#),
        "value: only one field of `pick` may be given"
    );
    assert_eq!(
        round(name, r#"{"text":null,"number":1,"at":null,"yes":true}"#),
        r#"{"number":1,"yes":true}"#
    );
    assert_eq!(round(name, r#"{"nothing":null}"#), r#"{"nothing":null}"#);
    assert_eq!(round(name, r#"{"text":""}"#), r#"{"text":""}"#);
    assert_eq!(
        refused("codec.test.Wide", r#"{"left65":1,"right65":"a"}"#),
        "right65: only one field of `choice_65` may be given"
    );
}

#[test]
fn map_keys_are_checked() {
    let name = "codec.test.Maps";
    let json = r#"{"byInt32":{"-1":"a"},"byUint64":{"18446744073709551615":"b"},"bySfixed64":{"7":"c"},"byBool":{"true":"d","false":"e"},"byString":{"":"f"}}"#;
    assert_eq!(
        round(name, json),
        r#"{"byInt32":{"-1":"a"},"byUint64":{"18446744073709551615":"b"},"bySfixed64":{"7":"c"},"byBool":{"true":"d","false":"e"},"byString":{"":"f"}}"#
    );
    for (json, fault) in [
        (
            r#"{"byInt32":{"a":"x"}}"#,
            r#"byInt32["a"]: expected a whole number"#,
        ),
        (
            r#"{"byInt32":{"":"x"}}"#,
            r#"byInt32[""]: expected a whole number"#,
        ),
        (
            r#"{"byUint32":{"-1":"x"}}"#,
            r#"byUint32["-1"]: expected a whole number from 0 to 4294967295"#,
        ),
        (
            r#"{"byBool":{"1":"x"}}"#,
            r#"byBool["1"]: expected true or false"#,
        ),
        (
            r#"{"byInt32":{"1":"x","1":"y"}}"#,
            r#"byInt32["1"]: given more than once"#,
        ),
        (
            r#"{"byInt32":{"1":"x","1.0":"y"}}"#,
            r#"byInt32["1.0"]: given more than once"#,
        ),
        (
            r#"{"byString":{"a":"x","\u0061":"y"}}"#,
            r#"byString["a"]: given more than once"#,
        ),
        (
            r#"{"toInt32":{"a":"x"}}"#,
            r#"toInt32["a"]: expected a whole number"#,
        ),
        (
            r#"{"toMessage":{"1":{"theBool":0}}}"#,
            r#"toMessage["1"].theBool: expected true or false"#,
        ),
        (r#"{"byString":[]}"#, "byString: expected an object"),
    ] {
        assert_eq!(refused(name, json), fault);
    }
    assert!(refused(name, r#"{"byInt32":{1:"x"}}"#).contains("a quoted name"));
    let keys: Vec<String> = (0..40).map(|key| format!("\"{key}\":\"\"")).collect();
    let many = format!(r#"{{"byInt32":{{{}}}}}"#, keys.join(","));
    assert_eq!(round(name, &many), many);
    let twice = many.replace("\"39\"", "\"3\"");
    assert_eq!(
        refused(name, &twice),
        r#"byInt32["3"]: given more than once"#
    );
}

#[test]
fn the_path_leads_to_the_fault() {
    for (json, path) in [
        (
            r#"{"choices":[{},{"scalars":{"theInt32":"x"}}]}"#,
            "choices[1].scalars.theInt32",
        ),
        (
            r#"{"tree":{"children":[{"named":{"k":{"left":{"weight":[]}}}}]}}"#,
            r#"tree.children[0].named["k"].left.weight"#,
        ),
        (
            r#"{"knowns":{"a":{"anys":[{"@type":"x/codec.test.Tree","left":{"name":1}}]}}}"#,
            r#"knowns["a"].anys[0].left.name"#,
        ),
        (r#"{"lists":{"theInt32":[1,2,"x"]}}"#, "lists.theInt32[2]"),
        (r#"{"tree":{"colour":1}}"#, "tree.colour"),
        (r#"{"sparse":{"at_thousand":1}}"#, "sparse.atThousand"),
        ("[]", ""),
    ] {
        let fault = read(&PROTO_JSON, "codec.test.All", json).unwrap_err();
        assert_eq!(fault.path, path);
    }
    let long = "k".repeat(10_000);
    let fault = read(
        &PROTO_JSON,
        "codec.test.Tree",
        format!(r#"{{"named":{{"{long}":1}}}}"#),
    )
    .unwrap_err();
    assert!(fault.path.len() < 100);
    let fault = read(&PROTO_JSON, "codec.test.Tree", format!(r#"{{"{long}":1}}"#)).unwrap_err();
    assert!(fault.path.len() < 100);
}

#[test]
fn json_syntax_is_strict() {
    for json in [
        "",
        " ",
        "{",
        "}",
        "{}}",
        "{} {}",
        "{},",
        r#"{"weight"}"#,
        r#"{"weight":}"#,
        r#"{"weight":1,}"#,
        r#"{,"weight":1}"#,
        r#"{"weight":1 "name":""}"#,
        r#"{weight:1}"#,
        r#"{'weight':1}"#,
        r#"{"children":[{},]}"#,
        r#"{"children":[,{}]}"#,
        r#"{"children":[{} {}]}"#,
        r#"{"children":[{}}"#,
        "{}x",
        "/**/{}",
        "\u{feff}{}",
        "{}\u{0}",
        "\u{a0}{}",
        "{\u{b}}",
        r#"{"weight":1"#,
        r#"{"weight""#,
        r#"{"wei"#,
        r#"{"children":["#,
        r#"{"name":"#,
    ] {
        let fault = read(&PROTO_JSON, "codec.test.Tree", json).unwrap_err();
        assert!(
            matches!(fault.problem, Problem::Syntax(_)),
            "{json}: {fault}"
        );
        assert!(fault.offset <= json.len());
    }
    assert_eq!(
        round(
            "codec.test.Tree",
            " {\t\"weight\" :\r\n1 , \"children\" : [ { } ] } "
        ),
        r#"{"children":[{}],"weight":1}"#
    );
}

#[test]
fn unknown_fields_are_skipped_where_the_profile_says_so() {
    let lenient = codec(JsonProfile {
        unknown_fields: Unknown::Ignore,
        ..JsonProfile::default()
    });
    let json = r#"{"x":{"a":[1,"\"]}",null]},"weight":1,"x":"again","@type":"y","children":[{"z":-1.5e3}]}"#;
    assert_eq!(
        round_with(&lenient, "codec.test.Tree", json),
        r#"{"children":[{}],"weight":1}"#
    );
    assert_eq!(
        round_with(
            &lenient,
            "codec.test.Known",
            r#"{"any":{"@type":"x/google.protobuf.Duration","a":{},"value":"1s"},"empty":{"b":[]}}"#
        ),
        r#"{"any":{"@type":"x/google.protobuf.Duration","value":"1s"},"empty":{}}"#
    );
    for json in [
        r#"{"x":[1,}"#,
        r#"{"x":01}"#,
        r#"{"x":"\u12"}"#,
        r#"{"x":{"a"}}"#,
        r#"{"x":nulll}"#,
        r#"{"x":{a:1}}"#,
    ] {
        assert!(
            refused_with(&lenient, "codec.test.Tree", json).contains("malformed JSON"),
            "{json}"
        );
    }
    assert_eq!(
        refused_with(
            &lenient,
            "codec.test.Scalars",
            r#"{"theColor":"COLOR_PINK"}"#
        ),
        "theColor: not one of the allowed values"
    );
    let deep = format!(r#"{{"x":{}1{}}}"#, "[".repeat(101), "]".repeat(101));
    assert_eq!(
        refused_with(&lenient, "codec.test.Tree", &deep),
        ": nested too deeply"
    );
}

#[test]
fn unknown_enum_names_are_left_out_where_the_profile_says_so() {
    let lenient = codec(JsonProfile {
        unknown_enums: Unknown::Ignore,
        ..JsonProfile::default()
    });
    for (name, json, expected) in [
        (
            "codec.test.Scalars",
            r#"{"theColor":"COLOR_PINK","theInt32":1}"#,
            r#"{"theInt32":1}"#,
        ),
        (
            "codec.test.Lists",
            r#"{"theColor":["COLOR_RED","COLOR_PINK",5],"looseColor":["COLOR_PINK","COLOR_RED"]}"#,
            r#"{"theColor":["COLOR_RED","COLOR_DEEP_BLUE"],"looseColor":["COLOR_RED"]}"#,
        ),
        (
            "codec.test.Maps",
            r#"{"toColor":{"a":"COLOR_PINK","b":"COLOR_RED"},"toInt32":{"a":1}}"#,
            r#"{"toInt32":{"a":1},"toColor":{"b":"COLOR_RED"}}"#,
        ),
        ("codec.test.Choice", r#"{"color":"COLOR_PINK"}"#, "{}"),
        (
            "codec.test.Choice",
            r#"{"color":"COLOR_RED"}"#,
            r#"{"color":"COLOR_RED"}"#,
        ),
    ] {
        assert_eq!(round_with(&lenient, name, json), expected);
    }
    for (name, json, fault) in [
        // A number needs no name, so it is no unknown name.
        (
            "codec.test.Scalars",
            r#"{"theColor":1.5}"#,
            "theColor: expected a whole number",
        ),
        (
            "codec.test.Lists",
            r#"{"theColor":["COLOR_PINK",null]}"#,
            "theColor[1]: null is not allowed here",
        ),
        // The member of a oneof was given, whatever its value.
        (
            "codec.test.Choice",
            r#"{"color":"COLOR_PINK","text":"a"}"#,
            "text: only one field of `pick` may be given",
        ),
        (
            "codec.test.Maps",
            r#"{"toColor":{"a":"COLOR_PINK","a":"COLOR_RED"}}"#,
            r#"toColor["a"]: given more than once"#,
        ),
        (
            "codec.test.Tree",
            r#"{"pink":"COLOR_PINK"}"#,
            "pink: unknown field",
        ),
    ] {
        assert_eq!(refused_with(&lenient, name, json), fault);
    }
    let scalars = lenient.message("codec.test.Scalars").unwrap();
    let json = br#"{"theColor":"COLOR_PINK","theInt32":1}"#;
    assert_eq!(lenient.body_mask(scalars, json).unwrap(), ["the_int32"]);
}
