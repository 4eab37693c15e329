//! Money: integer minor units inside, exact decimal text outside, never a float.
//!
//! Every currency has two decimals here, those without minor units too.

use crate::{error::Violation, proto::pulpo::r#type::v1::Decimal};

/// The largest amount of one request, in minor units: ten trillion.
pub const AMOUNT_MINOR_MAX: i64 = 1_000_000_000_000_000;

/// Most digits of [`AMOUNT_MINOR_MAX`].
const AMOUNT_DIGITS_MAX: i64 = 16;

const NOT_A_NUMBER: &str = "must be a number";
const NOT_POSITIVE: &str = "must be a positive number";
const TOO_FINE: &str = "must have at most two decimals";
const TOO_LARGE: &str = "must be at most 10000000000000.00";

/// Minor units of an amount in JSON number syntax: `2500`, `2500.00` and `2.5e3` are the same amount. Positive, at
/// most two decimals, at most [`AMOUNT_MINOR_MAX`]; the error completes the sentence "field …".
pub fn parse_amount(text: &str) -> Result<i64, &'static str> {
    let (is_negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return Err(NOT_A_NUMBER),
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    let is_number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty()
        || !is_number(whole)
        || !is_number(fraction)
        || (whole.len() > 1 && whole.starts_with('0'))
    {
        return Err(NOT_A_NUMBER);
    }
    let digits = [whole, fraction].concat();
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() || is_negative {
        return Err(NOT_POSITIVE);
    }
    // The value is `significant` times ten to this power, in minor units.
    let dropped = i64::try_from(digits.len() - significant.len()).map_err(|_| TOO_LARGE)?;
    let decimals = i64::try_from(fraction.len()).map_err(|_| TOO_LARGE)?;
    let power = exponent
        .saturating_sub(decimals)
        .saturating_add(dropped)
        .saturating_add(2);
    if power < 0 {
        return Err(TOO_FINE);
    }
    let significant = significant.trim_start_matches('0');
    let length = i64::try_from(significant.len()).map_err(|_| TOO_LARGE)?;
    if power.saturating_add(length) > AMOUNT_DIGITS_MAX {
        return Err(TOO_LARGE);
    }
    let zeros = u32::try_from(power).map_err(|_| TOO_LARGE)?;
    let value: i64 = significant.parse().map_err(|_| TOO_LARGE)?;
    match value.checked_mul(10_i64.pow(zeros)) {
        Some(minor) if minor <= AMOUNT_MINOR_MAX => Ok(minor),
        _ => Err(TOO_LARGE),
    }
}

/// The exponent, cut to a range in which every amount is already out of bounds.
fn parse_exponent(text: &str) -> Result<i64, &'static str> {
    let (sign, digits) = match text.as_bytes().first() {
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        _ => (1, text),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(NOT_A_NUMBER);
    }
    let digits = digits.trim_start_matches('0');
    if digits.len() > 9 {
        return Ok(sign * 1_000_000_000_000);
    }
    Ok(sign * digits.parse::<i64>().unwrap_or(0))
}

/// Exact text with two decimals, for example `2500.00`.
pub fn format_minor(minor: i64) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let units = minor.unsigned_abs();
    format!("{sign}{}.{:02}", units / 100, units % 100)
}

/// The amount as it goes over the wire.
pub fn decimal(minor: i64) -> Decimal {
    Decimal {
        value: format_minor(minor),
    }
}

/// The amount in a sentence: `$50,000`, `$50,000.50`, `EUR 50,000`.
pub fn display(currency: &str, minor: i64) -> String {
    let units = minor.unsigned_abs();
    let whole = (units / 100).to_string();
    let mut out = String::new();
    if minor < 0 {
        out.push('-');
    }
    if currency == "USD" {
        out.push('$');
    } else {
        out.push_str(currency);
        out.push(' ');
    }
    for (i, digit) in whole.char_indices() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if !units.is_multiple_of(100) {
        out.push_str(&format!(".{:02}", units % 100));
    }
    out
}

/// A required amount; what is wrong with it joins `violations` under `field`, and 0 is returned.
pub fn required(field: &str, value: Option<&Decimal>, violations: &mut Vec<Violation>) -> i64 {
    let parsed = match value {
        Some(decimal) => parse_amount(&decimal.value),
        None => Err("is required"),
    };
    parsed.unwrap_or_else(|description| {
        violations.push(Violation {
            field: field.to_owned(),
            description: description.to_owned(),
        });
        0
    })
}

/// An amount that may be absent; what is wrong with it joins `violations` under `field`.
pub fn optional(
    field: &str,
    value: Option<&Decimal>,
    violations: &mut Vec<Violation>,
) -> Option<i64> {
    value.map(|decimal| required(field, Some(decimal), violations))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_same_amount_in_every_spelling() {
        for text in [
            "2500",
            "2500.0",
            "2500.00",
            "2500.000",
            "2.5e3",
            "2.5E+3",
            "25e2",
            "250000e-2",
            "0.0025e6",
        ] {
            assert_eq!(parse_amount(text), Ok(250_000), "{text}");
        }
        assert_eq!(parse_amount("0.01"), Ok(1));
        assert_eq!(parse_amount("1e-2"), Ok(1));
        assert_eq!(parse_amount("1e13"), Ok(AMOUNT_MINOR_MAX));
    }

    #[test]
    fn what_is_refused_says_why() {
        for text in [
            "", "-", "+1", "01", "1.", ".5", "1e", "1e+", "1e1.5", "0x10", "NaN", "Infinity", " 1",
            "1 ", "1,000", "١",
        ] {
            assert_eq!(parse_amount(text), Err(NOT_A_NUMBER), "{text:?}");
        }
        for text in [
            "0",
            "-0",
            "0.00",
            "-1",
            "-0.001",
            "0e999999999999",
            "-1e400",
        ] {
            assert_eq!(parse_amount(text), Err(NOT_POSITIVE), "{text}");
        }
        for text in ["0.001", "1.005", "1e-3", "1e-99999999999999999999"] {
            assert_eq!(parse_amount(text), Err(TOO_FINE), "{text}");
        }
        for text in [
            "10000000000000.01",
            "1e14",
            "1e400",
            "1e99999999999999999999",
            "99999999999999999999",
        ] {
            assert_eq!(parse_amount(text), Err(TOO_LARGE), "{text}");
        }
    }

    #[test]
    fn sentences() {
        assert_eq!(display("USD", 5_000_000), "$50,000");
        assert_eq!(display("USD", 5_000_050), "$50,000.50");
        assert_eq!(display("EUR", 5_000_000), "EUR 50,000");
        assert_eq!(display("USD", 99), "$0.99");
        assert_eq!(display("USD", 100_000_000), "$1,000,000");
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(minor in 1..=AMOUNT_MINOR_MAX) {
            prop_assert_eq!(parse_amount(&format_minor(minor)), Ok(minor));
        }

        #[test]
        fn moving_the_point_and_the_exponent_changes_nothing(minor in 1..=AMOUNT_MINOR_MAX, shift in 0i64..30) {
            let zeros = "0".repeat(usize::try_from(shift).unwrap());
            let longer = format!("{}{}e-{}", minor, zeros, shift + 2);
            prop_assert_eq!(parse_amount(&longer), Ok(minor));
            let finer = format!("0.{}{}e{}", zeros, minor, shift + i64::try_from(minor.to_string().len()).unwrap() - 2);
            prop_assert_eq!(parse_amount(&finer), Ok(minor));
        }

        #[test]
        fn a_third_decimal_is_refused(minor in 0..AMOUNT_MINOR_MAX / 10, third in 1..=9) {
            prop_assert_eq!(parse_amount(&format!("{}{third}", format_minor(minor))), Err(TOO_FINE));
        }

        #[test]
        fn any_text_is_answered_and_only_numbers_pass(text in "[-+0-9.eE]{0,24}|\\PC{0,12}") {
            let parsed = parse_amount(&text);
            let number = serde_json::from_str::<serde_json::Number>(&text).ok().and_then(|n| n.as_f64());
            if let Ok(minor) = parsed {
                let float = number.expect("only JSON numbers are amounts");
                prop_assert!((float * 100.0 - minor as f64).abs() <= 1.0 + float * 1e-12);
            }
        }
    }
}
