//! Errors and the end of a stream, in Connect's JSON.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;
use tonic::{Code, Status, body::Body};

use super::{Methods, metadata};
use crate::{detail, fault::DetailTypes};

#[derive(Serialize)]
struct Error<'a> {
    code: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail>,
}

#[derive(Serialize)]
struct Detail {
    #[serde(rename = "type")]
    name: String,
    value: String,
    /// For readers; clients decode `value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    debug: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct EndStream<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Error<'a>>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: Metadata<'a>,
}

struct Metadata<'a>(Vec<(&'a str, Vec<&'a str>)>);

impl Metadata<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, values) in &self.0 {
            map.serialize_entry(name, values)?;
        }
        map.end()
    }
}

/// The body of a unary error.
pub(super) fn body(types: &DetailTypes, status: &Status) -> Vec<u8> {
    // Texts and valid JSON always serialise.
    serde_json::to_vec(&error(types, status)).unwrap_or_default()
}

/// The reply to what is no request of Connect: the HTTP status says why, and the body is an error with the code that clients
/// read such a status as.
#[cold]
pub(super) fn refusal(status: StatusCode, message: &str) -> Response<Body> {
    let told = Status::new(from_http(status).code(), message);
    let text = body(DetailTypes::standard(), &told);
    let mut reply = Response::new(Body::new(Full::from(text)));
    *reply.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    reply.headers_mut().insert(header::CONTENT_TYPE, json);
    reply
}

/// The last message of a stream: how it ended, and the trailing metadata.
pub(super) fn end_stream(methods: &Methods, status: &Status, trailers: &HeaderMap) -> Vec<u8> {
    let end = EndStream {
        error: (status.code() != Code::Ok).then(|| error(&methods.details, status)),
        metadata: Metadata(metadata::trailing(
            &methods.options.metadata.replies,
            trailers,
        )),
    };
    serde_json::to_vec(&end).unwrap_or_default()
}

fn error<'a>(types: &DetailTypes, status: &'a Status) -> Error<'a> {
    let details = detail::bounded(detail::read(status.details()));
    Error {
        code: name(status.code()),
        message: status.message(),
        details: details
            .iter()
            .map(|detail| Detail {
                name: detail.name().to_owned(),
                value: STANDARD_NO_PAD.encode(&detail.value),
                debug: types.message(detail),
            })
            .collect(),
    }
}

/// The code's name in the document's table.
fn name(code: Code) -> &'static str {
    match code {
        // Never an error; the name is gRPC's.
        Code::Ok => "ok",
        Code::Cancelled => "canceled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}

/// The status of a reply that carries none, by gRPC's table of HTTP statuses.
pub(super) fn from_http(status: StatusCode) -> Status {
    let code = match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    };
    Status::new(
        code,
        format!("the service answered HTTP {}", status.as_u16()),
    )
}
