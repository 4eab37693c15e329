//! Metadata of the reply as headers: what passes, and under which name, is said by the same rules that REST goes by.
//!
//! Values of `-bin` names are base64 on both sides, with or without padding, and pass as they are.

use http::{HeaderMap, HeaderName};

use crate::metadata::PassList;

/// Leading metadata as headers.
pub(super) fn copy_leading(rules: &PassList, from: &HeaderMap, to: &mut HeaderMap) {
    note(rules.copy(from, to));
}

/// Trailing metadata of a unary reply: headers with `trailer-` before their names.
pub(super) fn copy_trailing(rules: &PassList, from: &HeaderMap, to: &mut HeaderMap) {
    note(rules.each(from, |name, value| {
        // A name that is too long for a header has no place in a unary reply.
        if let Ok(name) = HeaderName::try_from(format!("trailer-{name}")) {
            to.append(name, value.clone());
        }
    }));
}

/// Trailing metadata of a stream: names with their values, in the order they came. Only printable ASCII is metadata.
pub(super) fn trailing<'h>(
    rules: &'h PassList,
    from: &'h HeaderMap,
) -> Vec<(&'h str, Vec<&'h str>)> {
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    note(rules.each(from, |name, value| {
        let Ok(value) = value.to_str() else { return };
        match found.iter_mut().find(|(known, _)| *known == name.as_str()) {
            Some((_, values)) => values.push(value),
            None => found.push((name.as_str(), vec![value])),
        }
    }));
    found
}

fn note(copied: Result<(), HeaderName>) {
    if let Err(name) = copied {
        tracing::warn!(%name, "binary metadata of a reply is not base64 and was left out");
    }
}
