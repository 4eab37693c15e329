//! Whole requests: what wins, and what a fault says.

use http::{HeaderMap, HeaderValue};
use pulpo_gateway::bind::{ParameterProblem, Place, RequestFault};

use crate::fixture::fixture;

#[test]
fn the_path_wins_over_headers_query_and_body() {
    let fixture = fixture();
    let bound = |template, body, target, headers: &[_], json| {
        fixture
            .request(template, body, target, headers, json)
            .unwrap_or_else(|fault| panic!("{fault}"))
    };
    let headers = [
        ("idempotency-key", "k1"),
        ("x-accepts", "a"),
        ("x-accepts", "b"),
        ("x-else", "c"),
    ];
    assert_eq!(
        bound(
            "/v1/{id}/{filter.owner_id}",
            "*",
            ("/v1/p%2Fq/me", ""),
            &headers,
            Some(r#"{"id":"b","idempotencyKey":"b","filter":{"ownerId":"b","a":"kept"},"tag":["t"]}"#)
        ),
        fixture.message(
            r#"{"id":"p/q","idempotencyKey":"k1","accepts":["a","b"],"filter":{"ownerId":"me","a":"kept"},"tag":["t"]}"#
        ),
    );
    assert_eq!(
        bound(
            "/v1/{filter.owner_id}",
            "filter",
            ("/v1/me", "tag=t&id=q"),
            &[],
            Some(r#"{"ownerId":"b","b":"kept"}"#)
        ),
        fixture.message(r#"{"id":"q","filter":{"ownerId":"me","b":"kept"},"tag":["t"]}"#),
    );
    assert_eq!(
        bound(
            "/v1/{status}/{page_size}/{since}",
            "",
            ("/v1/STATUS_CLOSED/7/2024-01-31T10:00:00Z", "filter.a=1"),
            &[],
            Some("{")
        ),
        fixture.message(
            r#"{"status":2,"pageSize":7,"since":"2024-01-31T10:00:00Z","filter":{"a":"1"}}"#
        ),
        "a route without a body reads none"
    );
    assert_eq!(
        bound("/v1/{id=x/**}", "", ("/v1/x/a%2Fb/c", ""), &[], None),
        fixture.message(r#"{"id":"x/a%2Fb/c"}"#)
    );
    assert_eq!(
        bound("/v1/x", "tag", ("/v1/x", ""), &[], Some(r#"["a","b"]"#)),
        fixture.message(r#"{"tag":["a","b"]}"#)
    );
}

#[test]
fn a_later_default_replaces_an_earlier_value() {
    let fixture = fixture();
    let cases = [
        ("/v1/{page_size}", "/v1/0", r#"{"pageSize":5}"#, "{}"),
        (
            "/v1/{exact}",
            "/v1/false",
            r#"{"exact":true}"#,
            r#"{"exact":false}"#,
        ),
        (
            "/v1/{limit}",
            "/v1/0",
            r#"{"limit":"5"}"#,
            r#"{"limit":"0"}"#,
        ),
        ("/v1/{status}", "/v1/0", r#"{"status":"STATUS_OPEN"}"#, "{}"),
        (
            "/v1/{by_name}",
            "/v1/n",
            r#"{"byFilter":{"a":"x"}}"#,
            r#"{"byName":"n"}"#,
        ),
        (
            "/v1/{wait}",
            "/v1/1s",
            r#"{"wait":"2.5s"}"#,
            r#"{"wait":"1s"}"#,
        ),
        (
            "/v1/{since}",
            "/v1/2024-01-31T10:00:00Z",
            r#"{"since":"2023-01-01T00:00:00.5Z"}"#,
            r#"{"since":"2024-01-31T10:00:00Z"}"#,
        ),
    ];
    for (template, path, body, expected) in cases {
        let bound = fixture.request(template, "*", (path, ""), &[], Some(body));
        assert_eq!(bound, Ok(fixture.message(expected)), "{template}");
    }
}

#[test]
fn faults_of_path_headers_and_body_say_where() {
    let fixture = fixture();
    let fails = |template, body, path, headers: &[_], json| {
        fixture
            .request(template, body, (path, ""), headers, json)
            .expect_err(path)
    };
    let fault = fails("/v1/{page_size}", "", "/v1/x", &[], None);
    assert!(matches!(
        &fault,
        RequestFault::Parameter {
            place: Place::Path,
            problem: ParameterProblem::Value(_),
            ..
        }
    ));
    assert_eq!(fault.name(), "page_size");
    assert!(
        fault
            .to_string()
            .starts_with("path parameter 'page_size': expected "),
        "{fault}"
    );

    let twice = fails(
        "/v1/x",
        "",
        "/v1/x",
        &[("idempotency-key", "a"), ("idempotency-key", "b")],
        None,
    );
    assert_eq!(
        twice.to_string(),
        "header 'idempotency-key': given more than once"
    );

    let body = fails(
        "/v1/x",
        "*",
        "/v1/x",
        &[],
        Some(r#"{"filter":{"ownerId":1}}"#),
    );
    assert_eq!(body.name(), "filter.ownerId");
    assert!(matches!(body, RequestFault::Body(_)));

    let binder = fixture.compile("/v1/x", "", true).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("idempotency-key", HeaderValue::from_bytes(b"\xff").unwrap());
    let not_text = binder
        .write_headers(&fixture.codec, &headers, &mut Vec::new())
        .unwrap_err();
    assert_eq!(
        not_text.to_string(),
        "header 'idempotency-key': not valid UTF-8"
    );
}
