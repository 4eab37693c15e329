//! Limits of reading: depth, U+0000, and time.

use std::time::{Duration, Instant};

use prost_reflect::DynamicMessage;
use pulpo_gateway::codec::Problem;
use pulpo_gateway::profile::{JsonProfile, Unknown};

use crate::support::{PROTO_JSON, codec, descriptor, read, refused_with, round_with, write};

#[test]
fn nesting_is_limited_as_decoders_limit_it() {
    let tree = |depth: usize| format!("{}{{}}{}", r#"{"left":"#.repeat(depth), "}".repeat(depth));
    // What is just allowed is what a decoder with the common limit of 100 takes.
    let wire = read(&PROTO_JSON, "codec.test.Tree", tree(100)).unwrap();
    DynamicMessage::decode(descriptor("codec.test.Tree"), wire.as_slice()).unwrap();
    let fault = read(&PROTO_JSON, "codec.test.Tree", tree(101)).unwrap_err();
    assert_eq!(fault.problem, Problem::TooDeep);
    let map = |depth: usize| {
        format!(
            "{}{{}}{}",
            r#"{"named":{"a":"#.repeat(depth),
            "}}".repeat(depth)
        )
    };
    let wire = read(&PROTO_JSON, "codec.test.Tree", map(50)).unwrap();
    DynamicMessage::decode(descriptor("codec.test.Tree"), wire.as_slice()).unwrap();
    assert_eq!(
        read(&PROTO_JSON, "codec.test.Tree", map(51))
            .unwrap_err()
            .problem,
        Problem::TooDeep
    );
    for open in [
        "[",
        r#"{"a":"#,
        r#"{"@type":"x/google.protobuf.Any","value":"#,
    ] {
        for name in [
            "google.protobuf.Value",
            "codec.test.Tree",
            "google.protobuf.Any",
        ] {
            read(&PROTO_JSON, name, open.repeat(100_000)).unwrap_err();
        }
    }
    let shallow = codec(JsonProfile {
        max_depth: 2,
        ..JsonProfile::default()
    });
    read(&shallow, "codec.test.Tree", tree(2)).unwrap();
    assert_eq!(
        refused_with(&shallow, "codec.test.Tree", &tree(3)),
        "left.left.left: nested too deeply"
    );
}

/// What a profile may allow at most must fit in a thread's stack, in a build without optimisation too.
#[test]
fn the_deepest_nesting_fits_in_the_stack() {
    let deep = codec(JsonProfile {
        max_depth: 100_000,
        unknown_fields: Unknown::Ignore,
        ..JsonProfile::default()
    });
    let nested = |open: &str, close: &str, depth: usize| open.repeat(depth) + &close.repeat(depth);
    for (name, text) in [
        ("google.protobuf.Value", nested("[", "]", 100)),
        (
            "google.protobuf.Value",
            nested(r#"{"a":"#, "}", 66).replace(":}", ":1}"),
        ),
        (
            "codec.test.Tree",
            nested(r#"{"named":{"a":"#, "}}", 100).replace(":}", ":{}}"),
        ),
        ("codec.test.Tree", nested(r#"{"children":["#, "]}", 200)),
        (
            "codec.test.Tree",
            format!(r#"{{"x":{}}}"#, nested("[", "]", 200)),
        ),
        ("pulpo.type.v1.Json", nested("[", "]", 200)),
    ] {
        let wire = read(&deep, name, &text).unwrap();
        // Unusual at the very end, so that the gathering way is taken as well.
        let unusual = [&*wire, &*wire].concat();
        for wire in [wire, unusual] {
            write(&deep, name, &wire).unwrap();
        }
    }
}

#[test]
fn nul_is_refused_where_the_profile_says_so() {
    let strict = codec(JsonProfile {
        refuse_nul: true,
        ..JsonProfile::default()
    });
    for (name, json, path) in [
        (
            "codec.test.Tree",
            r#"{"left":{"name":"a\u0000"}}"#,
            "left.name",
        ),
        (
            "codec.test.Lists",
            r#"{"theString":["a","\u0000"]}"#,
            "theString[1]",
        ),
        (
            "codec.test.Known",
            r#"{"value":{"a":["\u0000"]}}"#,
            r#"value["a"][0]"#,
        ),
        (
            "codec.test.Known",
            r#"{"stringValue":"\u0000"}"#,
            "stringValue",
        ),
        (
            "codec.test.Maps",
            r#"{"byString":{"\u0000":""}}"#,
            "byString",
        ),
        ("codec.own.Own", r#"{"payload":{"a":"\u0000"}}"#, "payload"),
    ] {
        let fault = read(&strict, name, json).unwrap_err();
        assert_eq!(
            (fault.problem, &*fault.path),
            (Problem::Nul, path),
            "{json}"
        );
        read(&PROTO_JSON, name, json).unwrap();
    }
    // A backslash that is itself escaped makes no U+0000.
    assert_eq!(
        round_with(&strict, "codec.test.Tree", r#"{"name":"\\u0000"}"#),
        r#"{"name":"\\u0000"}"#
    );
}

#[test]
fn work_stays_linear_on_hostile_texts() {
    let started = Instant::now();
    let size = 300_000;
    let texts = [
        format!(
            r#"{{"any":{}{}"#,
            r#"{"@type":"x/google.protobuf.Any","value":"#.repeat(90),
            "[".repeat(size)
        ),
        format!(r#"{{"name":"{}"}}"#, "\\n".repeat(size)),
        format!(r#"{{"weight":{}}}"#, "9".repeat(size)),
        format!(r#"{{"weight":0.{}}}"#, "0".repeat(size)),
        format!(
            r#"{{"named":{{{}}}}}"#,
            (0..size / 8)
                .map(|key| format!(r#""{key}":{{}}"#))
                .collect::<Vec<_>>()
                .join(",")
        ),
        format!(
            "{}{}",
            r#"{"left":"#.repeat(95),
            format!(r#"{{"name":"{}"}}"#, "x".repeat(size)) + &"}".repeat(95)
        ),
    ];
    for text in &texts {
        let _ = read(&PROTO_JSON, "codec.test.Known", text);
        let _ = read(&PROTO_JSON, "codec.test.Tree", text);
    }
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn the_number_of_values_is_limited() {
    let few = codec(JsonProfile {
        max_values: 5,
        unknown_fields: Unknown::Ignore,
        ..JsonProfile::default()
    });
    // Five each: members, elements and keys count alike, at every level, and in what is ignored or carried as it is.
    for (name, json) in [
        (
            "codec.test.Tree",
            r#"{"name":"a","weight":1,"left":{"name":"b","weight":2}}"#,
        ),
        ("codec.test.Lists", r#"{"theInt32":[1,2,3,4]}"#),
        (
            "codec.test.Maps",
            r#"{"toInt32":{"a":1,"b":2,"c":3,"d":4}}"#,
        ),
        ("codec.test.Tree", r#"{"x":[{"y":[true]},null]}"#),
        ("codec.own.Own", r#"{"payload":[{"y":[true]},null]}"#),
        ("google.protobuf.Value", "[1,2,[3,4]]"),
        (
            "codec.test.Known",
            r#"{"any":{"theInt32":1,"theBool":true,"theString":"a","@type":"x/codec.test.Scalars"}}"#,
        ),
    ] {
        read(&few, name, json).unwrap();
        let end = json.rfind(['}', ']']).unwrap();
        let more = if json.ends_with('}') {
            r#","z":1"#
        } else {
            ",1"
        };
        let json = [&json[..end], more, &json[end..]].concat();
        let fault = read(&few, name, &json).unwrap_err();
        assert_eq!(fault.problem, Problem::TooMany { limit: 5 }, "{json}");
        assert_eq!(fault.to_string(), "more than 5 values");
    }
    read(
        &few,
        "codec.test.Lists",
        r#"{"theInt32":[],"theInt64":[],"theUint32":[]}"#,
    )
    .unwrap();
    // Each text is counted for itself, and so is the second look at a body for its mask.
    let tree = few.message("codec.test.Tree").unwrap();
    few.body_mask(
        tree,
        br#"{"name":"a","left":{"name":"b","weight":2,"left":null}}"#,
    )
    .unwrap();
    let fault = few
        .body_mask(
            tree,
            br#"{"name":"a","left":{"name":"b","weight":2,"left":[1,2]}}"#,
        )
        .unwrap_err();
    assert_eq!(fault.problem, Problem::TooMany { limit: 5 });
    assert_eq!(fault.path, "left.left");
}

#[test]
fn a_type_that_comes_last_costs_no_values() {
    let nested = (0..20).fold("{}".to_owned(), |inner, _| {
        format!(r#"{{"value":{inner},"@type":"x/google.protobuf.Any"}}"#)
    });
    let enough = codec(JsonProfile {
        max_values: 40,
        ..JsonProfile::default()
    });
    read(&enough, "google.protobuf.Any", &nested).unwrap();
}
