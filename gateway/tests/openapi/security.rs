//! What callers need: by the access rule of a method, and by the document where it has none.

use pulpo_gateway::profile::JsonProfile;
use serde_json::json;

use crate::support::{document, operations, surface};

#[test]
fn methods_without_an_access_rule_need_what_the_document_says() {
    let document = document(&surface(JsonProfile::default(), None));
    assert_eq!(
        document["security"],
        json!([
            { "signIn": ["books.read"] },
            { "company": [], "session": [] },
            { "basic": [] },
        ])
    );
    let schemes = document["components"]["securitySchemes"]
        .as_object()
        .unwrap();
    for name in ["basic", "session", "company", "signIn", "tenantKey"] {
        assert!(schemes.contains_key(name), "{name}");
    }
    let mut counts = [0; 3];
    for (method, path, operation) in operations(&document) {
        let own = operation.get("security");
        let is_public = own == Some(&json!([]));
        let refuses = operation["responses"].get("401").is_some();
        assert_eq!(refuses, !is_public, "{method} {path}");
        let kind = match own {
            None => 0,
            Some(_) if is_public => 1,
            Some(_) => 2,
        };
        counts[kind] += 1;
    }
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}
