//! What can go wrong with a request, as a surface renders it: the gateway's own refusals and the statuses of services.

use std::{collections::HashMap, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// `google.rpc.ErrorInfo.domain` of the gateway's own refusals.
pub const DOMAIN: &str = "gateway.pulpo";

const HTTP_STATUS: &str = "http_status";

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
#[derive(Clone, Copy, Debug)]
pub struct ErrorContext<'a> {
    /// The HTTP method.
    pub method: &'a Method,
    /// The path as it came.
    pub path: &'a str,
    /// The request's headers.
    pub headers: &'a HeaderMap,
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

/// How a surface words its errors.
pub trait ErrorFormat: Send + Sync + 'static {
    /// The error as the surface's document has it.
    fn render(&self, fault: &Fault, context: ErrorContext<'_>) -> ErrorReply;
}

impl Fault {
    /// A refusal of the gateway itself.
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
    pub fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let own_status = info
            .filter(|info| info.domain == DOMAIN)
            .and_then(|info| info.metadata.get(HTTP_STATUS)?.parse().ok());
        Self {
            code: status.code(),
            status: own_status.unwrap_or_else(|| http_status(status.code())),
            reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
            message: status.message().to_owned(),
            violations: details
                .bad_request()
                .map(|bad| bad.field_violations.as_slice())
                .unwrap_or_default()
                .iter()
                .map(|v| Violation {
                    field: v.field.clone(),
                    description: v.description.clone(),
                })
                .collect(),
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
            allow: None,
        }
    }

    /// The fault as a status, to travel through a gRPC stack and come back as it was.
    pub fn to_status(&self) -> Status {
        let mut details = ErrorDetails::new();
        let metadata = HashMap::from([(HTTP_STATUS.to_owned(), self.status.as_u16().to_string())]);
        details.set_error_info(self.reason.as_str(), DOMAIN, metadata);
        for violation in &self.violations {
            details.add_bad_request_violation(
                violation.field.as_str(),
                violation.description.as_str(),
            );
        }
        Status::with_error_details(self.code, self.message.clone(), details)
    }

    /// The fault as the gRPC reply a layer can give.
    pub fn to_response(&self) -> Response<tonic::body::Body> {
        self.to_status().into_http()
    }
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
