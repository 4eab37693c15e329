//! What a surface's document says of credentials.

use pulpo_gateway_proxy::config::Config;
use serde_json::{Value, json};

use crate::{
    gateway::{Gateway, config, reflected},
    upstream::{Reflection, Upstream},
};

const DOCS: &str = r#"
[docs.security_schemes.token]
type = "http"
scheme = "bearer"

[docs.security_schemes.key]
type = "apiKey"
in = "header"
name = "x-api-key"
description = "From the settings."

[docs.security_schemes.signIn]
type = "oauth2"
[docs.security_schemes.signIn.flows.clientCredentials]
tokenUrl = "https://id.example/token"
scopes = { read = "See items." }

[[docs.security]]
token = []

[[docs.security]]
key = []
signIn = ["read"]
"#;

#[tokio::test]
async fn the_document_shows_schemes_and_requirements() {
    let upstream = Upstream::start(Reflection::V1).await;
    let mut told = config(reflected(&upstream.url()));
    told.surfaces[0].docs = toml::from_str::<toml::Table>(DOCS)
        .unwrap()
        .remove("docs")
        .unwrap()
        .try_into()
        .unwrap();
    assert_eq!(told.check(), Ok(()));
    // It survives being printed.
    let again = Config::parse(&told.print().unwrap()).unwrap();
    assert_eq!(again.print().unwrap(), told.print().unwrap());
    let gateway = Gateway::start(again).await;
    let document: Value = gateway.get("/openapi.json").await.json().await.unwrap();
    assert_eq!(
        document["components"]["securitySchemes"],
        json!({
            "key": {
                "type": "apiKey",
                "in": "header",
                "name": "x-api-key",
                "description": "From the settings.",
            },
            "signIn": {
                "type": "oauth2",
                "flows": {
                    "clientCredentials": {
                        "tokenUrl": "https://id.example/token",
                        "scopes": { "read": "See items." },
                    },
                },
            },
            "token": { "type": "http", "scheme": "bearer" },
        })
    );
    assert_eq!(
        document["security"],
        json!([{ "token": [] }, { "key": [], "signIn": ["read"] }])
    );
    let get = &document["paths"]["/v1/items/{name}"]["get"];
    assert!(get["responses"].get("401").is_some(), "{get:#}");
    gateway.stop().await;
    upstream.stop().await;
}

#[tokio::test]
async fn a_document_without_them_says_nothing() {
    let upstream = Upstream::start(Reflection::V1).await;
    let gateway = Gateway::start(config(reflected(&upstream.url()))).await;
    let document: Value = gateway.get("/openapi.json").await.json().await.unwrap();
    assert_eq!(document.get("security"), None);
    assert_eq!(document["components"].get("securitySchemes"), None);
    gateway.stop().await;
    upstream.stop().await;
}

#[test]
fn what_openapi_could_not_say_is_told() {
    let mut told = config(reflected("http://127.0.0.1:1"));
    let docs = &mut told.surfaces[0].docs;
    for (name, scheme) in [
        ("a b", json!({ "type": "mutualTLS" })),
        ("odd", json!({ "type": "magic" })),
        ("half", json!({ "type": "apiKey", "in": "body" })),
        (
            "more",
            json!({ "type": "http", "scheme": "basic", "in": "header" }),
        ),
        (
            "open",
            json!({ "type": "openIdConnect", "openIdConnectUrl": "id" }),
        ),
        ("none", json!({ "type": "oauth2", "flows": {} })),
        (
            "flow",
            json!({ "type": "oauth2", "flows": { "password": {}, "other": {} } }),
        ),
    ] {
        docs.security_schemes.insert(name.to_owned(), scheme);
    }
    let requirement = [("nobody".to_owned(), Vec::new())];
    docs.security.push(requirement.into_iter().collect());
    let faults = told.check().unwrap_err().join("\n");
    for fault in [
        "security_schemes.a b: a name has letters",
        "security_schemes.odd: type is one of http",
        "security_schemes.half: name is missing",
        "security_schemes.half: in is one of header, query, cookie",
        "security_schemes.more: in is not known",
        "security_schemes.open: openIdConnectUrl must be an address",
        "security_schemes.none: flows has no flow",
        "security_schemes.flow: flows.password: tokenUrl must be an address",
        "security_schemes.flow: flows.password: scopes is a table",
        "security_schemes.flow: flows.other: a flow is a table",
        "docs.security: there is no security scheme named nobody",
    ] {
        assert!(faults.contains(fault), "{fault} in\n{faults}");
    }
    assert_eq!(faults.lines().count(), 11, "{faults}");
}
