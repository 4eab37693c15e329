//! What can go wrong with a request, as a surface renders it: the gateway's own refusals and the statuses of services.

use std::{collections::HashMap, time::Duration};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header,
};
use http_body_util::Full;
use prost::Message as _;
use prost_reflect::prost_types;
use serde_json::value::RawValue;
use tonic::{Code, Status, body::Body};
use tonic_types::pb;

use crate::detail;
pub use crate::detail::{Detail, DetailTypes};

/// `google.rpc.ErrorInfo.domain` of the gateway's own refusals.
pub const DOMAIN: &str = "gateway.pulpo";

const HTTP_STATUS: &str = "http_status";

const ERROR_INFO: &str = "google.rpc.ErrorInfo";
const BAD_REQUEST: &str = "google.rpc.BadRequest";
const RETRY_INFO: &str = "google.rpc.RetryInfo";

/// A failed request.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The gRPC code.
    pub code: Code,
    /// The HTTP status: by the code, or the gateway's own (405, 413, 415, …).
    pub status: StatusCode,
    /// `google.rpc.ErrorInfo.reason`; empty when the service gave none.
    pub reason: String,
    /// A sentence for the client.
    pub message: String,
    /// The fields that are wrong.
    pub violations: Vec<Violation>,
    /// When trying again makes sense.
    pub retry_after: Option<Duration>,
    /// The methods the path answers, for 405.
    pub allow: Option<HeaderValue>,
    /// The details of the status as they came, of which the fields above were read. Empty for a refusal of the gateway
    /// itself, which has no more to tell than its fields do.
    pub details: Vec<Detail>,
}

/// The gRPC paths of the methods that have routes at the path of a request that was refused for its HTTP method or
/// its `Accept` header; none for a path without routes. It goes with the [`Fault`] through the checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MethodsAtPath(pub Vec<Uri>);

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its path, as the surface prints names.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

/// What a surface may say about the request in an error body.
#[derive(Clone, Copy)]
pub struct ErrorContext<'a> {
    /// The HTTP method.
    pub method: &'a Method,
    /// The path as it came.
    pub path: &'a str,
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// Which details can be printed with their types.
    pub types: &'a DetailTypes,
}

impl<'a> ErrorContext<'a> {
    /// The context of a request, with the types every surface knows.
    pub fn new(method: &'a Method, path: &'a str, headers: &'a HeaderMap) -> Self {
        Self {
            method,
            path,
            headers,
            types: DetailTypes::standard(),
        }
    }

    /// The context of this request, with the types every surface knows.
    pub fn of<B>(request: &'a Request<B>) -> Self {
        Self::new(request.method(), request.uri().path(), request.headers())
    }

    /// `details` of the fault's `google.rpc.Status`, as JSON.
    pub fn details(&self, fault: &Fault) -> Vec<Box<RawValue>> {
        self.types.print(&fault.to_details())
    }
}

/// An error as it goes to the client.
#[derive(Clone, Debug)]
pub struct ErrorReply {
    /// The HTTP status.
    pub status: StatusCode,
    /// The media type of `body`.
    pub content_type: HeaderValue,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Vec<u8>,
}

impl ErrorReply {
    /// The reply, with what the fault says in headers.
    #[cold]
    pub fn into_response(self, fault: &Fault) -> Response<Body> {
        let mut reply = Response::new(Body::new(Full::from(self.body)));
        *reply.status_mut() = self.status;
        let headers = reply.headers_mut();
        headers.insert(header::CONTENT_TYPE, self.content_type);
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        if let Some(allow) = &fault.allow {
            headers.insert(header::ALLOW, allow.clone());
        }
        if let Some(wait) = fault.retry_after {
            // Rounded up: a client that comes back then must not be refused again.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        reply
    }
}

/// How a surface words its errors.
pub trait ErrorFormat: Send + Sync + 'static {
    /// The error as the surface's document has it.
    fn render(&self, fault: &Fault, context: ErrorContext<'_>) -> ErrorReply;
}

impl Fault {
    /// A refusal of the gateway itself.
    #[cold]
    pub fn gateway(
        code: Code,
        status: StatusCode,
        reason: &str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code,
            status,
            reason: reason.to_owned(),
            message: message.into(),
            violations: Vec::new(),
            retry_after: None,
            allow: None,
            details: Vec::new(),
        }
    }

    /// The fault with one violation.
    pub fn with_violation(mut self, field: &str, description: impl Into<String>) -> Self {
        self.violations.push(Violation {
            field: field.to_owned(),
            description: description.into(),
        });
        self
    }

    /// What a status and its details say.
    #[cold]
    pub fn from_status(status: &Status) -> Self {
        let details = detail::read(status.details());
        let info: Option<pb::ErrorInfo> = detail::find(&details, ERROR_INFO);
        let bad_request: Option<pb::BadRequest> = detail::find(&details, BAD_REQUEST);
        let retry_info: Option<pb::RetryInfo> = detail::find(&details, RETRY_INFO);
        let own_status = info
            .as_ref()
            .filter(|info| info.domain == DOMAIN)
            .and_then(|info| info.metadata.get(HTTP_STATUS)?.parse().ok());
        let violations = bad_request.map(|bad| bad.field_violations);
        let violations = violations.into_iter().flatten().map(|v| Violation {
            field: v.field,
            description: v.description,
        });
        Self {
            code: status.code(),
            status: own_status.unwrap_or_else(|| http_status(status.code())),
            reason: info.map(|info| info.reason).unwrap_or_default(),
            message: status.message().to_owned(),
            violations: violations.collect(),
            retry_after: retry_info.and_then(|retry| retry.retry_delay?.try_into().ok()),
            allow: None,
            details: detail::bounded(details)
                .into_iter()
                .map(|detail| with_http_status(detail, None))
                .collect(),
        }
    }

    /// The fault as a status, to travel through a gRPC stack and come back as it was.
    pub fn to_status(&self) -> Status {
        let details = self.to_details().into_iter();
        let status = pb::Status {
            code: self.code.into(),
            message: self.message.clone(),
            details: details
                .map(|detail| with_http_status(detail, Some(self.status)).into_any())
                .collect(),
        };
        Status::with_details(
            self.code,
            self.message.clone(),
            status.encode_to_vec().into(),
        )
    }

    /// Everything it tells as details of a status.
    pub fn to_details(&self) -> Vec<Detail> {
        if !self.details.is_empty() {
            return self.details.clone();
        }
        let info = pb::ErrorInfo {
            reason: self.reason.clone(),
            domain: DOMAIN.to_owned(),
            metadata: HashMap::new(),
        };
        let violations = self
            .violations
            .iter()
            .map(|v| pb::bad_request::FieldViolation {
                field: v.field.clone(),
                description: v.description.clone(),
                ..Default::default()
            });
        let bad_request = (!self.violations.is_empty()).then(|| pb::BadRequest {
            field_violations: violations.collect(),
        });
        let retry_info = self.retry_after.map(|wait| pb::RetryInfo {
            retry_delay: prost_types::Duration::try_from(wait).ok(),
        });
        let info = (!self.reason.is_empty()).then_some(info);
        let details = [
            info.map(|info| Detail::new(ERROR_INFO, &info)),
            bad_request.map(|bad| Detail::new(BAD_REQUEST, &bad)),
            retry_info.map(|retry| Detail::new(RETRY_INFO, &retry)),
        ];
        details.into_iter().flatten().collect()
    }

    /// The fault as the gRPC reply a layer can give.
    pub fn to_response(&self) -> Response<Body> {
        self.to_status().into_http()
    }
}

/// The gateway's own `ErrorInfo` with this HTTP status in its metadata, or without any, which is nothing for clients. Other
/// details stay as they are.
fn with_http_status(detail: Detail, status: Option<StatusCode>) -> Detail {
    if detail.name() != ERROR_INFO {
        return detail;
    }
    let Ok(mut info) = pb::ErrorInfo::decode(&*detail.value) else {
        return detail;
    };
    if info.domain != DOMAIN {
        return detail;
    }
    info.metadata.remove(HTTP_STATUS);
    if let Some(status) = status {
        let text = status.as_u16().to_string();
        info.metadata.insert(HTTP_STATUS.to_owned(), text);
    }
    Detail::new(ERROR_INFO, &info)
}

/// The HTTP status of a gRPC code, by google.rpc.Code.
pub fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
            StatusCode::BAD_REQUEST
        }
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        // 499, the client closed the request, is not in the registry but in google.rpc.Code.
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
