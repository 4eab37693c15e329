//! Slow readings of single rules of ProtoJSON, for texts on which codec and oracle disagree.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// The string (unescaped) or the bare token that starts at the offset.
pub fn token(json: &[u8], offset: usize) -> Option<String> {
    let rest = str::from_utf8(json.get(offset..)?).ok()?;
    if rest.starts_with('"') {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        return values.next()?.ok();
    }
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c));
    Some(rest[..end.unwrap_or(rest.len())].to_owned())
}

/// Whether a text is what a fault's sentence expects.
pub fn fits(expected: &str, text: &str) -> bool {
    if let Some(range) = expected.strip_prefix("a whole number from ") {
        let bounds = range.split_once(" to ");
        let bounds = bounds.and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
        let (low, high): (i128, i128) = bounds.expect("the sentence has two bounds");
        return whole(text).is_some_and(|value| (low..=high).contains(&value));
    }
    match expected {
        "a whole number" => whole(text).is_some(),
        "a number" => is_number(text) || ["NaN", "Infinity", "-Infinity"].contains(&text),
        "a number that fits in 64 bits" => {
            is_number(text) && text.parse().is_ok_and(f64::is_finite)
        }
        "a number that fits in 32 bits" => {
            is_number(text) && text.parse().is_ok_and(f32::is_finite)
        }
        "a timestamp such as 2024-01-31T10:00:00Z" => timestamp(text).is_some(),
        "a duration such as 1.5s" => duration(text).is_some(),
        "field names in lowerCamelCase, separated by commas" => is_mask(text),
        _ => true,
    }
}

/// RFC 8259, section 6.
fn is_number(text: &str) -> bool {
    text.trim() == text
        && serde_json::from_str::<Box<serde_json::value::RawValue>>(text).is_ok()
        && text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

/// All strings (unescaped) and bare tokens of a JSON text.
pub fn tokens(json: &[u8]) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < json.len() {
        match json[at] {
            b'"' => {
                let mut end = at + 1;
                while end < json.len() && json[end] != b'"' {
                    end += if json[end] == b'\\' { 2 } else { 1 };
                }
                tokens.extend(token(json, at));
                at = end + 1;
            }
            b'-' | b'0'..=b'9' => {
                let token = token(json, at).unwrap_or_default();
                at += token.len().max(1);
                tokens.push(token);
            }
            _ => at += 1,
        }
    }
    tokens
}

/// The value of a number without a fraction, as far as 128 bits hold it.
pub fn whole(text: &str) -> Option<i128> {
    if !is_number(text) {
        return None;
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{before}{after}");
    if digits.bytes().all(|digit| b"-0".contains(&digit)) {
        return Some(0);
    }
    let exponent: i64 = exponent.parse().unwrap_or(if exponent.starts_with('-') {
        i64::MIN / 2
    } else {
        i64::MAX / 2
    });
    let mut scale = exponent - after.len() as i64;
    let mut digits = digits;
    while scale < 0 && digits.ends_with('0') {
        digits.pop();
        scale += 1;
    }
    // Too large is as good as not whole: no field holds it.
    if !(0..=40).contains(&scale) {
        return None;
    }
    format!("{digits}{}", "0".repeat(scale as usize))
        .parse()
        .ok()
}

/// Digits of a text that has the given length.
fn digits(text: &str, length: usize) -> Option<i64> {
    (text.len() == length && text.bytes().all(|c| c.is_ascii_digit())).then(|| text.parse().ok())?
}

/// RFC 3339 with capital letters, no leap second, nine digits, and the years 1 to 9999 in UTC; minutes since year 0.
fn timestamp(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T')?;
    let mut date = date.split('-');
    let (year, month, day) = (
        digits(date.next()?, 4)?,
        digits(date.next()?, 2)?,
        digits(date.next()?, 2)?,
    );
    let is_leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let lengths = [
        31,
        if is_leap(year) { 29 } else { 28 },
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    if date.next().is_some()
        || !(1..=12).contains(&month)
        || !(1..=lengths[month as usize - 1]).contains(&day)
    {
        return None;
    }
    let (time, offset) = match time.strip_suffix('Z') {
        Some(time) => (time, 0),
        None => {
            let at = time.rfind(['+', '-'])?;
            let (hours, minutes) = time[at + 1..].split_once(':')?;
            let minutes = digits(hours, 2).filter(|h| *h < 24)? * 60
                + digits(minutes, 2).filter(|m| *m < 60)?;
            (
                &time[..at],
                if time[at..].starts_with('-') {
                    -minutes
                } else {
                    minutes
                },
            )
        }
    };
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    digits(fraction, fraction.len()).filter(|_| (1..=9).contains(&fraction.len()))?;
    let mut time = time.split(':');
    let (hour, minute) = (digits(time.next()?, 2)?, digits(time.next()?, 2)?);
    let second = digits(time.next()?, 2)?;
    if time.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = (0..year)
        .map(|year| if is_leap(year) { 366 } else { 365 })
        .sum::<i64>()
        + lengths[..month as usize - 1].iter().sum::<i64>()
        + day
        - 1;
    let minutes = (days * 24 + hour) * 60 + minute - offset;
    let (first, end) = (366 * 1440, 3_652_425 * 1440);
    (first..end).contains(&minutes).then_some(minutes)
}

fn duration(text: &str) -> Option<i64> {
    let text = text.strip_suffix('s')?;
    let text = text.strip_prefix('-').unwrap_or(text);
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    digits(fraction, fraction.len()).filter(|_| (1..=9).contains(&fraction.len()))?;
    digits(seconds, seconds.len()).filter(|seconds| *seconds <= 315_576_000_000)
}

fn is_mask(text: &str) -> bool {
    text.is_empty()
        || text.split(',').all(|path| {
            path.split('.')
                .all(|name| !name.is_empty() && !name.contains('_'))
        })
}

/// The deepest nesting of brackets; those in strings count, which only makes the answer larger.
pub fn nesting(json: &[u8]) -> usize {
    let mut depth = 0usize;
    let mut deepest = 0;
    for byte in json {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Whether some object has two keys that may mean the same: equal but for case and underscores, or equal numbers.
pub fn has_duplicate(json: &[u8]) -> bool {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    Keys::deserialize(&mut deserializer).is_ok_and(|keys| keys.0)
}

/// Whether a key is given twice anywhere in a value.
struct Keys(bool);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
        let mut seen = Vec::new();
        let mut is_twice = false;
        while let Some((key, Keys(inner))) = map.next_entry::<String, Keys>()? {
            let folded = match key.parse::<f64>() {
                Ok(number) => number.to_string(),
                Err(_) => key.replace('_', "").to_lowercase(),
            };
            is_twice |= inner || seen.contains(&folded);
            seen.push(folded);
        }
        Ok(Keys(is_twice))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Keys, A::Error> {
        let mut is_twice = false;
        while let Some(Keys(inner)) = seq.next_element()? {
            is_twice |= inner;
        }
        Ok(Keys(is_twice))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Keys, E> {
        Ok(Keys(false))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Keys, E> {
        Ok(Keys(false))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Keys, E> {
        Ok(Keys(false))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Keys, E> {
        Ok(Keys(false))
    }

    fn visit_str<E>(self, _: &str) -> Result<Keys, E> {
        Ok(Keys(false))
    }

    fn visit_unit<E>(self) -> Result<Keys, E> {
        Ok(Keys(false))
    }
}
