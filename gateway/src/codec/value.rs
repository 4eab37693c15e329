//! Integers of either sign, as scalars and keys of maps have them.

use std::fmt;

use crate::profile::SAFE_INTEGER_MAX;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Value {
    Signed(i64),
    Unsigned(u64),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Signed(value) => value.fmt(f),
            Value::Unsigned(value) => value.fmt(f),
        }
    }
}

impl Value {
    /// Whether a double tells it from its neighbours.
    pub(super) fn is_safe(self) -> bool {
        let magnitude = match self {
            Value::Signed(value) => value.unsigned_abs(),
            Value::Unsigned(value) => value,
        };
        magnitude <= SAFE_INTEGER_MAX
    }

    #[inline]
    pub(super) fn print(self, out: &mut Vec<u8>) {
        let mut buffer = itoa::Buffer::new();
        out.extend_from_slice(
            match self {
                Value::Signed(value) => buffer.format(value),
                Value::Unsigned(value) => buffer.format(value),
            }
            .as_bytes(),
        );
    }
}
