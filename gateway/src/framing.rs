//! How a stream of messages stands in one HTTP body, and what a client's Accept header says about it.

use http::{HeaderMap, header};

/// How the messages of a stream are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One JSON array.
    Array,
    /// One JSON value a line (`application/x-ndjson`).
    Ndjson,
    /// Server-sent events (WHATWG HTML, section 9.2).
    Events,
    /// One message a text frame (RFC 6455).
    WebSocket,
}

impl Framing {
    /// The media type of the body; a WebSocket has none.
    pub(crate) fn media_type(self) -> Option<&'static str> {
        match self {
            Self::Array => Some("application/json"),
            Self::Ndjson => Some("application/x-ndjson"),
            Self::Events => Some("text/event-stream"),
            Self::WebSocket => None,
        }
    }

    /// The framing a client prefers; none where it takes no stream of ours. Without an Accept header it is an array.
    pub(crate) fn preferred(headers: &HeaderMap) -> Option<Self> {
        let candidates = [
            (Self::Array, "application/json"),
            (Self::Ndjson, "application/x-ndjson"),
            (Self::Ndjson, "application/ndjson"),
            (Self::Ndjson, "application/jsonl"),
            (Self::Events, "text/event-stream"),
        ];
        let mut best = None;
        for (framing, media_type) in candidates {
            let preference = preference(headers, media_type);
            // The first of equals stays, so what a client leaves open is an array.
            if preference.is_acceptable() && best.is_none_or(|(than, _)| preference > than) {
                best = Some((preference, framing));
            }
        }
        best.map(|(_, framing)| framing)
    }
}

/// How much a client wants a media type: by quality, then by how exactly it named it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Preference {
    /// Thousandths.
    quality: u16,
    /// 1 for `*/*`, 2 for `type/*`, 3 for the type itself.
    exactness: u8,
}

impl Preference {
    pub(crate) fn is_acceptable(self) -> bool {
        self.quality > 0
    }

    /// Whether the client named the type, rather than a range it falls in.
    pub(crate) fn is_named(self) -> bool {
        self.quality > 0 && self.exactness == 3
    }
}

/// What the Accept headers say about a media type (RFC 9110, section 12.5.1): the most exact range counts.
pub(crate) fn preference(headers: &HeaderMap, media_type: &str) -> Preference {
    let mut best = Preference::default();
    let mut is_empty = true;
    for value in headers.get_all(header::ACCEPT) {
        for range in value.as_bytes().split(|b| *b == b',') {
            let mut parts = range.split(|b| *b == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            is_empty &= name.is_empty();
            let exactness = exactness(name, media_type.as_bytes());
            if exactness > best.exactness {
                let quality = parts
                    .find_map(|p| {
                        p.strip_prefix(b"q=")
                            .or_else(|| p.strip_prefix(b"Q="))
                            .map(quality)
                    })
                    .unwrap_or(1000);
                best = Preference { quality, exactness };
            }
        }
    }
    if is_empty {
        return Preference {
            quality: 1000,
            exactness: 1,
        };
    }
    best
}

fn exactness(range: &[u8], media_type: &[u8]) -> u8 {
    if range.eq_ignore_ascii_case(media_type) {
        return 3;
    }
    if range == b"*/*" || range == b"*" {
        return 1;
    }
    let kind = media_type.split(|b| *b == b'/').next().unwrap_or_default();
    match range.strip_suffix(b"/*") {
        Some(asked) if asked.eq_ignore_ascii_case(kind) => 2,
        _ => 0,
    }
}

/// `0`, `1`, or up to three decimals; what is no quality counts as 1.
fn quality(text: &[u8]) -> u16 {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.trim().parse::<f32>().ok())
        .filter(|q| (0.0..=1.0).contains(q))
        .map_or(1000, |q| (q * 1000.0) as u16)
}

/// Whether the client takes JSON; `application/…+json` counts, as error bodies and vendors' types are asked for so.
pub(crate) fn accepts_json(headers: &HeaderMap) -> bool {
    let Some(first) = headers.get(header::ACCEPT) else {
        return true;
    };
    if matches!(first.as_bytes(), b"*/*" | b"application/json") {
        return true;
    }
    preference(headers, "application/json").is_acceptable() || names_json_suffix(headers)
}

fn names_json_suffix(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().any(|value| {
        value.as_bytes().split(|b| *b == b',').any(|range| {
            let essence = range.split(|b| *b == b';').next().unwrap_or_default();
            let essence = essence.trim_ascii_end();
            essence
                .get(essence.len().saturating_sub(5)..)
                .is_some_and(|end| end.eq_ignore_ascii_case(b"+json"))
        })
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn accept(text: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(text))])
    }

    #[test]
    fn the_most_exact_range_and_the_highest_quality_decide() {
        let cases = [
            ("", Some(Framing::Array)),
            ("*/*", Some(Framing::Array)),
            ("application/*", Some(Framing::Array)),
            ("text/event-stream", Some(Framing::Events)),
            ("text/*", Some(Framing::Events)),
            ("Text/Event-Stream; charset=utf-8", Some(Framing::Events)),
            ("application/x-ndjson", Some(Framing::Ndjson)),
            ("application/jsonl", Some(Framing::Ndjson)),
            ("application/json, text/event-stream", Some(Framing::Array)),
            ("*/*, text/event-stream", Some(Framing::Events)),
            (
                "application/json;q=0.5, application/x-ndjson",
                Some(Framing::Ndjson),
            ),
            ("application/json;q=0, */*", Some(Framing::Ndjson)),
            ("image/png", None),
            ("*/*;q=0", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Framing::preferred(&accept(text)), expected, "{text:?}");
        }
        assert_eq!(Framing::preferred(&HeaderMap::new()), Some(Framing::Array));
    }

    #[test]
    fn json_is_taken_under_its_names() {
        for yes in [
            "",
            "*/*",
            "application/json",
            "application/*;q=0.1",
            "text/html, application/problem+json",
            "a/b+JSON; x=y",
        ] {
            assert!(accepts_json(&accept(yes)), "{yes:?}");
        }
        for no in ["text/html", "application/json;q=0", "image/*"] {
            assert!(!accepts_json(&accept(no)), "{no:?}");
        }
    }
}
