//! What can be wrong with a JSON text, a field path or a message on the wire.
//!
//! Sentences are for the client of a surface: they say what was expected and never repeat a value.

use std::fmt;

use super::keys::Key;

/// Names in a path longer than this are cut, so that a fault stays small whatever a client sends.
const NAME_CHARS_MAX: usize = 64;

/// A JSON text that does not fit its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonFault {
    /// Where, in printed names: `payload.items[2].sku`, `labels["a b"]`; empty for the outermost value.
    pub path: String,
    /// Byte of the text at which the problem was seen.
    pub offset: usize,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// Not JSON (RFC 8259); the text says what was expected.
    Syntax(&'static str),
    /// Not UTF-8.
    Utf8,
    /// JSON of another type than the field's.
    Type {
        /// What was expected, with its article: "a number".
        expected: &'static str,
    },
    /// A number outside the field's range, or with a fraction where the field has none.
    Range {
        /// What was expected, with its article: "a 32-bit integer".
        expected: &'static str,
    },
    /// The right JSON type with content that does not fit: a malformed timestamp, base64 and so on.
    Value {
        /// What was expected, with its article: "a timestamp such as 2024-01-31T10:00:00Z".
        expected: &'static str,
    },
    /// A member that names no field.
    UnknownField,
    /// A member or map key given twice, also once by its JSON name and once by its proto name.
    DuplicateKey,
    /// Two members of one oneof.
    OneofConflict {
        /// The oneof's name.
        oneof: String,
    },
    /// `null` as an element of a list or as a value in a map.
    NullElement,
    /// A name the enum does not have.
    UnknownEnum,
    /// `@type` of an Any is missing or names no known message.
    UnknownType,
    /// More nested than allowed.
    TooDeep,
    /// More members and elements, counted at every level, than allowed.
    TooMany {
        /// How many are.
        limit: u32,
    },
    /// U+0000 in a string.
    Nul,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Syntax(expected) => write!(f, "malformed JSON: expected {expected}"),
            Problem::Utf8 => f.write_str("the text is not valid UTF-8"),
            Problem::Type { expected }
            | Problem::Range { expected }
            | Problem::Value { expected } => {
                write!(f, "expected {expected}")
            }
            Problem::UnknownField => f.write_str("unknown field"),
            Problem::DuplicateKey => f.write_str("given more than once"),
            Problem::OneofConflict { oneof } => {
                write!(f, "only one field of `{oneof}` may be given")
            }
            Problem::NullElement => f.write_str("null is not allowed here"),
            Problem::UnknownEnum => f.write_str("not one of the allowed values"),
            Problem::UnknownType => {
                f.write_str("expected `@type` with the name of a known message")
            }
            Problem::TooDeep => f.write_str("nested too deeply"),
            Problem::TooMany { limit } => write!(f, "more than {limit} values"),
            Problem::Nul => f.write_str("the character U+0000 is not allowed"),
        }
    }
}

/// The sentence alone; the path is for the caller to place.
impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problem {
            Problem::Syntax(_) => write!(f, "{} at byte {}", self.problem, self.offset),
            _ => self.problem.fmt(f),
        }
    }
}

impl std::error::Error for JsonFault {}

/// Faults are rare and results are returned from every value, so inside the codec they travel in a box.
pub(super) type Read<T> = Result<T, Box<JsonFault>>;

#[cold]
pub(super) fn fault<T>(offset: usize, problem: Problem) -> Read<T> {
    Err(Box::new(JsonFault {
        path: String::new(),
        offset,
        problem,
    }))
}

/// The path is put together while the fault travels up, so that reading without a fault costs nothing.
impl JsonFault {
    #[cold]
    pub(super) fn within(mut self: Box<Self>, name: &str) -> Box<Self> {
        prepend(&mut self.path, shorten(name));
        self
    }

    #[cold]
    pub(super) fn within_index(mut self: Box<Self>, index: usize) -> Box<Self> {
        prepend(&mut self.path, &format!("[{index}]"));
        self
    }

    #[cold]
    pub(super) fn within_key(mut self: Box<Self>, key: &[u8]) -> Box<Self> {
        prepend(&mut self.path, &quoted(key));
        self
    }
}

/// Puts the name of a field, an index or a key in front of a path.
fn prepend(path: &mut String, segment: &str) {
    let joint = if path.is_empty() || path.starts_with('[') {
        ""
    } else {
        "."
    };
    *path = format!("{segment}{joint}{path}");
}

fn quoted(key: &[u8]) -> String {
    format!("[{:?}]", shorten(&String::from_utf8_lossy(key)))
}

fn shorten(name: &str) -> &str {
    match name.char_indices().nth(NAME_CHARS_MAX) {
        Some((end, _)) => &name[..end],
        None => name,
    }
}

/// A dotted field path that leads to no field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldPathFault {
    /// A step names no field.
    #[error("`{message}` has no field `{name}`")]
    UnknownField {
        /// Full name of the message that was looked in.
        message: String,
        /// The name looked for.
        name: String,
    },
    /// A step before the last is a list, a map, a scalar, or a message with a JSON form of its own.
    #[error("field `{name}` of `{message}` has no fields of its own")]
    NotTraversable {
        /// Full name of the message that was looked in.
        message: String,
        /// The field's name.
        name: String,
    },
}

/// Bytes that are not a message, or a message that has no JSON form.
///
/// For the log of whoever runs the surface: it names the field, and repeats no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireFault {
    /// Where, in printed names: `payload.items[2].sku`; empty for the outermost message, and where it is not known.
    pub path: String,
    /// What is wrong.
    pub problem: WireProblem,
}

impl fmt::Display for WireFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.path {
            "" => self.problem.fmt(f),
            path => write!(f, "{path}: {}", self.problem),
        }
    }
}

impl std::error::Error for WireFault {}

/// What is wrong with a message on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireProblem {
    /// The bytes end inside a field.
    #[error("the message is truncated")]
    Truncated,
    /// A varint of more than 64 bits.
    #[error("a varint is too long")]
    Varint,
    /// Field number 0, a field number above 2^29 - 1, or a wire type that does not exist.
    #[error("a field has an invalid tag")]
    Tag,
    /// A group ends that has not begun, or with another number.
    #[error("groups are not balanced")]
    Group,
    /// A string that is not UTF-8.
    #[error("a string is not valid UTF-8")]
    Utf8,
    /// More nested than allowed.
    #[error("the message is nested too deeply")]
    TooDeep,
    /// A Timestamp outside the years 1 to 9999, or with nanoseconds outside a second.
    #[error("a timestamp is out of range")]
    Timestamp,
    /// A Duration outside 10 000 years, or with seconds and nanoseconds of different signs.
    #[error("a duration is out of range")]
    Duration,
    /// A FieldMask path that lowerCamelCase cannot carry.
    #[error("a field mask has no JSON form")]
    FieldMask,
    /// NaN or an infinity in a `google.protobuf.Value`.
    #[error("a value is not a finite number")]
    NotFinite,
    /// A Decimal that is not a JSON number or is longer than 64 characters.
    #[error("a decimal is not a number")]
    Decimal,
    /// A Json that is not JSON.
    #[error("a JSON value is malformed")]
    Json,
    /// A 64-bit integer that the surface's readers cannot tell from its neighbours.
    #[error("an integer is outside -9007199254740991 to 9007199254740991")]
    UnsafeInteger,
    /// An Any whose type is unknown.
    #[error("an Any carries a message of unknown type")]
    UnknownType,
}

/// Why a pass over a message ends early.
#[derive(Debug)]
pub(super) enum Stop {
    /// Legal, but not what one pass in order can print.
    Unusual,
    /// Boxed, as it is rare and every value returns it.
    Fault(Box<WireFault>),
}

pub(super) type Written<T> = Result<T, Stop>;

impl From<WireProblem> for Stop {
    #[cold]
    fn from(problem: WireProblem) -> Self {
        let path = String::new();
        Stop::Fault(Box::new(WireFault { path, problem }))
    }
}

impl Stop {
    /// Whether only the whole message can tell: a value without a JSON form may be followed by another one of the same
    /// field, which merges with it or overrides it. Bytes that are no message stay so.
    #[cold]
    pub(super) fn needs_whole(&self) -> bool {
        match self {
            Stop::Unusual => true,
            Stop::Fault(fault) => !matches!(
                fault.problem,
                WireProblem::Truncated
                    | WireProblem::Varint
                    | WireProblem::Tag
                    | WireProblem::Group
                    | WireProblem::Utf8
            ),
        }
    }

    /// Gathered fields are never unusual, so what stops their pass is a fault.
    #[cold]
    pub(super) fn into_fault(self) -> WireFault {
        match self {
            Stop::Fault(fault) => *fault,
            Stop::Unusual => WireFault {
                path: String::new(),
                problem: WireProblem::Group,
            },
        }
    }

    #[cold]
    pub(super) fn within(self, name: &str) -> Self {
        self.prepend(|| shorten(name).to_owned())
    }

    #[cold]
    pub(super) fn within_index(self, index: usize) -> Self {
        self.prepend(|| format!("[{index}]"))
    }

    #[cold]
    pub(super) fn within_key(self, key: &Key<'_>) -> Self {
        self.prepend(|| match key {
            Key::Text(text) => quoted(text),
            Key::Number(value) => format!("[\"{value}\"]"),
        })
    }

    fn prepend(mut self, segment: impl FnOnce() -> String) -> Self {
        if let Stop::Fault(fault) = &mut self {
            prepend(&mut fault.path, &segment());
        }
        self
    }
}
