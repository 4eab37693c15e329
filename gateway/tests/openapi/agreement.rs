//! What the gateway prints fits the schemas of responses, and what fits the schemas of requests is read.

use prost_reflect::{Kind, MessageDescriptor};
use pulpo_gateway::codec::Codec;
use pulpo_gateway::profile::JsonProfile;
use serde_json::{Value, json};

use crate::support::{POOL, document, operations, profiles, surface, validator};

const ALL: &str = "features.v1.All";

fn message(name: &str) -> MessageDescriptor {
    POOL.get_message_by_name(name).unwrap()
}

fn codec(profile: &JsonProfile) -> Codec {
    Codec::new(&POOL, profile.clone(), POOL.all_messages())
}

fn everything(document: &Value) -> Value {
    let operation = &document["paths"]["/v1/everything"]["post"];
    operation["responses"]["200"]["content"]["application/json"]["schema"].clone()
}

/// Every example of a request body is a body that the gateway reads.
#[test]
fn examples_of_requests_are_read() {
    for profile in profiles() {
        let document = document(&surface(profile.clone(), None));
        let codec = codec(&profile);
        let mut count = 0;
        for (method, path, operation) in operations(&document) {
            let Some(body) = operation.pointer("/requestBody/content/application~1json") else {
                continue;
            };
            // A list is a stream of messages.
            let Some(schema) = body["schema"]["$ref"].as_str() else {
                continue;
            };
            let name = schema.rsplit('/').next().unwrap();
            let name = name.trim_end_matches("Body").trim_end_matches("Input");
            let id = codec.message(&format!("features.v1.{name}")).unwrap();
            let json = body["example"].to_string();
            let read = codec.read_json(id, json.as_bytes(), &mut Vec::new());
            assert!(read.is_ok(), "{method} {path}: {read:?}\n{json}");
            count += 1;
        }
        assert_eq!(count, 6);
    }
}

/// One field's value, as bytes of the wire that set only that field.
fn one_field(number: u32, payload: &[u8]) -> Vec<Vec<u8>> {
    let tag = |wire: u32| {
        let mut out = Vec::new();
        prost::encoding::encode_varint(u64::from(number << 3 | wire), &mut out);
        out
    };
    let varint = [tag(0), vec![0x01]].concat();
    let fixed64 = [tag(1), vec![0, 0, 0, 0, 0, 0, 0xf8, 0x3f]].concat();
    let fixed32 = [tag(5), vec![0, 0, 0xc0, 0x3f]].concat();
    let sized = [tag(2), vec![payload.len() as u8], payload.to_vec()].concat();
    vec![varint, fixed64, fixed32, sized]
}

/// Every field alone, with what a payload makes of it: members that are left out, null or at their default.
#[test]
fn every_field_alone_is_printed_as_the_schema_says() {
    for profile in profiles() {
        let document = document(&surface(profile.clone(), None));
        let codec = codec(&profile);
        let validator = validator(&document, &everything(&document));
        let id = codec.message(ALL).unwrap();
        let mut printed = 0;
        for field in message(ALL).fields() {
            for payload in [
                &b""[..],
                &b"\x01"[..],
                &b"\x08\x01"[..],
                &b"\x0a\x011"[..],
                &b"a"[..],
            ] {
                // A number without a name is printed as the number; documents give the values that have one.
                let is_enum = matches!(field.kind(), Kind::Enum(_));
                if is_enum && !matches!(payload, b"" | b"\x01") {
                    continue;
                }
                for wire in one_field(field.number(), payload) {
                    let mut json = Vec::new();
                    if codec.write_json(id, &wire, &mut json).is_err() {
                        continue;
                    }
                    let value: Value = serde_json::from_slice(&json).unwrap();
                    let fault = validator.iter_errors(&value).next().map(|f| f.to_string());
                    assert_eq!(fault, None, "{} of {profile:?}\n{value:#}", field.name());
                    printed += 1;
                }
            }
        }
        assert!(printed > 500, "{printed}");
    }
}

#[test]
fn what_is_not_finite_and_two_members_of_a_oneof_are_told_apart() {
    let document = document(&surface(JsonProfile::default(), None));
    let schema = everything(&document);
    let response = validator(&document, &schema);
    let takes = |members: Value| {
        let mut value = json!({ "always": null, "nullList": null });
        let all = value.as_object_mut().unwrap();
        all.extend(members.as_object().unwrap().clone());
        response.is_valid(&value)
    };
    assert!(takes(json!({ "theDouble": "NaN", "theFloat": 1.5 })));
    assert!(!takes(json!({ "theDouble": "many" })));
    assert!(takes(json!({ "pickedNumber": "1", "one": "x" })));
    assert!(!takes(
        json!({ "pickedNumber": "1", "pickedNothing": null })
    ));
    assert!(!takes(json!({ "byInt": { "x": "y" } })));
    assert!(!takes(json!({ "theInt64": 1 })));
    assert!(
        !response.is_valid(&json!({})),
        "some members are always there"
    );
    let body = &document["paths"]["/v1/everything"]["post"]["requestBody"];
    let request = validator(&document, &body["content"]["application/json"]["schema"]);
    assert!(request.is_valid(&json!({ "maybeInt64": null })));
    assert!(!request.is_valid(&json!({ "unknown": 1 })));
}
