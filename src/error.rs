//! The one error type: what went wrong, a sentence that says what to do, and context for the log.
//!
//! Domains return [`Error`]; `From<Error> for tonic::Status` is the one place where it becomes an answer. Each
//! surface then renders the status in its own documented shape. Nothing of `source` ever reaches a client.

use std::{borrow::Cow, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The domain of `google.rpc.ErrorInfo` in every status.
pub const DOMAIN: &str = "pulpo";

/// What kind of failure it is; decides the status of every door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request is malformed; the violations name the fields.
    Invalid,
    /// The request is well-formed and against a rule of the product.
    Precondition,
    /// No valid credential.
    Unauthenticated,
    /// A valid credential that may not do this.
    Forbidden,
    /// It does not exist, or belongs to somebody else.
    NotFound,
    /// It exists already, or somebody was faster.
    Conflict,
    /// Too many requests.
    RateLimited,
    /// A dependency is down; trying again later helps.
    Unavailable,
    /// It took too long.
    Timeout,
    /// A fault of ours.
    Internal,
}

impl Kind {
    /// The gRPC code of the kind.
    pub fn code(self) -> Code {
        match self {
            Kind::Invalid => Code::InvalidArgument,
            Kind::Precondition => Code::FailedPrecondition,
            Kind::Unauthenticated => Code::Unauthenticated,
            Kind::Forbidden => Code::PermissionDenied,
            Kind::NotFound => Code::NotFound,
            Kind::Conflict => Code::AlreadyExists,
            Kind::RateLimited => Code::ResourceExhausted,
            Kind::Unavailable => Code::Unavailable,
            Kind::Timeout => Code::DeadlineExceeded,
            Kind::Internal => Code::Internal,
        }
    }
}

/// One field that is wrong, under its printed name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Dotted path, for example `payload.items`.
    pub field: String,
    /// What it must be.
    pub description: String,
}

/// A failure.
#[derive(Debug)]
pub struct Error {
    /// Decides the status.
    pub kind: Kind,
    /// Unique, upper snake case, part of the API: clients switch on it.
    pub reason: &'static str,
    /// A sentence for the client that says what to do.
    pub message: Cow<'static, str>,
    /// The fields that are wrong.
    pub violations: Vec<Violation>,
    /// When trying again makes sense.
    pub retry_after: Option<Duration>,
    /// For the log only.
    pub source: Option<anyhow::Error>,
}

impl Error {
    /// An error of this kind.
    pub fn new(kind: Kind, reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            reason,
            message: message.into(),
            violations: Vec::new(),
            retry_after: None,
            source: None,
        }
    }

    /// The same for another client that waited for the same; the log has the context of the first.
    pub fn repeated(&self) -> Self {
        Self {
            kind: self.kind,
            reason: self.reason,
            message: self.message.clone(),
            violations: self.violations.clone(),
            retry_after: self.retry_after,
            source: None,
        }
    }

    /// One field is wrong: 400, or 422 where the surface says so. `description` completes "field …", for example
    /// "must be a positive number".
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        let (field, description) = (field.into(), description.into());
        let mut error = Self::new(
            Kind::Invalid,
            "INVALID_ARGUMENT",
            format!("{field} {description}"),
        );
        error.violations.push(Violation { field, description });
        error
    }

    /// Several fields are wrong; never empty.
    pub fn invalid_fields(violations: Vec<Violation>) -> Self {
        let message = violations
            .iter()
            .map(|v| format!("{} {}", v.field, v.description))
            .collect::<Vec<_>>()
            .join("; ");
        Self {
            violations,
            ..Self::new(Kind::Invalid, "INVALID_ARGUMENT", message)
        }
    }

    /// A rule of the product forbids it: 400.
    pub fn precondition(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Precondition, reason, message)
    }

    /// No valid credential: 401.
    pub fn unauthenticated(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Unauthenticated, reason, message)
    }

    /// The credential may not do this: 403.
    pub fn forbidden(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Forbidden, reason, message)
    }

    /// There is no such thing for this caller: 404.
    pub fn not_found(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::NotFound, reason, message)
    }

    /// It exists already: 409.
    pub fn conflict(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Conflict, reason, message)
    }

    /// A fault of ours: 500. The context goes to the log only.
    pub fn internal(context: impl Into<anyhow::Error>) -> Self {
        Self {
            source: Some(context.into()),
            ..Self::new(
                Kind::Internal,
                "INTERNAL",
                "Something went wrong on our side; the request id finds it in our log",
            )
        }
    }

    /// A dependency is down: 503.
    pub fn unavailable(
        reason: &'static str,
        message: &'static str,
        context: impl Into<anyhow::Error>,
    ) -> Self {
        Self {
            source: Some(context.into()),
            ..Self::new(Kind::Unavailable, reason, message)
        }
    }

    /// Says when trying again makes sense.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)?;
        match &self.source {
            Some(source) => write!(f, " ({source:#})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        use diesel::result::{DatabaseErrorKind as D, Error as E};
        const DOWN: &str = "The database is not reachable; try again shortly";
        match error {
            E::DatabaseError(D::UnableToSendCommand | D::ClosedConnection, _)
            | E::BrokenTransactionManager => Self::unavailable("DATABASE_UNAVAILABLE", DOWN, error),
            // The server says so while it starts, stops, or is out of connections.
            E::DatabaseError(_, ref info) if is_shutdown(info.message()) => {
                Self::unavailable("DATABASE_UNAVAILABLE", DOWN, error)
            }
            // Postgres text cannot hold U+0000; REST requests are refused earlier, with the field's name.
            E::DatabaseError(_, ref info)
                if info.message().contains("0x00") || info.message().contains("\\u0000") =>
            {
                Self::new(
                    Kind::Invalid,
                    "INVALID_ARGUMENT",
                    "text must not contain the character U+0000",
                )
            }
            other => Self::internal(other),
        }
    }
}

fn is_shutdown(message: &str) -> bool {
    message.contains("the database system is")
        || message.contains("terminating connection")
        || message.contains("too many clients")
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error.kind {
            Kind::Internal => tracing::error!(error = %error, "request failed"),
            Kind::Unavailable => tracing::warn!(error = %error, "a dependency is down"),
            _ => {}
        }
        let mut details = ErrorDetails::new();
        details.set_error_info(error.reason, DOMAIN, std::collections::HashMap::new());
        for violation in error.violations {
            details.add_bad_request_violation(violation.field, violation.description);
        }
        if error.retry_after.is_some() {
            details.set_retry_info(error.retry_after);
        }
        Status::with_error_details(error.kind.code(), error.message, details)
    }
}
