//! The error body of each surface, as its document has it.

use pulpo::contract::SurfaceName;
use serde_json::Value;

use super::wire::Answer;

/// Words that would tell a client how the program is built.
const INTERNALS: [&str; 7] = [
    "diesel",
    "tokio",
    "panicked",
    "src/",
    "SELECT ",
    "INSERT ",
    "relation \"",
];

/// The answer is an error of this surface in the documented shape, and says nothing internal.
pub(super) fn assert_error(surface: SurfaceName, answer: &Answer, what: &str) {
    let text = answer.text();
    assert!(
        (400..500).contains(&answer.status),
        "{what}: {} {text}",
        answer.status
    );
    assert_error_shape(surface, answer, what);
}

/// The same for every status.
pub(super) fn assert_error_shape(surface: SurfaceName, answer: &Answer, what: &str) {
    let text = answer.text();
    assert_eq!(
        answer.header("content-type"),
        "application/json",
        "{what}: {text}"
    );
    assert!(
        !answer.header("x-request-id").is_empty(),
        "{what}: no X-Request-Id"
    );
    for internal in INTERNALS {
        assert!(!text.contains(internal), "{what}: {internal:?} in {text}");
    }
    let body = answer.json();
    let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    match surface {
        SurfaceName::Hub => {
            assert_eq!(
                keys(&body),
                ["details", "error", "requestId"],
                "{what}: {text}"
            );
            assert!(
                is_text(&body["error"]) && body["details"].is_object(),
                "{what}: {text}"
            );
            assert_eq!(
                body["requestId"],
                answer.header("x-request-id"),
                "{what}: {text}"
            );
        }
        SurfaceName::Deploy => {
            assert_eq!(keys(&body), ["error"], "{what}: {text}");
            assert!(is_text(&body["error"]), "{what}: {text}");
        }
        SurfaceName::Workspace => {
            assert_eq!(keys(&body), ["code", "data", "message"], "{what}: {text}");
            assert!(
                is_text(&body["code"]) && is_text(&body["message"]),
                "{what}: {text}"
            );
            assert!(
                body["data"].is_null() || body["data"].is_array(),
                "{what}: {text}"
            );
        }
        SurfaceName::Pay => {
            assert_eq!(keys(&body), ["code", "detail", "error"], "{what}: {text}");
            assert!(
                is_text(&body["error"]) && is_text(&body["code"]),
                "{what}: {text}"
            );
            assert!(
                body["detail"].is_null() || is_text(&body["detail"]),
                "{what}: {text}"
            );
        }
        SurfaceName::Integrations => {
            assert_eq!(keys(&body), ["error"], "{what}: {text}");
            assert_eq!(
                keys(&body["error"]),
                ["code", "details", "message"],
                "{what}: {text}"
            );
            assert!(
                is_text(&body["error"]["code"]) && is_text(&body["error"]["message"]),
                "{what}: {text}"
            );
            assert!(body["error"]["details"].is_array(), "{what}: {text}");
        }
    }
}

/// The status of a request that does not validate.
pub(super) fn invalid(surface: SurfaceName) -> u16 {
    if surface == SurfaceName::Workspace {
        422
    } else {
        400
    }
}

/// The members of an object, sorted.
pub(super) fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value
        .as_object()
        .map(|object| object.keys().map(String::as_str).collect())
        .unwrap_or_default();
    keys.sort_unstable();
    keys
}
