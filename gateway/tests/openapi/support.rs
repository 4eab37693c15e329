//! The surface, its documents by profile, and what validates against them.

use std::sync::{Arc, LazyLock};

use http::{HeaderValue, StatusCode, header};
use jsonschema::Validator;
use prost_reflect::{DescriptorPool, ServiceDescriptor};
use pulpo_gateway::{
    fault::{ErrorContext, ErrorFormat, ErrorReply, Fault},
    openapi::{self, Credential, Description, Security},
    profile::{Absent, Enums, Integers, JsonProfile, Names, TimestampDigits, Unknown},
    surface::{Envelope, Surface, SurfaceOptions},
};
use serde_json::{Value, json};
use tonic::Code;

pub(crate) const ENVELOPE: Envelope = Envelope {
    prefix: r#"{"code":0,"message":"success","data":"#,
    absent: "null",
    suffix: "}",
};

pub(crate) static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let folder = env!("CARGO_MANIFEST_DIR");
    let includes = [
        format!("{folder}/tests/protos"),
        format!("{folder}/../proto"),
    ];
    let mut compiler = protox::Compiler::new(includes).unwrap();
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_file("features.proto")
        .unwrap();
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
});

/// Validation is 422 here, and a missing credential tells how to give one.
pub(crate) struct Errors;

impl ErrorFormat for Errors {
    fn render(&self, fault: &Fault, _: ErrorContext<'_>) -> ErrorReply {
        let is_validation = fault.code == Code::InvalidArgument && fault.status == 400;
        let mut headers = Vec::new();
        if fault.status == StatusCode::UNAUTHORIZED {
            headers.push((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        }
        ErrorReply {
            status: match is_validation {
                true => StatusCode::UNPROCESSABLE_ENTITY,
                false => fault.status,
            },
            content_type: HeaderValue::from_static("application/json"),
            headers,
            body: json!({ "error": fault.message }).to_string().into_bytes(),
        }
    }
}

pub(crate) fn services() -> Vec<ServiceDescriptor> {
    let of_package = |s: &ServiceDescriptor| s.package_name() == "features.v1";
    POOL.services().filter(of_package).collect()
}

pub(crate) fn surface(profile: JsonProfile, envelope: Option<Envelope>) -> Surface {
    let options = SurfaceOptions {
        envelope,
        ..options(profile)
    };
    Surface::compile(&POOL, &services(), options).unwrap()
}

pub(crate) fn options(profile: JsonProfile) -> SurfaceOptions {
    SurfaceOptions {
        profile,
        has_problem_json: true,
        has_entity_tags: true,
        ..SurfaceOptions::new("features", Arc::new(Errors))
    }
}

pub(crate) fn document(surface: &Surface) -> Value {
    let bearer = json!({ "type": "http", "scheme": "bearer" });
    let description = Description {
        title: "Books".to_owned(),
        version: "1.2.3".to_owned(),
        text: "Books and their shelves.".to_owned(),
        error_schema: json!({
            "type": "object",
            "properties": { "error": { "type": "string" } },
            "required": ["error"],
        }),
        credentials: vec![
            Credential {
                option: "SCHEME_TENANT_KEY",
                name: "tenantKey",
                scheme: bearer.clone(),
            },
            Credential {
                option: "SCHEME_TENANT_KEY",
                name: "tenantKeyHeader",
                scheme: json!({ "type": "apiKey", "in": "header", "name": "x-api-key" }),
            },
            Credential {
                option: "SCHEME_ACCESS_KEY",
                name: "accessKey",
                scheme: bearer.clone(),
            },
            Credential {
                option: "SCHEME_MCP_KEY",
                name: "unused",
                scheme: bearer,
            },
        ],
        security: security(),
    };
    openapi::document(surface, &POOL, &services(), &description)
}

/// What methods without an access rule ask for: a scheme of every kind.
fn security() -> Security {
    let scopes = json!({ "books.read": "See the books." });
    let flow = json!({
        "authorizationUrl": "https://id.example/authorize",
        "tokenUrl": "https://id.example/token",
        "scopes": scopes,
    });
    let schemes = json!({
        "basic": { "type": "http", "scheme": "basic" },
        "session": { "type": "apiKey", "in": "cookie", "name": "session" },
        "company": {
            "type": "openIdConnect",
            "openIdConnectUrl": "https://id.example/.well-known/openid-configuration",
        },
        "signIn": { "type": "oauth2", "flows": { "authorizationCode": flow } },
    });
    Security {
        schemes: schemes.as_object().unwrap().clone(),
        requirements: vec![
            json!({ "signIn": ["books.read"] }),
            json!({ "company": [], "session": [] }),
            json!({ "basic": [] }),
        ],
    }
}

/// Profiles that differ in everything a profile can say.
pub(crate) fn profiles() -> Vec<JsonProfile> {
    let proto_json = JsonProfile::default();
    let lenient = JsonProfile {
        names: Names::Proto,
        print_defaults: true,
        integers: Integers::Numbers,
        enums: Enums::LowerWithoutPrefix,
        timestamps: TimestampDigits::Millis,
        unknown_fields: Unknown::Ignore,
        ..proto_json.clone()
    };
    let nulls = JsonProfile {
        absent: Absent::Null,
        print_defaults: true,
        enums: Enums::Lower,
        ..proto_json.clone()
    };
    let numbers = JsonProfile {
        enums: Enums::Numbers,
        integers: Integers::SafeNumbers,
        timestamps: TimestampDigits::Seconds,
        absent: Absent::Null,
        ..lenient.clone()
    };
    let short = JsonProfile {
        enums: Enums::WithoutPrefix,
        timestamps: TimestampDigits::Nanos,
        ..lenient.clone()
    };
    vec![proto_json, lenient, nulls, numbers, short]
}

/// What validates one schema of a document.
pub(crate) fn validator(document: &Value, schema: &Value) -> Validator {
    let mut root = json!({ "allOf": [schema], "components": document["components"] });
    root["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    jsonschema::options()
        .should_validate_formats(true)
        .build(&root)
        .unwrap()
}

#[track_caller]
pub(crate) fn assert_valid(document: &Value, schema: &Value, value: &Value, what: &str) {
    let validator = validator(document, schema);
    let faults: Vec<String> = validator
        .iter_errors(value)
        .map(|fault| format!("{} at {}", fault, fault.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{what}: {faults:#?}\n{value:#}");
}

/// Every operation of a document with its method and path, those without a member of their own too.
pub(crate) fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (key, operation) in item.as_object().unwrap() {
            if key != "x-other-operations" {
                found.push((key.to_uppercase(), path.clone(), operation));
                continue;
            }
            for other in operation.as_array().unwrap() {
                let method = other["method"].as_str().unwrap().to_owned();
                found.push((method, path.clone(), &other["operation"]));
            }
        }
    }
    found
}
