//! Scalars as JSON text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::fault::WireProblem;
use super::special::special;
use super::table::{Kind, Tables};
use super::value::Value;
use super::wire::{Wire, unzigzag};
use crate::profile::Integers;

/// Prints the scalar that comes next and says whether it is the default of its kind.
#[inline]
pub(super) fn scalar(
    tables: &Tables,
    kind: Kind,
    wire: &mut Wire<'_>,
    out: &mut Vec<u8>,
) -> Result<bool, WireProblem> {
    match kind {
        Kind::String => {
            let text = wire.sized()?;
            string(text, out);
            return Ok(text.is_empty());
        }
        Kind::Bytes => {
            let value = wire.sized()?;
            bytes(value, out);
            return Ok(value.is_empty());
        }
        Kind::Double => {
            let bits = wire.fixed64()?;
            double(f64::from_bits(bits), out);
            return Ok(bits == 0);
        }
        Kind::Float => {
            let bits = wire.fixed32()?;
            float(f32::from_bits(bits), out);
            return Ok(bits == 0);
        }
        _ => {}
    }
    let value = integer(kind, wire)?;
    match kind {
        Kind::Bool => out.extend_from_slice(if value == Value::Unsigned(0) {
            b"false"
        } else {
            b"true"
        }),
        Kind::Null => out.extend_from_slice(b"null"),
        Kind::Enum(id) => match value {
            Value::Signed(number) => match i32::try_from(number)
                .ok()
                .and_then(|n| tables.enumeration(id).printed(n))
            {
                Some(name) => out.extend_from_slice(name),
                None => value.print(out),
            },
            Value::Unsigned(_) => value.print(out),
        },
        Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64 => {
            match tables.profile.integers {
                Integers::Strings => {
                    out.push(b'"');
                    value.print(out);
                    out.push(b'"');
                }
                Integers::SafeNumbers if !value.is_safe() => {
                    return Err(WireProblem::UnsafeInteger);
                }
                Integers::Numbers | Integers::SafeNumbers => value.print(out),
            }
        }
        _ => value.print(out),
    }
    Ok(matches!(value, Value::Signed(0) | Value::Unsigned(0)))
}

/// An integer, enum or bool. 32-bit kinds keep the low 32 bits of a longer varint, as all decoders do.
#[inline]
pub(super) fn integer(kind: Kind, wire: &mut Wire<'_>) -> Result<Value, WireProblem> {
    Ok(match kind {
        Kind::Int32 | Kind::Enum(_) | Kind::Null => Value::Signed(i64::from(wire.varint()? as i32)),
        Kind::Sint32 => Value::Signed(unzigzag(u64::from(wire.varint()? as u32))),
        Kind::Int64 => Value::Signed(wire.varint()? as i64),
        Kind::Sint64 => Value::Signed(unzigzag(wire.varint()?)),
        Kind::Uint32 => Value::Unsigned(u64::from(wire.varint()? as u32)),
        Kind::Uint64 => Value::Unsigned(wire.varint()?),
        Kind::Bool => Value::Unsigned(u64::from(wire.varint()? != 0)),
        Kind::Fixed32 => Value::Unsigned(u64::from(wire.fixed32()?)),
        Kind::Sfixed32 => Value::Signed(i64::from(wire.fixed32()? as i32)),
        Kind::Fixed64 => Value::Unsigned(wire.fixed64()?),
        Kind::Sfixed64 => Value::Signed(wire.fixed64()? as i64),
        Kind::Double | Kind::Float | Kind::String | Kind::Bytes | Kind::Message(_) => {
            return Err(WireProblem::Tag);
        }
    })
}

/// A map key that is not a string, with quotes.
pub(super) fn key(kind: Kind, value: Value, out: &mut Vec<u8>) {
    out.push(b'"');
    match (kind, value) {
        (Kind::Bool, Value::Unsigned(0)) => out.extend_from_slice(b"false"),
        (Kind::Bool, _) => out.extend_from_slice(b"true"),
        _ => value.print(out),
    }
    out.push(b'"');
}

/// The shortest digits that read back as the same number.
pub(super) fn double(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        finite(zmij::Buffer::new().format_finite(value), out);
    } else {
        not_finite(value, out);
    }
}

fn float(value: f32, out: &mut Vec<u8>) {
    if value.is_finite() {
        finite(zmij::Buffer::new().format_finite(value), out);
    } else {
        not_finite(f64::from(value), out);
    }
}

fn finite(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
}

fn not_finite(value: f64, out: &mut Vec<u8>) {
    let text: &[u8] = match value {
        _ if value.is_nan() => b"\"NaN\"",
        _ if value > 0.0 => b"\"Infinity\"",
        _ => b"\"-Infinity\"",
    };
    out.extend_from_slice(text);
}

pub(super) fn bytes(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + value.len().div_ceil(3) * 4, 0);
    // The space is exactly what padded base64 needs, so this cannot fail.
    let length = STANDARD.encode_slice(value, &mut out[start..]).unwrap_or(0);
    out.truncate(start + length);
    out.push(b'"');
}

/// A string with quotes and the escapes JSON demands.
pub(super) fn string(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut start = 0;
    loop {
        let end = special(text, start);
        out.extend_from_slice(&text[start..end]);
        let Some(&byte) = text.get(end) else { break };
        escape(byte, out);
        start = end + 1;
    }
    out.push(b'"');
}

pub(super) fn escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}
