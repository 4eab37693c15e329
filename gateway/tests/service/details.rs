//! The details of a service's error, as a client of the surface reads them.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use prost::Message;
use prost_reflect::prost_types::{self, Any};
use pulpo_gateway::{
    fault::{ErrorContext, ErrorFormat, ErrorReply, Fault},
    service::Gateway,
    surface::{Surface, SurfaceOptions},
};
use serde_json::{Value, json};
use tonic::{Code, Status, body::Body};
use tonic_types::pb;
use tower::ServiceExt;

use super::{pool, request};

/// All of `google.rpc.Status`.
struct Whole;

impl ErrorFormat for Whole {
    fn render(&self, fault: &Fault, context: ErrorContext<'_>) -> ErrorReply {
        let body = json!({"code": fault.code as i32, "details": context.details(fault)});
        ErrorReply {
            status: fault.status,
            content_type: HeaderValue::from_static("application/json"),
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        }
    }
}

fn surface(has_debug_details: bool) -> Arc<Surface> {
    let pool = pool();
    let service = pool.get_service_by_name("gateway.test.v1.ItemService");
    let options = SurfaceOptions {
        has_problem_json: true,
        has_debug_details,
        ..SurfaceOptions::new("test", Arc::new(Whole))
    };
    Arc::new(Surface::compile(&pool, &[service.unwrap()], options).unwrap())
}

fn any(name: &str, value: impl Into<Vec<u8>>) -> Any {
    Any {
        type_url: format!("type.googleapis.com/{name}"),
        value: value.into(),
    }
}

fn failed(details: Vec<Any>) -> Response<Body> {
    let (code, message) = (Code::FailedPrecondition, "not now");
    let status = pb::Status {
        code: code.into(),
        message: message.to_owned(),
        details,
    };
    Status::with_details(code, message, status.encode_to_vec().into()).into_http()
}

/// The error body that a client gets which takes this media type.
async fn body(surface: &Arc<Surface>, accept: &'static str, details: Vec<Any>) -> Value {
    let service = tower::service_fn(move |_: Request<Body>| {
        let details = details.clone();
        async move { Ok::<_, Infallible>(failed(details)) }
    });
    let mut asked = request("GET", "/v1/items/a", "");
    let accept = HeaderValue::from_static(accept);
    asked.headers_mut().insert(header::ACCEPT, accept);
    let gateway = Gateway::new(surface.clone(), service);
    let reply = gateway.oneshot(asked).await.unwrap();
    assert_eq!(reply.status(), 400);
    serde_json::from_slice(&reply.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

fn of_every_kind() -> Vec<Any> {
    let violation = pb::precondition_failure::Violation {
        r#type: "TOS".to_owned(),
        subject: "shop".to_owned(),
        description: "terms of service".to_owned(),
    };
    let info = pb::ErrorInfo {
        reason: "CLOSED".to_owned(),
        domain: "shop.v1".to_owned(),
        metadata: [("day".to_owned(), "Sunday".to_owned())].into(),
    };
    let retry = pb::RetryInfo {
        retry_delay: Some(prost_types::Duration {
            seconds: 1,
            nanos: 500_000_000,
        }),
    };
    let failure = pb::PreconditionFailure {
        violations: vec![violation],
    };
    let debug = pb::DebugInfo {
        stack_entries: vec!["shop.rs:1".to_owned()],
        detail: "for operators".to_owned(),
    };
    let quota = pb::QuotaFailure {
        violations: vec![pb::quota_failure::Violation {
            subject: "tenant:1".to_owned(),
            ..Default::default()
        }],
    };
    let resource = pb::ResourceInfo {
        resource_type: "item".to_owned(),
        ..Default::default()
    };
    let help = pb::Help {
        links: vec![pb::help::Link {
            description: "hours".to_owned(),
            url: "https://shop.example".to_owned(),
        }],
    };
    let localized = pb::LocalizedMessage {
        locale: "de-CH".to_owned(),
        message: "geschlossen".to_owned(),
    };
    let id = pb::RequestInfo {
        request_id: "r1".to_owned(),
        ..Default::default()
    };
    vec![
        any("google.rpc.ErrorInfo", info.encode_to_vec()),
        any("google.rpc.RetryInfo", retry.encode_to_vec()),
        any("google.rpc.DebugInfo", debug.encode_to_vec()),
        any("google.rpc.QuotaFailure", quota.encode_to_vec()),
        any("google.rpc.PreconditionFailure", failure.encode_to_vec()),
        any("google.rpc.RequestInfo", id.encode_to_vec()),
        any("google.rpc.ResourceInfo", resource.encode_to_vec()),
        any("google.rpc.Help", help.encode_to_vec()),
        any("google.rpc.LocalizedMessage", localized.encode_to_vec()),
        // Of the surface's own descriptors, a form of its own, unknown, and known but damaged.
        any("gateway.test.v1.Item", b"\x12\x04lamp\x18\x07".as_slice()),
        any("google.protobuf.Duration", b"\x08\x03".as_slice()),
        any("elsewhere.Thing", b"\x08\x01".as_slice()),
        any("google.rpc.Help", b"\x0a\x7f".as_slice()),
    ]
}

fn printed(type_name: &str, rest: Value) -> Value {
    let mut printed = json!({"@type": format!("type.googleapis.com/{type_name}")});
    for (name, value) in rest.as_object().unwrap() {
        printed[name] = value.clone();
    }
    printed
}

fn expected() -> Vec<Value> {
    let failure = json!({"type": "TOS", "subject": "shop", "description": "terms of service"});
    let link = json!({"description": "hours", "url": "https://shop.example"});
    let info = json!({"reason": "CLOSED", "domain": "shop.v1", "metadata": {"day": "Sunday"}});
    let quota = json!({"violations": [{"subject": "tenant:1"}]});
    let localized = json!({"locale": "de-CH", "message": "geschlossen"});
    vec![
        printed("google.rpc.ErrorInfo", info),
        printed("google.rpc.RetryInfo", json!({"retryDelay": "1.500s"})),
        printed("google.rpc.QuotaFailure", quota),
        printed(
            "google.rpc.PreconditionFailure",
            json!({"violations": [failure]}),
        ),
        printed("google.rpc.RequestInfo", json!({"requestId": "r1"})),
        printed("google.rpc.ResourceInfo", json!({"resourceType": "item"})),
        printed("google.rpc.Help", json!({"links": [link]})),
        printed("google.rpc.LocalizedMessage", localized),
        printed("gateway.test.v1.Item", json!({"name": "lamp", "size": "7"})),
        printed("google.protobuf.Duration", json!({"value": "3s"})),
        printed("elsewhere.Thing", json!({"value": "CAE="})),
        printed("google.rpc.Help", json!({"value": "Cn8="})),
    ]
}

#[tokio::test]
async fn known_details_are_printed_and_others_are_opaque() {
    let told = body(&surface(false), "application/json", of_every_kind()).await;
    assert_eq!(told["code"], 9);
    assert_eq!(told["details"], Value::from(expected()));
}

#[tokio::test]
async fn problem_details_have_them_too() {
    let accept = "application/json, application/problem+json";
    let told = body(&surface(false), accept, of_every_kind()).await;
    assert_eq!(
        (&told["title"], &told["reason"]),
        (&"Bad Request".into(), &"CLOSED".into())
    );
    assert_eq!(told["details"], Value::from(expected()));
    let told = body(&surface(false), accept, Vec::new()).await;
    assert_eq!(told.get("details"), None);
}

#[tokio::test]
async fn what_is_for_operators_is_shown_where_the_surface_says_so() {
    let told = body(&surface(true), "application/json", of_every_kind()).await;
    let debug = json!({"stackEntries": ["shop.rs:1"], "detail": "for operators"});
    assert_eq!(told["details"][2], printed("google.rpc.DebugInfo", debug));
    assert_eq!(told["details"].as_array().unwrap().len(), 13);
}

#[tokio::test]
async fn details_are_bounded_in_number_and_size() {
    let many = vec![any("elsewhere.Thing", b"\x08\x01".as_slice()); 40];
    let told = body(&surface(false), "application/json", many).await;
    assert_eq!(told["details"].as_array().unwrap().len(), 32);
    let long = vec![
        any("elsewhere.Thing", vec![b'x'; 65 * 1024]),
        any("elsewhere.Thing", b"\x08\x01".as_slice()),
    ];
    let told = body(&surface(false), "application/json", long).await;
    let short = printed("elsewhere.Thing", json!({"value": "CAE="}));
    assert_eq!(told["details"], json!([short]));
}

#[test]
fn faults_survive_the_way_through_a_grpc_stack() {
    let fault = Fault::gateway(
        Code::OutOfRange,
        StatusCode::PAYLOAD_TOO_LARGE,
        "BODY_TOO_LARGE",
        "long",
    )
    .with_violation("body", "too long");
    let fault = Fault {
        retry_after: Some(Duration::from_millis(1500)),
        ..fault
    };
    let back = Fault::from_status(&Status::from_header_map(fault.to_response().headers()).unwrap());
    assert_eq!(back.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(back.to_details(), fault.to_details());
    assert_eq!(
        (back.reason, back.message, back.violations, back.retry_after),
        (
            fault.reason,
            fault.message,
            fault.violations,
            fault.retry_after
        )
    );
}
