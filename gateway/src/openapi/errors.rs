//! Error replies: the surface's own formatter words each of them, so the document cannot say another body or status.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Map, Value, json};
use tonic::Code;

use super::schema::pointer;
use crate::{
    fault::{ErrorContext, ErrorReply, Fault},
    problem,
    surface::Surface,
};

/// The component of the error body.
pub(super) const SCHEMA: &str = "Error";

/// The component of problem details (RFC 9457).
pub(super) const PROBLEM: &str = "Problem";

/// What a route is, for the errors it can give.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traits {
    /// Anything a client can get wrong.
    pub(super) has_input: bool,
    pub(super) has_body: bool,
    pub(super) has_json_body: bool,
    pub(super) has_path_parameters: bool,
    pub(super) is_change: bool,
    pub(super) needs_credential: bool,
    pub(super) replies_json: bool,
}

/// The error replies of a surface.
pub(super) struct Errors {
    /// By the reason of their fault: statuses and the names of the components.
    names: BTreeMap<&'static str, Vec<(u16, String)>>,
    pub(super) components: BTreeMap<String, Value>,
}

/// Faults as the gateway and services behind it give them: reason, code, status, message.
const FAULTS: [(&str, Code, u16, &str); 14] = [
    (
        "INVALID_ARGUMENT",
        Code::InvalidArgument,
        400,
        "The request is not valid",
    ),
    (
        "FAILED_PRECONDITION",
        Code::FailedPrecondition,
        400,
        "The request is not possible as things are",
    ),
    (
        "MISSING_CREDENTIAL",
        Code::Unauthenticated,
        401,
        "A credential is required",
    ),
    (
        "PERMISSION_DENIED",
        Code::PermissionDenied,
        403,
        "This credential may not do this",
    ),
    (
        "NOT_FOUND",
        Code::NotFound,
        404,
        "There is nothing with this name",
    ),
    (
        "NOT_ACCEPTABLE",
        Code::InvalidArgument,
        406,
        "The reply has no form that the Accept header takes",
    ),
    (
        "BODY_TIMEOUT",
        Code::DeadlineExceeded,
        408,
        "The request body took too long to arrive",
    ),
    (
        "CONFLICT",
        Code::Aborted,
        409,
        "The request contradicts the present state",
    ),
    (
        "BODY_TOO_LARGE",
        Code::OutOfRange,
        413,
        "The request body is too long",
    ),
    (
        "UNSUPPORTED_MEDIA_TYPE",
        Code::InvalidArgument,
        415,
        "The request body has a type that is not read here",
    ),
    (
        "RATE_LIMITED",
        Code::ResourceExhausted,
        429,
        "Too many requests; try again later",
    ),
    ("INTERNAL", Code::Internal, 500, "Something went wrong"),
    (
        "UNAVAILABLE",
        Code::Unavailable,
        503,
        "The service cannot answer now; try again later",
    ),
    (
        "DEADLINE_EXCEEDED",
        Code::DeadlineExceeded,
        504,
        "The answer took too long",
    ),
];

impl Errors {
    pub(super) fn new(surface: &Surface) -> Self {
        let mut errors = Self {
            names: BTreeMap::new(),
            components: BTreeMap::new(),
        };
        for (reason, code, status, message) in FAULTS {
            let Ok(status) = StatusCode::from_u16(status) else {
                continue;
            };
            let mut fault = Fault::gateway(code, status, reason, message);
            if reason == "INVALID_ARGUMENT" {
                fault = fault.with_violation("name", "this field is required");
            }
            errors.add(surface, reason, &fault);
        }
        let message = "This method is not answered here";
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let fault = Fault::gateway(Code::Unimplemented, status, "METHOD_NOT_ALLOWED", message);
        let mut other = json!({});
        for (_, media_type, response) in responses(surface, &fault) {
            other["content"][&media_type] = response["content"][&media_type].clone();
        }
        other["description"] = "Any other error.".into();
        errors.components.insert(SCHEMA.to_owned(), other);
        errors
    }

    /// Adds the fault's reply, and problem details where the surface gives them, which may have another status.
    fn add(&mut self, surface: &Surface, reason: &'static str, fault: &Fault) {
        for (status, media_type, response) in responses(surface, fault) {
            let phrase = status.canonical_reason().unwrap_or(SCHEMA);
            let name: String = phrase.split_whitespace().collect();
            let names = self.names.entry(reason).or_default();
            let place = (status.as_u16(), name.clone());
            if !names.contains(&place) {
                names.push(place);
            }
            match self.components.get_mut(&name) {
                Some(known) if known["content"].get(&media_type).is_some() => {}
                Some(known) => {
                    known["content"][&media_type] = response["content"][&media_type].clone();
                }
                None => drop(self.components.insert(name, response)),
            }
        }
    }

    /// Any error that is not named.
    pub(super) fn other(&self) -> Value {
        json!({ "$ref": format!("#/components/responses/{SCHEMA}") })
    }

    /// The error replies of a route, by status.
    pub(super) fn of(&self, route: Traits) -> BTreeMap<u16, Value> {
        let reasons = [
            ("INVALID_ARGUMENT", route.has_input),
            ("FAILED_PRECONDITION", route.has_input),
            ("MISSING_CREDENTIAL", route.needs_credential),
            ("PERMISSION_DENIED", route.needs_credential),
            ("NOT_FOUND", route.has_path_parameters),
            ("NOT_ACCEPTABLE", route.replies_json),
            ("BODY_TIMEOUT", route.has_body),
            ("CONFLICT", route.is_change),
            ("BODY_TOO_LARGE", route.has_body),
            ("UNSUPPORTED_MEDIA_TYPE", route.has_json_body),
            ("RATE_LIMITED", true),
            ("INTERNAL", true),
            ("UNAVAILABLE", true),
            ("DEADLINE_EXCEEDED", true),
        ];
        let given = reasons.iter().filter(|(_, is_given)| *is_given);
        given
            .filter_map(|(reason, _)| self.names.get(reason))
            .flatten()
            .map(|(status, name)| {
                let reference = format!("#/components/responses/{name}");
                (*status, json!({ "$ref": reference }))
            })
            .collect()
    }
}

/// A fault as the surface renders it: status, media type and Response Object, of each form it has.
fn responses(surface: &Surface, fault: &Fault) -> Vec<(StatusCode, String, Value)> {
    let mut headers = HeaderMap::new();
    headers.insert(
        "x-request-id",
        HeaderValue::from_static("0b6b3f5c-6d38-4f0c-9d0c-8f1f6f2f2a11"),
    );
    let context = ErrorContext::new(&Method::GET, "/", &headers);
    let own = (surface.options.errors.render(fault, context), SCHEMA);
    let has_problem = surface.options.has_problem_json;
    let problem = has_problem.then(|| (problem::render(fault, context), PROBLEM));
    let forms = std::iter::once(own).chain(problem);
    forms
        .map(|(reply, schema)| response(fault, &reply, schema))
        .collect()
}

fn response(fault: &Fault, reply: &ErrorReply, schema: &str) -> (StatusCode, String, Value) {
    let mut media = json!({ "schema": { "$ref": pointer(schema) } });
    if let Ok(example) = serde_json::from_slice::<Value>(&reply.body) {
        media["example"] = example;
    }
    let mut headers = Map::new();
    for (name, value) in &reply.headers {
        let example = value.to_str().unwrap_or_default();
        let header = json!({ "schema": { "type": "string", "examples": [example] } });
        headers.insert(name.as_str().to_owned(), header);
    }
    let waits = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    if waits.contains(&reply.status) {
        let text = "Seconds after which trying again makes sense, where that is known.";
        let schema = json!({ "type": "integer", "minimum": 1 });
        let header = json!({ "description": text, "schema": schema });
        headers.insert("retry-after".to_owned(), header);
    }
    let media_type = reply.content_type.to_str().unwrap_or("application/json");
    let mut response = json!({ "description": fault.message });
    if !headers.is_empty() {
        response["headers"] = headers.into();
    }
    response["content"] = json!({ media_type: media });
    (reply.status, media_type.to_owned(), response)
}
