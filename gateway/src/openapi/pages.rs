//! A surface's document at `/openapi.json`, and a page to read it and try it at `/docs`.
//!
//! - A documented route comes first: a path that a route of the surface answers is not taken.
//! - The document is made when it is first asked for, and kept compressed. Everything is kept as gzip and sent so; a
//!   client that does not take gzip gets it unpacked.
//! - The page loads nothing from elsewhere, and its policy forbids it to.

use std::{
    io::{Read, Write},
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::Value;
use tonic::body::Body;

use crate::{reply::tag, router::Lookup, surface::Surface};

/// Where the document is.
pub const DOCUMENT_PATH: &str = "/openapi.json";

/// Where the page is.
pub const PAGE_PATH: &str = "/docs";

/// What the page may do: run its own script, style itself (Swagger UI sets styles on elements), show pictures that are
/// part of the style sheet, and call the listener it came from.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' \
                           data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The files of the page: path, media type, gzip or plain bytes.
const FILES: [(&str, &str, Stored); 4] = [
    (
        PAGE_PATH,
        "text/html; charset=utf-8",
        Stored::Plain(include_bytes!("../../assets/swagger-ui/index.html")),
    ),
    (
        "/docs/start.js",
        "text/javascript; charset=utf-8",
        Stored::Plain(include_bytes!("../../assets/swagger-ui/start.js")),
    ),
    (
        "/docs/swagger-ui-bundle.js",
        "text/javascript; charset=utf-8",
        Stored::Gzip(include_bytes!(
            "../../assets/swagger-ui/swagger-ui-bundle.js.gz"
        )),
    ),
    (
        "/docs/swagger-ui.css",
        "text/css; charset=utf-8",
        Stored::Gzip(include_bytes!("../../assets/swagger-ui/swagger-ui.css.gz")),
    ),
];

#[derive(Clone, Copy)]
enum Stored {
    Plain(&'static [u8]),
    Gzip(&'static [u8]),
}

/// The pages of one surface. Clones share the document.
#[derive(Clone)]
pub struct Pages {
    inner: Arc<Inner>,
}

struct Inner {
    build: Box<dyn Fn() -> Value + Send + Sync>,
    document: OnceLock<Bytes>,
    /// Whether a route of the surface has the path already.
    is_document_taken: bool,
    is_page_taken: bool,
}

impl Pages {
    /// The pages of a surface whose document `build` makes; it is called once, when the document is first asked for.
    pub fn new(surface: &Surface, build: impl Fn() -> Value + Send + Sync + 'static) -> Self {
        let is_taken = |path: &str| {
            let found = surface.router.lookup(&Method::GET, path);
            let is_taken = matches!(found, Lookup::Match(_));
            if is_taken {
                let surface = surface.name();
                tracing::warn!(
                    surface,
                    path,
                    "a route of the API has the path of its documentation"
                );
            }
            is_taken
        };
        Self {
            inner: Arc::new(Inner {
                build: Box::new(build),
                document: OnceLock::new(),
                is_document_taken: is_taken(DOCUMENT_PATH),
                is_page_taken: FILES.iter().any(|(path, ..)| is_taken(path)),
            }),
        }
    }

    /// The reply to a GET or HEAD of one of the pages; nothing for any other request.
    ///
    /// Pages carry their own Content-Security-Policy.
    pub fn answer<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return None;
        }
        let headers = request.headers();
        let mut reply = match request.uri().path() {
            DOCUMENT_PATH if !self.inner.is_document_taken => {
                let mut reply = packed(self.document(), headers);
                put(&mut reply, header::CONTENT_TYPE, "application/json");
                reply
            }
            path if path.starts_with(PAGE_PATH) && !self.inner.is_page_taken => {
                file(path, headers)?
            }
            _ => return None,
        };
        put(&mut reply, header::CACHE_CONTROL, "no-cache");
        if *request.method() == Method::HEAD {
            *reply.body_mut() = Body::empty();
        }
        Some(reply)
    }

    /// The document, compressed.
    fn document(&self) -> Bytes {
        let build = || gzip((self.inner.build)().to_string().as_bytes());
        self.inner.document.get_or_init(build).clone()
    }
}

fn file(path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
    let mut reply;
    if path.strip_suffix('/') == Some(PAGE_PATH) {
        // The page's own addresses are relative, so that it works behind a prefix.
        reply = Response::new(Body::empty());
        *reply.status_mut() = StatusCode::PERMANENT_REDIRECT;
        put(&mut reply, header::LOCATION, "../docs");
        return Some(reply);
    }
    let (_, media_type, stored) = FILES.iter().find(|(known, ..)| *known == path)?;
    reply = match *stored {
        Stored::Plain(bytes) => plain(Bytes::from_static(bytes), headers),
        Stored::Gzip(bytes) => packed(Bytes::from_static(bytes), headers),
    };
    put(&mut reply, header::CONTENT_TYPE, media_type);
    put(&mut reply, header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
    Some(reply)
}

/// A gzip text as it is, or unpacked for a client that does not take gzip.
fn packed(text: Bytes, headers: &HeaderMap) -> Response<Body> {
    let is_taken = takes_gzip(headers);
    let body = if is_taken { text } else { unpacked(&text) };
    let mut reply = plain(body, headers);
    put(&mut reply, header::VARY, "accept-encoding");
    if is_taken {
        put(&mut reply, header::CONTENT_ENCODING, "gzip");
    }
    reply
}

/// The bytes with their entity tag, or 304 for a client that has them.
fn plain(body: Bytes, headers: &HeaderMap) -> Response<Body> {
    let tag = tag::of(&body);
    let mut reply = Response::new(Body::empty());
    if tag::is_known(headers, &tag) {
        *reply.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        let length = HeaderValue::from(body.len());
        reply.headers_mut().insert(header::CONTENT_LENGTH, length);
        *reply.body_mut() = Body::new(Full::new(body));
    }
    reply.headers_mut().insert(header::ETAG, tag);
    reply
}

fn put(reply: &mut Response<Body>, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
}

/// Whether `Accept-Encoding` names gzip, or anything, without a weight of zero (RFC 9110, section 12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let given = headers.get_all(header::ACCEPT_ENCODING).iter();
    let codings = given
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
            let is_refused = weight
                .trim()
                .parse::<f32>()
                .is_ok_and(|weight| weight <= 0.0);
            matches!(name.trim(), "gzip" | "x-gzip" | "*").then_some((name.trim(), !is_refused))
        });
    let codings: Vec<(&str, bool)> = codings.collect();
    let named = codings.iter().find(|(name, _)| *name != "*");
    named
        .or(codings.first())
        .is_some_and(|(_, is_taken)| *is_taken)
}

/// Writing to memory does not fail.
fn gzip(text: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(text).and_then(|()| encoder.finish());
    written.unwrap_or_default().into()
}

/// What is unpacked was packed here or at build time.
fn unpacked(packed: &[u8]) -> Bytes {
    let mut text = Vec::new();
    match GzDecoder::new(packed).read_to_end(&mut text) {
        Ok(_) => text.into(),
        Err(_) => Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &'static str) -> bool {
        let value = HeaderValue::from_static(value);
        takes_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value)]))
    }

    #[test]
    fn gzip_is_taken_when_it_is_named_and_not_refused() {
        assert!(asked("gzip, deflate, br"));
        assert!(asked("br;q=1.0, gzip;q=0.8"));
        assert!(asked("*"));
        assert!(!asked("br"));
        assert!(!asked("gzip;q=0, *"));
        assert!(!asked("identity"));
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn packing_is_undone() {
        for (path, _, stored) in FILES {
            if let Stored::Gzip(bytes) = stored {
                assert!(unpacked(bytes).len() > bytes.len(), "{path}");
            }
        }
        assert_eq!(unpacked(&gzip(b"text")), "text");
    }
}
