//! Numbers as JSON writes them, to the wire. Integers are exact over their whole range; floats are correctly rounded.

use wide::u8x16;

use super::fault::Problem;
use super::table::Kind;
use super::wire::{put_varint, zigzag};
use crate::profile::SAFE_INTEGER_MAX;

/// Writes a number of the given kind. The token must have JSON number syntax. `safe` says whether 64-bit integers have to be
/// safe ones.
#[inline]
pub(super) fn put(kind: Kind, token: &[u8], safe: bool, out: &mut Vec<u8>) -> Result<(), Problem> {
    match kind {
        Kind::Int32 | Kind::Enum(_) | Kind::Null => {
            put_varint(out, i64::from(int32(token)?) as u64)
        }
        Kind::Sint32 => put_varint(out, zigzag(i64::from(int32(token)?))),
        Kind::Sfixed32 => out.extend_from_slice(&int32(token)?.to_le_bytes()),
        Kind::Uint32 => put_varint(out, u64::from(uint32(token)?)),
        Kind::Fixed32 => out.extend_from_slice(&uint32(token)?.to_le_bytes()),
        Kind::Int64 => put_varint(out, int64(token, safe)? as u64),
        Kind::Sint64 => put_varint(out, zigzag(int64(token, safe)?)),
        Kind::Sfixed64 => out.extend_from_slice(&int64(token, safe)?.to_le_bytes()),
        Kind::Uint64 => put_varint(out, uint64(token, safe)?),
        Kind::Fixed64 => out.extend_from_slice(&uint64(token, safe)?.to_le_bytes()),
        Kind::Double => out.extend_from_slice(&double(token)?.to_le_bytes()),
        Kind::Float => out.extend_from_slice(&float(token)?.to_le_bytes()),
        Kind::Bool | Kind::String | Kind::Bytes | Kind::Message(_) => {
            return Err(Problem::Type {
                expected: "a number",
            });
        }
    }
    Ok(())
}

/// What a quoted float may be besides a number.
pub(super) fn put_special(kind: Kind, text: &[u8], out: &mut Vec<u8>) -> bool {
    let value = match text {
        b"NaN" => f64::NAN,
        b"Infinity" => f64::INFINITY,
        b"-Infinity" => f64::NEG_INFINITY,
        _ => return false,
    };
    match kind {
        Kind::Double => out.extend_from_slice(&value.to_le_bytes()),
        Kind::Float => out.extend_from_slice(&(value as f32).to_le_bytes()),
        _ => return false,
    }
    true
}

/// What a number of the kind is called in a fault.
pub(super) fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Double | Kind::Float => "a number",
        _ => "a whole number",
    }
}

fn int32(token: &[u8]) -> Result<i32, Problem> {
    const RANGE: Problem = Problem::Range {
        expected: "a whole number from -2147483648 to 2147483647",
    };
    i32::try_from(signed(token, RANGE)?).map_err(|_| RANGE)
}

#[inline]
fn int64(token: &[u8], safe: bool) -> Result<i64, Problem> {
    const RANGE: Problem = Problem::Range {
        expected: "a whole number from -9223372036854775808 to 9223372036854775807",
    };
    const SAFE_RANGE: Problem = Problem::Range {
        expected: "a whole number from -9007199254740991 to 9007199254740991",
    };
    match signed(token, if safe { SAFE_RANGE } else { RANGE })? {
        value if safe && value.unsigned_abs() > SAFE_INTEGER_MAX => Err(SAFE_RANGE),
        value => Ok(value),
    }
}

pub(super) fn uint32(token: &[u8]) -> Result<u32, Problem> {
    const RANGE: Problem = Problem::Range {
        expected: "a whole number from 0 to 4294967295",
    };
    u32::try_from(unsigned(token, RANGE)?).map_err(|_| RANGE)
}

#[inline]
fn uint64(token: &[u8], safe: bool) -> Result<u64, Problem> {
    const RANGE: Problem = Problem::Range {
        expected: "a whole number from 0 to 18446744073709551615",
    };
    const SAFE_RANGE: Problem = Problem::Range {
        expected: "a whole number from 0 to 9007199254740991",
    };
    match unsigned(token, if safe { SAFE_RANGE } else { RANGE })? {
        value if safe && value > SAFE_INTEGER_MAX => Err(SAFE_RANGE),
        value => Ok(value),
    }
}

pub(super) fn double(token: &[u8]) -> Result<f64, Problem> {
    const RANGE: Problem = Problem::Range {
        expected: "a number that fits in 64 bits",
    };
    let value: f64 = std::str::from_utf8(token)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(RANGE)?;
    if value.is_finite() {
        Ok(value)
    } else {
        Err(RANGE)
    }
}

fn float(token: &[u8]) -> Result<f32, Problem> {
    const RANGE: Problem = Problem::Range {
        expected: "a number that fits in 32 bits",
    };
    let value: f32 = std::str::from_utf8(token)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(RANGE)?;
    if value.is_finite() {
        Ok(value)
    } else {
        Err(RANGE)
    }
}

#[inline]
fn signed(token: &[u8], range: Problem) -> Result<i64, Problem> {
    let (negative, magnitude) = whole(token, &range)?;
    let value = if negative {
        0i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    };
    value.ok_or(range)
}

#[inline]
fn unsigned(token: &[u8], range: Problem) -> Result<u64, Problem> {
    match whole(token, &range)? {
        (true, 1..) => Err(range),
        (_, magnitude) => Ok(magnitude),
    }
}

/// Sign and magnitude of a whole number, in whichever way it is written.
#[inline]
fn whole(token: &[u8], range: &Problem) -> Result<(bool, u64), Problem> {
    let (negative, digits) = match token {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    // Nineteen digits cannot overflow.
    if digits.len() <= 19 {
        let mut value = 0u64;
        for &digit in digits {
            if !digit.is_ascii_digit() {
                return Ok((negative, scaled(digits, range)?));
            }
            value = value * 10 + u64::from(digit - b'0');
        }
        return Ok((negative, value));
    }
    Ok((negative, scaled(digits, range)?))
}

/// Magnitude of a number with a fraction, an exponent or many digits: exact, and only whole numbers pass.
#[cold]
fn scaled(number: &[u8], range: &Problem) -> Result<u64, Problem> {
    let (mantissa, exponent) = match number.iter().position(|c| matches!(c, b'e' | b'E')) {
        Some(e) => (&number[..e], exponent(&number[e + 1..])),
        None => (number, 0),
    };
    let fraction = mantissa
        .iter()
        .position(|&c| c == b'.')
        .map_or(0, |dot| mantissa.len() - dot - 1);
    let scale = exponent.saturating_sub(fraction as i64);
    let digits = mantissa.iter().filter(|c| c.is_ascii_digit());
    let total = digits.clone().count();
    let trailing = digits.clone().rev().take_while(|&&c| c == b'0').count();
    if trailing == total {
        return Ok(0);
    }
    let significant = total - trailing;
    let scale = scale.saturating_add(trailing as i64);
    if scale < 0 {
        return Err(Problem::Range {
            expected: "a whole number",
        });
    }
    let mut value = 0u64;
    for &digit in digits.take(significant) {
        value = step(value, digit - b'0').ok_or_else(|| range.clone())?;
    }
    // More than twenty zeros overflow whatever is in front.
    for _ in 0..scale.min(20) {
        value = step(value, 0).ok_or_else(|| range.clone())?;
    }
    Ok(value)
}

fn step(value: u64, digit: u8) -> Option<u64> {
    value.checked_mul(10)?.checked_add(u64::from(digit))
}

fn exponent(text: &[u8]) -> i64 {
    let mut value = 0i64;
    for digit in text.iter().filter(|c| c.is_ascii_digit()) {
        value = value
            .saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'));
    }
    if text.first() == Some(&b'-') {
        -value
    } else {
        value
    }
}

/// Length of the JSON number the text starts with. `01` starts with the number `0`.
#[inline]
pub(super) fn number_length(text: &[u8]) -> Option<usize> {
    let next = *text.first()?;
    let usual = text
        .first_chunk()
        .and_then(|chunk| usual_number_length(next, chunk));
    usual.or_else(|| any_number_length(text))
}

/// The same for a number without an exponent that ends within these bytes; of all others nothing is known. `next` is the
/// first byte, which the caller has at hand: taken out of the vector it costs more.
#[inline(always)]
pub(super) fn usual_number_length(next: u8, chunk: &[u8; 16]) -> Option<usize> {
    let digits = u8x16::new(*chunk) - u8x16::splat(b'0');
    // A bit stands for each byte that is no digit; above the sixteen all are set.
    let mut others = !digits.simd_eq(digits.min(u8x16::splat(9))).to_bitmask();
    // The minus sign has the lowest bit, which is taken away.
    let start = usize::from(next == b'-');
    others -= start as u32;
    let mut end = others.trailing_zeros() as usize;
    if end == start {
        return None;
    }
    if chunk[start] == b'0' && end > start + 1 {
        return Some(start + 1);
    }
    if end < 16 && chunk[end] == b'.' {
        others &= others - 1;
        let fraction = end + 1;
        end = others.trailing_zeros() as usize;
        if end == fraction {
            return None;
        }
    }
    (end < 16 && !matches!(chunk[end], b'e' | b'E')).then_some(end)
}

#[inline(never)]
fn any_number_length(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        text.get(from..)
            .unwrap_or_default()
            .iter()
            .take_while(|c| c.is_ascii_digit())
            .count()
    };
    let start = usize::from(text.first() == Some(&b'-'));
    let mut end = match text.get(start) {
        Some(b'0') => start + 1,
        Some(b'1'..=b'9') => start + digits(start),
        _ => return None,
    };
    if text.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        if fraction == 0 {
            return None;
        }
        end += 1 + fraction;
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent == 0 {
            return None;
        }
        end += 1 + sign + exponent;
    }
    Some(end)
}

/// Whether the whole text is one JSON number.
pub(crate) fn is_number(text: &[u8]) -> bool {
    number_length(text) == Some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every text of up to six of these, with more of each kind behind it than sixteen bytes hold, and cut short.
    #[test]
    fn usual_numbers_end_where_all_do() {
        let alphabet = b"01-.e+ ";
        let endings: [&[u8]; 5] = [
            b"",
            b"}",
            b",                  ",
            b"123456789012345678",
            b".12345678901234567",
        ];
        for length in 1..=6 {
            for choice in 0..alphabet.len().pow(length) {
                let byte = |place| alphabet[choice / alphabet.len().pow(place) % alphabet.len()];
                let start: Vec<u8> = (0..length).map(byte).collect();
                for ending in endings {
                    let text = [&start, ending].concat();
                    let shown = text.escape_ascii();
                    assert_eq!(number_length(&text), any_number_length(&text), "{shown}");
                }
            }
        }
    }
}
