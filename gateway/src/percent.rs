//! Percent-encoding, as the path templates and query strings of `google/api/http.proto` need it.
//!
//! The `percent-encoding` crate decodes, but leaves a broken escape in place. A path with one is refused here instead:
//! two readings of the same path are how access checks are walked around.

use std::borrow::Cow;

use memchr::{memchr, memchr2};
use percent_encoding::percent_decode_str;

/// Why a text is not well-formed percent-encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PercentFault {
    /// A `%` without two hexadecimal digits after it.
    #[error("'%' at byte {position} is not followed by two hexadecimal digits")]
    Escape {
        /// Offset of the `%` in bytes.
        position: usize,
    },
    /// Escapes which do not decode to UTF-8.
    #[error("the escape at byte {position} does not decode to UTF-8")]
    Utf8 {
        /// Offset of the first `%` of the character in bytes.
        position: usize,
    },
}

/// Checks that every escape of `text` is complete and that the decoded text is UTF-8. Allocates nothing.
///
/// The raw text is UTF-8 already, so a character is either wholly raw or wholly escaped, and the escaped ones can be
/// looked at one by one.
pub(crate) fn check(text: &str) -> Result<(), PercentFault> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = memchr(b'%', bytes.get(at..).unwrap_or_default()) {
        let position = at + found;
        let lead = escape_at(bytes, position).ok_or(PercentFault::Escape { position })?;
        let width = match lead {
            0x00..=0x7F => 1,
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => return Err(PercentFault::Utf8 { position }),
        };
        let mut character = [lead, 0, 0, 0];
        for (index, byte) in character.iter_mut().enumerate().take(width).skip(1) {
            let next = position + 3 * index;
            if bytes.get(next) != Some(&b'%') {
                return Err(PercentFault::Utf8 { position });
            }
            *byte = escape_at(bytes, next).ok_or(PercentFault::Escape { position: next })?;
        }
        if str::from_utf8(character.get(..width).unwrap_or_default()).is_err() {
            return Err(PercentFault::Utf8 { position });
        }
        at = position + 3 * width;
    }
    Ok(())
}

/// Decodes every escape of a text that passed [`check`].
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    // What `check` let through is UTF-8, so the lossy reading loses nothing.
    percent_decode_str(text).decode_utf8_lossy()
}

/// Decodes every escape of a text that passed [`check`] except `%2F` and `%2f`, which stay as they were written.
///
/// This is the rule for a variable of several segments (`{name=shelves/*}`, `{path=**}`) in the comment of `HttpRule`
/// in `google/api/http.proto`: 'The server side does the reverse decoding, except "%2F" and "%2f" are left unchanged.'
/// An escaped slash inside a segment so stays apart from the slashes between segments. (The comment of
/// `Http.fully_decode_reserved_expansion` in the same file tells of another default, in which all characters RFC 3986
/// reserves stay escaped; that option belongs to a service configuration, and rules on methods have none.)
pub(crate) fn decode_except_slash(text: &str) -> Cow<'_, str> {
    let Some(first) = memchr(b'%', text.as_bytes()) else {
        return Cow::Borrowed(text);
    };
    let mut decoded = String::with_capacity(text.len());
    let (mut done, mut at) = (0, first);
    let bytes = text.as_bytes();
    while let Some(found) = memchr(b'%', bytes.get(at..).unwrap_or_default()) {
        let escape = at + found;
        at = escape + 3;
        if matches!(bytes.get(escape + 1..at), Some(b"2F" | b"2f")) {
            decoded.push_str(&decode(text.get(done..escape).unwrap_or_default()));
            decoded.push_str(text.get(escape..at).unwrap_or_default());
            done = at;
        }
    }
    decoded.push_str(&decode(text.get(done..).unwrap_or_default()));
    Cow::Owned(decoded)
}

/// Decodes one name or value of `application/x-www-form-urlencoded` text (WHATWG URL, section 5.1): `+` is a space and
/// a `%` without two digits is itself. `None` where the result is not UTF-8: the standard's replacement characters
/// would alter data silently.
pub(crate) fn decode_form(text: &str) -> Option<Cow<'_, str>> {
    if memchr2(b'+', b'%', text.as_bytes()).is_none() {
        return Some(Cow::Borrowed(text));
    }
    if memchr(b'+', text.as_bytes()).is_none() {
        return percent_decode_str(text).decode_utf8().ok();
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(Cow::Owned(decoded.into_owned()))
}

/// The decoded bytes of a text that passed [`check`], one by one, for comparing without an allocation.
pub(crate) struct DecodedBytes<'a> {
    rest: &'a [u8],
}

impl<'a> DecodedBytes<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            rest: text.as_bytes(),
        }
    }
}

impl Iterator for DecodedBytes<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        if first == b'%'
            && let Some(byte) = escape_at(self.rest, 0)
        {
            self.rest = self.rest.get(3..).unwrap_or_default();
            return Some(byte);
        }
        self.rest = rest;
        Some(first)
    }
}

/// The byte that the escape at `position` stands for.
fn escape_at(bytes: &[u8], position: usize) -> Option<u8> {
    let high = hex(*bytes.get(position + 1)?)?;
    let low = hex(*bytes.get(position + 2)?)?;
    Some(high << 4 | low)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn broken_escapes_are_named_with_their_place() {
        let cases = [
            ("a%", PercentFault::Escape { position: 1 }),
            ("a%2", PercentFault::Escape { position: 1 }),
            ("%zz", PercentFault::Escape { position: 0 }),
            ("%E2%8", PercentFault::Escape { position: 3 }),
            ("a%80", PercentFault::Utf8 { position: 1 }),
            ("a%C0%AF", PercentFault::Utf8 { position: 1 }),
            ("%E2%82x", PercentFault::Utf8 { position: 0 }),
            ("%ED%A0%80", PercentFault::Utf8 { position: 0 }),
            ("ok%20%FF", PercentFault::Utf8 { position: 5 }),
        ];
        for (text, fault) in cases {
            assert_eq!(check(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn a_slash_stays_escaped_only_where_asked() {
        assert_eq!(decode("a%2Fb%20c"), "a/b c");
        assert_eq!(
            decode_except_slash("a%2Fb%20c/%2f%E2%82%AC"),
            "a%2Fb c/%2f€"
        );
        assert_eq!(decode_except_slash("%252F"), "%2F");
        assert!(matches!(
            decode_except_slash("plain/text"),
            Cow::Borrowed(_)
        ));
    }

    #[test]
    fn form_text_follows_the_url_standard() {
        assert_eq!(decode_form("a+b%2Bc").as_deref(), Some("a b+c"));
        assert_eq!(decode_form("100%").as_deref(), Some("100%"));
        assert_eq!(decode_form("%ff"), None);
        assert_eq!(decode_form("+%ff"), None);
    }

    proptest! {
        #[test]
        fn checking_agrees_with_decoding(text in "([a%éz/]|%[0-9a-fA-F]{2}|%E2%82%AC){0,12}") {
            let complete = text.match_indices('%').all(|(at, _)| escape_at(text.as_bytes(), at).is_some());
            let decoded = percent_decode_str(&text).decode_utf8();
            prop_assert_eq!(check(&text).is_ok(), complete && decoded.is_ok());
            if let (Ok(()), Ok(expected)) = (check(&text), decoded) {
                let bytes: Vec<u8> = DecodedBytes::new(&text).collect();
                prop_assert_eq!(bytes.as_slice(), expected.as_bytes());
                prop_assert_eq!(decode(&text), expected);
            }
        }
    }
}
