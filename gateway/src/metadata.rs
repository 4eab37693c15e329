//! Which HTTP headers become gRPC metadata, and which metadata becomes headers: lists of what may pass.

use std::collections::HashMap;

use base64::{
    Engine, alphabet, engine::DecodePaddingMode, engine::GeneralPurpose,
    engine::GeneralPurposeConfig,
};
use foldhash::fast::RandomState;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::trace::{self, TRACEPARENT, TRACESTATE};

/// Padded or not, as gRPC over HTTP/2 allows for `-bin` metadata.
const BINARY: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Request headers that pass where a surface names none: credentials, what clients send for idempotency, caching, tracing
/// and identification, and everything that is nobody's standard.
const REQUEST_DEFAULTS: [&str; 15] = [
    "accept-language",
    "authorization",
    "baggage",
    "idempotency-key",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-unmodified-since",
    "last-event-id",
    "origin",
    "referer",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-*",
];

/// The rules of one surface, for both directions.
#[derive(Clone, Debug)]
pub struct MetadataRules {
    /// From request headers to metadata.
    pub requests: PassList,
    /// From the metadata and trailers of replies to headers.
    pub replies: PassList,
}

impl Default for MetadataRules {
    /// The usual request headers and all `x-` and `-bin` ones; all metadata of replies.
    fn default() -> Self {
        let mut requests = PassList::default();
        for name in REQUEST_DEFAULTS.into_iter().chain(["*-bin"]) {
            // The names above are well-formed; a test says so.
            let _ = requests.pass(name);
        }
        Self {
            requests,
            replies: PassList::all(),
        }
    }
}

/// Names that may pass, some under another name. What describes the HTTP message itself, and what gRPC and Connect keep
/// for themselves, never passes.
#[derive(Clone, Debug, Default)]
pub struct PassList {
    exact: HashMap<HeaderName, HeaderName, RandomState>,
    /// A bit for each length of those names, the last one for all that are longer: most headers need no further look.
    lengths: u64,
    prefixes: Vec<Box<str>>,
    suffixes: Vec<Box<str>>,
    is_all: bool,
}

/// A rule that can't be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PassFault {
    /// The text is no header name, nor one with a `*` at one end.
    #[error("'{0}' is not a header name")]
    Name(String),
    /// The name is one that never passes.
    #[error("'{0}' belongs to HTTP, gRPC or Connect itself and cannot pass")]
    Reserved(String),
}

impl PassList {
    /// Everything that may pass at all.
    pub fn all() -> Self {
        Self {
            is_all: true,
            ..Self::default()
        }
    }

    /// Lets a name pass: `x-tenant`, `x-*`, `*-bin`, or `*` for everything.
    pub fn pass(&mut self, pattern: &str) -> Result<(), PassFault> {
        let part = |text: &str| {
            format!("{text}x")
                .parse::<HeaderName>()
                .map(|_| text.to_ascii_lowercase().into_boxed_str())
                .map_err(|_| PassFault::Name(pattern.to_owned()))
        };
        if pattern == "*" {
            self.is_all = true;
        } else if let Some(prefix) = pattern.strip_suffix('*') {
            self.prefixes.push(part(prefix)?);
        } else if let Some(suffix) = pattern.strip_prefix('*') {
            self.suffixes.push(part(suffix)?);
        } else {
            return self.rename(pattern, pattern);
        }
        Ok(())
    }

    /// Lets a name pass under another one.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<(), PassFault> {
        let (from, to) = (name(from)?, name(to)?);
        self.lengths |= length_bit(&from);
        self.exact.insert(from, to);
        Ok(())
    }

    /// The name a header passes under, if it passes.
    fn target<'n>(&'n self, header: &'n HeaderName) -> Option<&'n HeaderName> {
        if self.lengths & length_bit(header) != 0
            && let Some(name) = self.exact.get(header)
        {
            return Some(name);
        }
        let text = header.as_str();
        let passes = self.is_all
            || self
                .prefixes
                .iter()
                .any(|prefix| text.starts_with(&**prefix))
            || self.suffixes.iter().any(|suffix| text.ends_with(&**suffix));
        (passes && !is_reserved(text)).then_some(header)
    }

    /// Copies what passes. Answers the name of a binary header whose value is no base64, which is not copied.
    pub(crate) fn copy(&self, from: &HeaderMap, to: &mut HeaderMap) -> Result<(), HeaderName> {
        self.each(from, |name, value| {
            to.append(name.clone(), value.clone());
        })
    }

    /// Copies what passes of a request. A `traceparent` that is none, or not the only one, stays behind with its `tracestate`:
    /// whoever is behind begins a trace of its own.
    pub(crate) fn copy_request(
        &self,
        from: &HeaderMap,
        to: &mut HeaderMap,
    ) -> Result<(), HeaderName> {
        let mut is_untraceable = false;
        let copied = self.each(from, |name, value| {
            // Most names are not even as long.
            let is_parent =
                name.as_str().len() == TRACEPARENT.as_str().len() && *name == TRACEPARENT;
            let is_second = is_parent && to.contains_key(name);
            is_untraceable |= is_second || (is_parent && !trace::is_valid(value));
            to.append(name.clone(), value.clone());
        });
        if is_untraceable {
            to.remove(TRACEPARENT);
            to.remove(TRACESTATE);
        }
        copied
    }

    /// Visits what passes, under the name it passes with. Answers as [`Self::copy`] does.
    pub(crate) fn each<'h>(
        &'h self,
        from: &'h HeaderMap,
        mut visit: impl FnMut(&'h HeaderName, &'h HeaderValue),
    ) -> Result<(), HeaderName> {
        let mut refused = None;
        for (name, value) in from {
            let Some(target) = self.target(name) else {
                continue;
            };
            if is_sound(target, value) {
                visit(target, value);
            } else {
                refused = Some(name.clone());
            }
        }
        refused.map_or(Ok(()), Err)
    }
}

fn length_bit(name: &HeaderName) -> u64 {
    1 << name.as_str().len().min(63)
}

fn name(text: &str) -> Result<HeaderName, PassFault> {
    let name: HeaderName = text.parse().map_err(|_| PassFault::Name(text.to_owned()))?;
    if is_reserved(name.as_str()) {
        return Err(PassFault::Reserved(text.to_owned()));
    }
    Ok(name)
}

/// Whether the value is one of its kind: binary metadata is base64.
fn is_sound(name: &HeaderName, value: &HeaderValue) -> bool {
    !name.as_str().ends_with("-bin") || BINARY.decode(value.as_bytes()).is_ok()
}

/// What describes the HTTP message itself, and names that gRPC, Connect and the gateway keep for themselves.
fn is_reserved(name: &str) -> bool {
    name.starts_with("grpc-")
        || name.starts_with("connect-")
        || name.starts_with("pulpo-")
        // Which pages may read a reply is the surface's to say, not the service's.
        || name.starts_with("access-control-")
        || matches!(
            name,
            "accept"
                | "accept-encoding"
                | "connection"
                | "content-encoding"
                | "content-length"
                | "content-type"
                | "date"
                | "expect"
                | "host"
                | "keep-alive"
                | "proxy-authenticate"
                | "proxy-authorization"
                | "proxy-connection"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|&(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn the_defaults_are_names() {
        let mut list = PassList::default();
        for name in REQUEST_DEFAULTS {
            assert_eq!(list.pass(name), Ok(()));
        }
    }

    #[test]
    fn only_what_is_listed_passes_and_some_under_another_name() {
        let mut list = PassList::default();
        list.pass("x-*").unwrap();
        list.rename("X-Old", "tenant").unwrap();
        let mut to = HeaderMap::new();
        let from = headers(&[
            ("x-old", "1"),
            ("x-new", "2"),
            ("x-new", "3"),
            ("cookie", "4"),
            ("grpc-timeout", "1S"),
        ]);
        list.copy(&from, &mut to).unwrap();
        assert_eq!(
            to,
            headers(&[("tenant", "1"), ("x-new", "2"), ("x-new", "3")])
        );
        assert_eq!(
            list.rename("grpc-status", "x"),
            Err(PassFault::Reserved("grpc-status".to_owned()))
        );
        assert_eq!(list.pass("a b"), Err(PassFault::Name("a b".to_owned())));
    }

    #[test]
    fn reserved_names_never_pass() {
        let mut to = HeaderMap::new();
        let from = headers(&[
            ("host", "a"),
            ("te", "b"),
            ("pulpo-http-status", "200"),
            ("grpc-status", "0"),
            ("connect-timeout-ms", "5"),
        ]);
        PassList::all().copy(&from, &mut to).unwrap();
        assert!(to.is_empty());
    }

    #[test]
    fn binary_metadata_is_base64() {
        let mut to = HeaderMap::new();
        let good = headers(&[("a-bin", "AAE="), ("b-bin", "AAE")]);
        PassList::all().copy(&good, &mut to).unwrap();
        assert_eq!(to.len(), 2);
        let bad = headers(&[("c-bin", "%%%"), ("d", "e")]);
        let refused = PassList::all().copy(&bad, &mut to).unwrap_err();
        assert_eq!((refused.as_str(), to.len()), ("c-bin", 3));
    }
}
