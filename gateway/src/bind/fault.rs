//! What can be wrong with a binding rule, and what with a request.

use std::fmt;

use crate::codec::{FieldPathFault, JsonFault};

/// Names sent by a client are cut to this many characters, so that a fault stays small.
const NAME_CHARS_MAX: usize = 64;

/// Why a rule cannot be compiled. For whoever writes the .proto file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindFault {
    /// The codec was not compiled with this message.
    #[error("the codec does not know the message {message}")]
    UnknownMessage {
        /// The message's full name.
        message: String,
    },
    /// A field path leads to no field.
    #[error("the {place} names the field '{field}': {fault}")]
    NoField {
        /// Which part of the rule names it.
        place: &'static str,
        /// The field path.
        field: String,
        /// Why there is none.
        fault: FieldPathFault,
    },
    /// A field that no single text can fill: repeated, a map, or a message without a text form.
    #[error(
        "the {place} names the field '{field}', which is {shape} and cannot be filled from there"
    )]
    NotBindable {
        /// Which part of the rule names it.
        place: &'static str,
        /// The field path.
        field: String,
        /// What the field is.
        shape: &'static str,
    },
    /// A body or response body that is a path of several steps.
    #[error("the {place} '{field}' has to be a field at the top level of the message")]
    NotTopLevel {
        /// Which part of the rule names it.
        place: &'static str,
        /// The field path.
        field: String,
    },
    /// A header rule whose text is no header name.
    #[error("'{header}' of the field '{field}' is not a header name")]
    HeaderName {
        /// The text.
        header: String,
        /// The field.
        field: String,
    },
}

/// Where a value of a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A variable of the path template.
    Path,
    /// A query parameter.
    Query,
    /// A header.
    Header,
    /// A field or file of a form.
    Form,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Path => "path parameter",
            Self::Query => "query parameter",
            Self::Header => "header",
            Self::Form => "form field",
        })
    }
}

/// Why a request does not become a message. For the client: no value is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestFault {
    /// The body does not fit; the fault knows the field.
    #[error("{0}")]
    Body(JsonFault),
    /// A parameter does not fit.
    #[error("{place} '{name}': {problem}")]
    Parameter {
        /// Where it came from.
        place: Place,
        /// Its name as the client wrote it, or as the template or the header rule has it.
        name: String,
        /// What is wrong.
        problem: ParameterProblem,
    },
    /// More query parameters or form fields than [`super::MAX_QUERY_PARAMETERS`].
    #[error("there are more than {limit} parameters")]
    TooManyParameters {
        /// The limit.
        limit: usize,
    },
}

impl RequestFault {
    #[cold]
    pub(super) fn parameter(place: Place, name: &str, problem: ParameterProblem) -> Self {
        let name = name.chars().take(NAME_CHARS_MAX).collect();
        Self::Parameter {
            place,
            name,
            problem,
        }
    }

    /// The field or parameter at fault; empty where it is the request as a whole.
    pub fn name(&self) -> &str {
        match self {
            Self::Body(fault) => &fault.path,
            Self::Parameter { name, .. } => name,
            Self::TooManyParameters { .. } => "",
        }
    }
}

/// What is wrong with a parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParameterProblem {
    /// Names no field that may be given here.
    #[error("unknown parameter")]
    Unknown,
    /// Given more than once for a field of one value, or for one key of a map.
    #[error("given more than once")]
    Twice,
    /// Given together with another member of its oneof.
    #[error("only one field of `{oneof}` may be given")]
    OneofConflict {
        /// The oneof.
        oneof: String,
    },
    /// A file for a field that takes none.
    #[error("not a field that takes a file")]
    NoFile,
    /// Not UTF-8 once decoded.
    #[error("not valid UTF-8")]
    Utf8,
    /// A map without a key, or a key for a field that is no map.
    #[error("a map is given as name[key]=value, any other field as name=value")]
    Key,
    /// The value does not fit the field.
    #[error("{0}")]
    Value(JsonFault),
}
