//! Headers of the request as metadata of the call, and metadata of the reply as headers.
//!
//! Values of `-bin` names are base64 on both sides, with or without padding, and pass as they are.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header};
use tonic::body::Body;

/// The call to the service.
pub(super) fn grpc_request(
    uri: Uri,
    headers: &HeaderMap,
    extensions: http::Extensions,
    timeout: Option<HeaderValue>,
    body: Body,
) -> Request<Body> {
    let mut call = Request::new(body);
    *call.method_mut() = Method::POST;
    *call.version_mut() = Version::HTTP_2;
    *call.uri_mut() = uri;
    *call.extensions_mut() = extensions;
    let metadata = call.headers_mut();
    metadata.reserve(headers.len() + 3);
    for (name, value) in headers {
        if !describes_the_request(name) {
            metadata.append(name.clone(), value.clone());
        }
    }
    metadata.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    metadata.insert(header::TE, HeaderValue::from_static("trailers"));
    if let Some(timeout) = timeout {
        metadata.insert("grpc-timeout", timeout);
    }
    call
}

/// Names of the HTTP message itself, of one of the two protocols, or kept by the gateway.
fn describes_the_request(name: &HeaderName) -> bool {
    let text = name.as_str();
    is_kept(text)
        || matches!(
            text,
            "connection" | "keep-alive" | "proxy-connection" | "upgrade" | "host" | "expect"
        )
}

/// Names that are no metadata in either direction.
fn is_kept(name: &str) -> bool {
    ["grpc-", "connect-", "pulpo-"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || matches!(
            name,
            "content-type"
                | "content-length"
                | "content-encoding"
                | "accept-encoding"
                | "transfer-encoding"
                | "te"
                | "trailer"
        )
}

fn is_reply_metadata(name: &HeaderName) -> bool {
    !is_kept(name.as_str()) && *name != header::DATE
}

/// Leading metadata as headers.
pub(super) fn copy_leading(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from.iter().filter(|(name, _)| is_reply_metadata(name)) {
        to.append(name.clone(), value.clone());
    }
}

/// Trailing metadata of a unary reply: headers with `trailer-` before their names.
pub(super) fn copy_trailing(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from.iter().filter(|(name, _)| is_reply_metadata(name)) {
        // A name that is too long for a header has no place in a unary reply.
        if let Ok(name) = HeaderName::try_from(format!("trailer-{name}")) {
            to.append(name, value.clone());
        }
    }
}

/// Trailing metadata of a stream: names with their values, in the order they came. Only printable ASCII is metadata.
pub(super) fn trailing(from: &HeaderMap) -> Vec<(&str, Vec<&str>)> {
    from.keys()
        .filter(|name| is_reply_metadata(name))
        .map(|name| {
            let values = from.get_all(name).iter();
            let values = values.filter_map(|value| value.to_str().ok()).collect();
            (name.as_str(), values)
        })
        .collect()
}
