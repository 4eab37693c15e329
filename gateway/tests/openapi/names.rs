//! Components have names of their own, however messages are called.

use std::{fs, sync::Arc};

use prost_reflect::{DescriptorPool, ServiceDescriptor};
use pulpo_gateway::{
    openapi::{self, Description, Security},
    surface::{Surface, SurfaceOptions},
};
use serde_json::{Value, json};

use crate::support::Errors;

/// The document of all services of a file.
fn described(file: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("names.proto"), file).unwrap();
    let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/../proto");
    let mut compiler = protox::Compiler::new([folder.path(), shared.as_ref()]).unwrap();
    compiler
        .include_imports(true)
        .open_file("names.proto")
        .unwrap();
    let set = compiler.encode_file_descriptor_set();
    let pool = DescriptorPool::decode(set.as_slice()).unwrap();
    let services: Vec<ServiceDescriptor> = pool.services().collect();
    let options = SurfaceOptions {
        has_problem_json: true,
        ..SurfaceOptions::new("names", Arc::new(Errors))
    };
    let surface = Surface::compile(&pool, &services, options).unwrap();
    let description = Description {
        title: "Names".to_owned(),
        version: "1".to_owned(),
        text: String::new(),
        error_schema: json!({ "type": "object", "title": "the surface's own" }),
        credentials: Vec::new(),
        security: Security::default(),
    };
    openapi::document(&surface, &pool, &services, &description)
}

/// The members of the message that a route takes, and of the one it gives.
fn members(document: &Value, path: &str) -> [Vec<String>; 2] {
    let operation = &document["paths"][path]["post"];
    let media = "content/application~1json/schema/$ref";
    [
        format!("/requestBody/{media}"),
        format!("/responses/200/{media}"),
    ]
    .map(|pointer| {
        let reference = operation.pointer(&pointer).and_then(Value::as_str).unwrap();
        let schema = document.pointer(reference.trim_start_matches('#')).unwrap();
        schema["properties"]
            .as_object()
            .unwrap_or_else(|| panic!("{reference} is {schema}"))
            .keys()
            .cloned()
            .collect()
    })
}

#[test]
fn a_message_may_be_called_as_another_ones_input() {
    let document = described(
        r#"
        syntax = "proto3";
        package names.v1;
        import "google/api/annotations.proto";
        service NameService {
          rpc Put(Wallet) returns (Wallet) {
            option (google.api.http) = {post: "/v1/wallets" body: "*"};
          }
          rpc PutInput(WalletInput) returns (WalletInput) {
            option (google.api.http) = {post: "/v1/inputs" body: "*"};
          }
        }
        message Wallet { string owner = 1; }
        message WalletInput { string amount = 1; }
        "#,
    );
    assert_eq!(members(&document, "/v1/wallets"), [["owner"], ["owner"]]);
    assert_eq!(members(&document, "/v1/inputs"), [["amount"], ["amount"]]);
}

#[test]
fn a_message_may_be_called_as_a_component_of_the_documents_own() {
    let document = described(
        r#"
        syntax = "proto3";
        import "google/api/annotations.proto";
        service NameService {
          rpc PutError(Error) returns (Error) {
            option (google.api.http) = {post: "/v1/errors" body: "*"};
          }
          rpc PutProblem(Problem) returns (Problem) {
            option (google.api.http) = {post: "/v1/problems" body: "*"};
          }
        }
        message Error { string cause = 1; }
        message Problem { string answer = 1; }
        "#,
    );
    assert_eq!(members(&document, "/v1/errors"), [["cause"], ["cause"]]);
    assert_eq!(members(&document, "/v1/problems"), [["answer"], ["answer"]]);
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["Error"]["title"], "the surface's own");
    assert!(schemas["Problem"]["properties"]["instance"].is_object());
}
