//! The document itself.

use std::{collections::HashSet, env, fs, path::PathBuf};

use pulpo_gateway::profile::JsonProfile;
use serde_json::{Value, json};

use crate::support::{ENVELOPE, assert_valid, document, operations, profiles, surface};

/// The document of ProtoJSON's own profile, which an OpenAPI validator reads too (`make check-openapi`).
/// `UPDATE_DOCUMENTS=1` writes it anew.
#[test]
fn the_document_is_the_one_that_was_reviewed() {
    let written = document(&surface(JsonProfile::default(), None));
    let text = format!("{:#}\n", written);
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/openapi/features.json");
    if env::var_os("UPDATE_DOCUMENTS").is_some() {
        fs::write(&file, &text).unwrap();
    }
    let reviewed = fs::read_to_string(&file).unwrap();
    assert!(
        reviewed == text,
        "the document has changed; look at it with UPDATE_DOCUMENTS=1 and git diff"
    );
}

#[test]
fn the_same_descriptors_give_the_same_text() {
    for profile in profiles() {
        let texts = [(); 2].map(|()| document(&surface(profile.clone(), None)).to_string());
        assert_eq!(texts[0], texts[1]);
    }
}

#[test]
fn every_reference_leads_somewhere_and_nothing_is_left_over() {
    for profile in profiles() {
        let document = document(&surface(profile, Some(ENVELOPE)));
        let text = document.to_string();
        for part in text.split("\"$ref\":\"#").skip(1) {
            let pointer = part.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        for section in ["schemas", "responses"] {
            for name in document["components"][section].as_object().unwrap().keys() {
                let reference = format!("\"#/components/{section}/{name}\"");
                assert!(text.contains(&reference), "{reference} is not used");
            }
        }
    }
}

#[test]
fn operations_have_ids_of_their_own() {
    let document = document(&surface(JsonProfile::default(), None));
    let mut ids: Vec<&Value> = operations(&document)
        .iter()
        .map(|(_, _, operation)| &operation["operationId"])
        .collect();
    let count = ids.len();
    ids.sort_by_key(|id| id.to_string());
    ids.dedup();
    // Fourteen methods with a route, six further bindings, and five for the one route of any method.
    assert_eq!((ids.len(), count), (25, 25));
}

#[test]
fn examples_fit_their_schemas() {
    for profile in profiles() {
        for envelope in [None, Some(ENVELOPE)] {
            let document = document(&surface(profile.clone(), envelope));
            let mut seen = HashSet::new();
            for (method, path, operation) in operations(&document) {
                let bodies = [operation.pointer("/requestBody/content/application~1json")];
                let replies = operation["responses"].as_object().unwrap().values();
                let replies = replies.map(|reply| {
                    let target = reply["$ref"]
                        .as_str()
                        .map(|r| document.pointer(&r[1..]).unwrap());
                    target
                        .unwrap_or(reply)
                        .pointer("/content/application~1json")
                });
                for media in bodies.into_iter().chain(replies).flatten() {
                    // Most errors are the same everywhere.
                    if seen.insert(media.to_string()) {
                        let (schema, example) = (&media["schema"], &media["example"]);
                        assert_valid(&document, schema, example, &format!("{method} {path}"));
                    }
                }
            }
            assert!(seen.len() > 30, "{}", seen.len());
        }
    }
}

#[test]
fn statuses_are_those_the_surface_gives() {
    let document = document(&surface(JsonProfile::default(), None));
    let statuses = |path: &str, method: &str| -> Vec<String> {
        let responses = document["paths"][path][method]["responses"].as_object();
        responses.unwrap().keys().cloned().collect()
    };
    assert_eq!(
        statuses("/v1/books", "get"),
        [
            "200", "304", "400", "406", "422", "429", "500", "503", "504", "default"
        ]
    );
    assert_eq!(
        statuses("/v1/books", "post"),
        [
            "201", "400", "401", "403", "406", "408", "409", "413", "415", "422", "429", "500",
            "503", "504", "default"
        ]
    );
    let unauthorized = &document["components"]["responses"]["Unauthorized"];
    assert_eq!(
        unauthorized["headers"]["www-authenticate"]["schema"]["examples"],
        json!(["Bearer"])
    );
    let content = &document["paths"]["/v1/now"]["get"]["responses"]["503"]["content"];
    assert_eq!(
        content["application/json"]["schema"]["anyOf"][1],
        json!({ "$ref": "#/components/schemas/Error" })
    );
    let gone = &document["paths"]["/v1/books/{book.id}"]["delete"];
    assert_eq!(gone["deprecated"], true);
    assert_eq!(gone["responses"]["204"].get("content"), None);
}

#[test]
fn credentials_are_those_of_the_access_rule() {
    let document = document(&surface(JsonProfile::default(), None));
    let create = &document["paths"]["/v1/books"]["post"];
    assert_eq!(
        create["security"],
        json!([
            { "tenantKey": ["books:write"] },
            { "tenantKeyHeader": ["books:write"] },
            { "accessKey": ["books:write"] },
        ])
    );
    assert_eq!(document["paths"]["/v1/books"]["get"]["security"], json!([]));
    let schemes = document["components"]["securitySchemes"]
        .as_object()
        .unwrap();
    assert_eq!(
        schemes.keys().collect::<Vec<_>>(),
        [
            "tenantKey",
            "tenantKeyHeader",
            "accessKey",
            // What is needed elsewhere.
            "basic",
            "session",
            "company",
            "signIn"
        ]
    );
}

#[test]
fn an_envelope_stands_around_the_data_but_for_bare_replies() {
    let document = document(&surface(JsonProfile::default(), Some(ENVELOPE)));
    let reply = |path: &str, method: &str, status: &str| {
        let response = &document["paths"][path][method]["responses"][status];
        response["content"]["application/json"]["schema"].clone()
    };
    assert_eq!(
        reply("/v1/{name_1}", "get", "200"),
        Value::Null,
        "there is no such path"
    );
    assert_eq!(
        reply("/v1/shelves/{name_1}/books/{name_2}", "get", "200"),
        json!({
            "type": "object",
            "properties": {
                "code": { "const": 0 },
                "message": { "const": "success" },
                "data": { "anyOf": [{ "$ref": "#/components/schemas/Book" }, { "type": "null" }] },
            },
            "required": ["code", "message", "data"],
        })
    );
    assert_eq!(
        reply("/v1/books/{book.id}", "patch", "200"),
        json!({ "$ref": "#/components/schemas/UpdateBookRequest" })
    );
}

#[test]
fn streams_bytes_forms_and_redirects_have_their_media_types() {
    let document = document(&surface(JsonProfile::default(), Some(ENVELOPE)));
    let types = |path: &str, method: &str, pointer: &str| -> Vec<String> {
        let operation = &document["paths"][path][method];
        let content = operation.pointer(pointer).and_then(Value::as_object);
        content
            .into_iter()
            .flat_map(|c| c.keys().cloned())
            .collect()
    };
    let reply = "/responses/200/content";
    assert_eq!(
        types("/v1/books:watch", "get", reply),
        [
            "application/json",
            "application/x-ndjson",
            "text/event-stream"
        ]
    );
    assert_eq!(
        types("/v1/books:follow", "get", reply),
        ["text/event-stream"]
    );
    let talk = &document["paths"]["/v1/talk"]["get"]["responses"];
    assert!(talk["101"].is_object() && talk.get("200").is_none());
    assert_eq!(
        types("/v1/books:import", "post", "/requestBody/content")[..2],
        ["application/json", "application/x-ndjson"]
    );
    assert_eq!(
        types("/v1/covers", "post", "/requestBody/content"),
        [
            "application/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data"
        ]
    );
    assert_eq!(
        types("/v1/scans/{name}", "post", "/requestBody/content"),
        ["*/*"]
    );
    assert_eq!(types("/v1/scans/{name}", "post", reply), ["*/*"]);
    let shop = &document["paths"]["/v1/shops/{name}"]["get"]["responses"]["302"];
    assert!(shop["headers"]["location"].is_object(), "{shop}");
    assert_eq!(
        types("/v1/shops/{name}", "get", reply),
        ["application/json"]
    );
}
