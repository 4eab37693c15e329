//! Single fields: bodies, response bodies, path variables and query parameters.

use prost_reflect::DynamicMessage;
use pulpo_gateway::codec::{FieldPathFault, Problem};
use pulpo_gateway::profile::{Enums, JsonProfile, Names};

use crate::support::{PROTO_JSON, codec, descriptor, path, read, write};

const ORDER: &str = "codec.own.Order";

/// What the order is after these fields are given as text, one after the other, on top of a JSON body.
fn bound(body: &str, texts: &[(&str, &str)]) -> String {
    let mut wire = read(&PROTO_JSON, ORDER, body).unwrap();
    for (field, text) in texts {
        PROTO_JSON
            .read_text(&path(&PROTO_JSON, ORDER, field), text, &mut wire)
            .unwrap_or_else(|fault| panic!("{field}={text}: {fault}"));
    }
    DynamicMessage::decode(descriptor(ORDER), wire.as_slice()).unwrap();
    write(&PROTO_JSON, ORDER, &wire).unwrap()
}

#[test]
fn paths_take_either_name_and_know_their_field() {
    let proto = codec(JsonProfile {
        names: Names::Proto,
        ..JsonProfile::default()
    });
    for dotted in ["target_item.parent.sku", "targetItem.parent.sku"] {
        assert_eq!(
            path(&PROTO_JSON, ORDER, dotted).name(),
            "targetItem.parent.sku"
        );
        assert_eq!(path(&proto, ORDER, dotted).name(), "target_item.parent.sku");
    }
    for (field, repeated, map, message, name) in [
        ("orderId", false, false, false, None),
        ("item", false, false, true, Some("codec.own.Item")),
        ("items", true, false, true, Some("codec.own.Item")),
        ("byName", false, true, false, None),
        (
            "createTime",
            false,
            false,
            false,
            Some("google.protobuf.Timestamp"),
        ),
        (
            "attributes",
            false,
            false,
            true,
            Some("google.protobuf.Struct"),
        ),
        (
            "limit",
            false,
            false,
            false,
            Some("google.protobuf.Int64Value"),
        ),
        ("price", false, false, false, Some("pulpo.type.v1.Decimal")),
        ("payload", false, false, true, Some("pulpo.type.v1.Json")),
        ("numbers", true, false, false, None),
    ] {
        let path = path(&PROTO_JSON, ORDER, field);
        assert_eq!(
            (
                path.is_repeated(),
                path.is_map(),
                path.is_message(),
                path.message_name()
            ),
            (repeated, map, message, name),
            "{field}"
        );
    }
    let order = PROTO_JSON.message(ORDER).unwrap();
    let unknown = |message: &str, name: &str| FieldPathFault::UnknownField {
        message: message.into(),
        name: name.into(),
    };
    let closed = |name: &str| FieldPathFault::NotTraversable {
        message: ORDER.into(),
        name: name.into(),
    };
    for (dotted, fault) in [
        ("", unknown(ORDER, "")),
        ("nothing", unknown(ORDER, "nothing")),
        ("item.nothing", unknown("codec.own.Item", "nothing")),
        ("item.", unknown("codec.own.Item", "")),
        ("items.sku", closed("items")),
        ("order_id.a", closed("order_id")),
        ("by_name.a", closed("by_name")),
        ("create_time.seconds", closed("create_time")),
        ("payload.text", closed("payload")),
    ] {
        assert_eq!(PROTO_JSON.field_path(order, dotted), Err(fault));
    }
}

#[test]
fn text_is_read_as_the_field_demands() {
    for (field, text, expected) in [
        ("order_id", "a b/é\"", r#"{"orderId":"a b/é\""}"#),
        ("order_id", "", "{}"),
        ("page", "12", r#"{"page":12}"#),
        ("page", "1e1", r#"{"page":10}"#),
        ("ratio", "-1.5", r#"{"ratio":-1.5}"#),
        ("ratio", "Infinity", r#"{"ratio":"Infinity"}"#),
        ("flag", "true", r#"{"flag":true}"#),
        ("flag", "false", "{}"),
        ("status", "STATUS_ACTIVE", r#"{"status":"STATUS_ACTIVE"}"#),
        ("status", "2", r#"{"status":"STATUS_IN_REVIEW"}"#),
        ("digest", "-_8", r#"{"digest":"+/8="}"#),
        (
            "create_time",
            "2024-01-01T01:00:00+01:00",
            r#"{"createTime":"2024-01-01T00:00:00Z"}"#,
        ),
        ("time_out", "1.5s", r#"{"timeOut":"1.500s"}"#),
        (
            "update_mask",
            "order_id,item.sku",
            r#"{"updateMask":"orderId,item.sku"}"#,
        ),
        (
            "update_mask",
            "orderId,item.sku",
            r#"{"updateMask":"orderId,item.sku"}"#,
        ),
        ("limit", "5", r#"{"limit":"5"}"#),
        ("price", "2500.00", r#"{"price":2500.00}"#),
        (
            "target_item.parent.quantity",
            "7",
            r#"{"targetItem":{"parent":{"quantity":"7"}}}"#,
        ),
        ("numbers", "3", r#"{"numbers":[3]}"#),
        (
            "times",
            "2024-01-01T00:00:00Z",
            r#"{"times":["2024-01-01T00:00:00Z"]}"#,
        ),
    ] {
        assert_eq!(bound("{}", &[(field, text)]), expected);
    }
    let lower = codec(JsonProfile {
        enums: Enums::LowerWithoutPrefix,
        ..JsonProfile::default()
    });
    let mut wire = Vec::new();
    lower
        .read_text(&path(&lower, ORDER, "status"), "in_review", &mut wire)
        .unwrap();
    assert_eq!(
        write(&lower, ORDER, &wire).unwrap(),
        r#"{"status":"in_review"}"#
    );
}

#[test]
fn text_that_does_not_fit_is_refused() {
    for (field, text, sentence) in [
        ("page", "", "expected a whole number"),
        ("page", " 1", "expected a whole number"),
        ("page", "x", "expected a whole number"),
        (
            "page",
            "2147483648",
            "expected a whole number from -2147483648 to 2147483647",
        ),
        ("ratio", "nan", "expected a number"),
        ("flag", "1", "expected true or false"),
        ("flag", "TRUE", "expected true or false"),
        ("status", "ACTIVE", "not one of the allowed values"),
        ("digest", "!", "expected base64"),
        (
            "create_time",
            "now",
            "expected a timestamp such as 2024-01-31T10:00:00Z",
        ),
        ("time_out", "1", "expected a duration such as 1.5s"),
        (
            "update_mask",
            "a..b",
            "expected field names in lowerCamelCase, separated by commas",
        ),
        ("limit", "x", "expected a whole number"),
        ("price", "1,5", "expected a number"),
        ("price", "", "expected a number"),
        ("item", "{}", "expected a field that can be written as text"),
        (
            "by_name",
            "a",
            "expected a field that can be written as text",
        ),
        (
            "attributes",
            "{}",
            "expected a field that can be written as text",
        ),
        ("item.quantity", "x", "expected a whole number"),
    ] {
        let path = path(&PROTO_JSON, ORDER, field);
        let mut wire = b"kept".to_vec();
        let fault = PROTO_JSON.read_text(&path, text, &mut wire).unwrap_err();
        assert_eq!(
            (fault.path.as_str(), fault.to_string().as_str()),
            (path.name(), sentence)
        );
        assert_eq!(wire, b"kept");
    }
    let strict = codec(JsonProfile {
        refuse_nul: true,
        ..JsonProfile::default()
    });
    let fault = strict
        .read_text(&path(&strict, ORDER, "order_id"), "a\0", &mut Vec::new())
        .unwrap_err();
    assert_eq!(fault.problem, Problem::Nul);
}

#[test]
fn text_overrides_scalars_merges_messages_and_adds_to_lists() {
    let body = r#"{"orderId":"body","flag":true,"page":5,"item":{"sku":"a","quantity":"1"},"createTime":"2024-01-01T00:00:00.5Z","numbers":[1],"limit":"9","targetName":"t"}"#;
    let texts = [
        ("order_id", "path"),
        ("flag", "false"),
        ("page", "0"),
        ("item.quantity", "0"),
        ("item.parent.sku", "p"),
        ("create_time", "2025-01-01T00:00:00Z"),
        ("numbers", "2"),
        ("numbers", "3"),
        ("limit", "0"),
        ("target_item.sku", "s"),
    ];
    let expected = r#"{"orderId":"path","item":{"sku":"a","parent":{"sku":"p"}},"createTime":"2025-01-01T00:00:00Z","limit":"0","page":0,"numbers":[1,2,3],"targetItem":{"sku":"s"}}"#;
    assert_eq!(bound(body, &texts), expected);
}

#[test]
fn a_body_may_be_one_field() {
    let body = |field: &str, json: &str| {
        let mut wire = Vec::new();
        PROTO_JSON
            .read_field_json(&path(&PROTO_JSON, ORDER, field), json.as_bytes(), &mut wire)
            .map(|()| {
                DynamicMessage::decode(descriptor(ORDER), wire.as_slice()).unwrap();
                write(&PROTO_JSON, ORDER, &wire).unwrap()
            })
    };
    for (field, json, expected) in [
        ("item", r#" {"sku":"a"} "#, r#"{"item":{"sku":"a"}}"#),
        (
            "items",
            r#"[{},{"sku":"a"}]"#,
            r#"{"items":[{},{"sku":"a"}]}"#,
        ),
        ("numbers", "[1,2]", r#"{"numbers":[1,2]}"#),
        ("by_name", r#"{"k":{}}"#, r#"{"byName":{"k":{}}}"#),
        ("payload", "[1.0]", r#"{"payload":[1.0]}"#),
        ("payload", "null", r#"{"payload":null}"#),
        ("item", "null", "{}"),
        (
            "item.parent.tags",
            r#"["a"]"#,
            r#"{"item":{"parent":{"tags":["a"]}}}"#,
        ),
        ("attributes", r#"{"a":1}"#, r#"{"attributes":{"a":1}}"#),
    ] {
        assert_eq!(body(field, json).unwrap(), expected);
    }
    for (field, json, fault) in [
        ("item", r#"{"quantity":"x"}"#, "item.quantity"),
        ("items", r#"[{},{"sku":1}]"#, "items[1].sku"),
        ("by_name", r#"{"k":{"sku":1}}"#, r#"byName["k"].sku"#),
        ("item.parent", r#"{"sku":1}"#, "item.parent.sku"),
        ("item", "{} x", ""),
        ("item", "", "item"),
    ] {
        assert_eq!(body(field, json).unwrap_err().path, fault);
    }
}

#[test]
fn a_response_body_may_be_one_field() {
    let full = codec(JsonProfile {
        print_defaults: true,
        ..JsonProfile::default()
    });
    let field = |codec: &pulpo_gateway::codec::Codec, json: &str, field: &str| {
        let wire = read(codec, ORDER, json).unwrap();
        let mut out = b"kept ".to_vec();
        codec
            .write_field_json(&path(codec, ORDER, field), &wire, &mut out)
            .unwrap();
        String::from_utf8(out)
            .unwrap()
            .strip_prefix("kept ")
            .unwrap()
            .to_owned()
    };
    let order = r#"{"orderId":"a","item":{"sku":"s","parent":{"quantity":"3"}},"items":[{"sku":"x"},{}],"byName":{"k":{"sku":"y"}},"numbers":[1,2],"payload":[1.0],"price":2.50,"status":1}"#;
    for (name, expected) in [
        ("order_id", "\"a\""),
        ("item", r#"{"sku":"s","parent":{"quantity":"3"}}"#),
        ("item.parent.quantity", "\"3\""),
        ("items", r#"[{"sku":"x"},{}]"#),
        ("by_name", r#"{"k":{"sku":"y"}}"#),
        ("numbers", "[1,2]"),
        ("payload", "[1.0]"),
        ("price", "2.50"),
        ("status", "\"STATUS_ACTIVE\""),
    ] {
        assert_eq!(field(&PROTO_JSON, order, name), expected);
    }
    for (name, expected) in [
        ("order_id", "\"\""),
        ("item", "{}"),
        ("item.parent.quantity", "\"0\""),
        ("items", "[]"),
        ("by_name", "{}"),
        ("numbers", "[]"),
        ("payload", "null"),
        ("price", "null"),
        ("page", "null"),
        ("flag", "false"),
        ("status", "\"STATUS_UNSPECIFIED\""),
        ("create_time", "null"),
        ("attributes", "{}"),
        ("digest", "\"\""),
        ("target_name", "null"),
        ("target_item", "{}"),
        ("ratio", "0"),
    ] {
        assert_eq!(field(&PROTO_JSON, "{}", name), expected, "{name}");
    }
    assert_eq!(
        field(&full, "{}", "item"),
        r#"{"sku":"","quantity":"0","status":"STATUS_UNSPECIFIED","tags":[],"counts":{}}"#
    );
    // Given in two parts and out of order, it is still one message, and a member of a oneof that came later clears it.
    let mut wire = read(&PROTO_JSON, ORDER, r#"{"targetItem":{"sku":"a"}}"#).unwrap();
    wire.extend(
        read(
            &PROTO_JSON,
            ORDER,
            r#"{"orderId":"x","targetItem":{"quantity":"1"}}"#,
        )
        .unwrap(),
    );
    let target = path(&PROTO_JSON, ORDER, "target_item");
    let mut out = Vec::new();
    PROTO_JSON
        .write_field_json(&target, &wire, &mut out)
        .unwrap();
    assert_eq!(out, br#"{"sku":"a","quantity":"1"}"#);
    wire.extend(read(&PROTO_JSON, ORDER, r#"{"targetName":"n"}"#).unwrap());
    out.clear();
    PROTO_JSON
        .write_field_json(&target, &wire, &mut out)
        .unwrap();
    assert_eq!(out, b"{}");
    let mut out = b"kept".to_vec();
    PROTO_JSON
        .write_field_json(&target, &[0x0a, 9], &mut out)
        .unwrap_err();
    assert_eq!(out, b"kept");
}
