//! Entity tags (RFC 9110, section 8.8.3): a reply that a client already has is not sent again.

use http::{HeaderMap, HeaderValue, header, header::Entry};
use xxhash_rust::xxh3::xxh3_128;

/// The tag of a body. Weak, as the same data may be sent in several codings.
pub(crate) fn of(body: &[u8]) -> HeaderValue {
    let tag = format!("W/\"{:032x}\"", xxh3_128(body));
    HeaderValue::try_from(tag).unwrap_or_else(|_| HeaderValue::from_static("W/\"\""))
}

/// Makes weak what a service says of its bytes, where others go out: a strong tag is one coding's alone (section 8.8.3.3).
#[cold]
pub(crate) fn weaken(headers: &mut HeaderMap) {
    let Entry::Occupied(mut tags) = headers.entry(header::ETAG) else {
        return;
    };
    for tag in tags
        .iter_mut()
        .filter(|tag| tag.as_bytes().starts_with(b"\""))
    {
        if let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
            *tag = weak;
        }
    }
}

/// Whether the client's If-None-Match knows the tag, by weak comparison.
pub(crate) fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let opaque = |tag: &[u8]| -> Vec<u8> { tag.strip_prefix(b"W/").unwrap_or(tag).to_vec() };
    let ours = opaque(tag.as_bytes());
    headers.get_all(header::IF_NONE_MATCH).iter().any(|value| {
        let value = value.as_bytes().trim_ascii();
        value == b"*"
            || value
                .split(|b| *b == b',')
                .any(|known| opaque(known.trim_ascii()) == ours)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly_in_lists() {
        let tag = of(b"body");
        let ask = |text: String| {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, text.parse().unwrap())]);
            is_known(&headers, &tag)
        };
        let text = tag.to_str().unwrap().to_owned();
        assert!(ask(text.clone()));
        assert!(ask(format!("\"x\" , {text}")));
        assert!(ask(text.trim_start_matches("W/").to_owned()));
        assert!(ask("*".to_owned()));
        assert!(!ask("\"x\"".to_owned()));
        assert_ne!(of(b"bodx"), tag);
        assert!(!is_known(&HeaderMap::new(), &tag));
    }
}
