//! The head of a gRPC call, as REST and Connect make it of a request's.

use std::time::Duration;

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header};

use crate::{
    deadline::{GRPC_TIMEOUT, to_grpc_timeout},
    metadata::PassList,
};

/// The head of a call to `uri`, with what passes of the headers, and the name of a binary header that is no base64, which
/// did not.
pub(crate) fn head(
    uri: Uri,
    headers: &HeaderMap,
    extensions: Extensions,
    rules: &PassList,
    timeout: Option<Duration>,
) -> (Request<()>, Result<(), HeaderName>) {
    let mut head = Request::new(());
    *head.method_mut() = Method::POST;
    *head.version_mut() = Version::HTTP_2;
    *head.uri_mut() = uri;
    *head.extensions_mut() = extensions;
    let metadata = head.headers_mut();
    metadata.reserve(headers.len() + 4);
    let copied = rules.copy(headers, metadata);
    metadata.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    metadata.insert(header::TE, HeaderValue::from_static("trailers"));
    if let Some(timeout) = timeout {
        metadata.insert(GRPC_TIMEOUT, to_grpc_timeout(timeout));
    }
    (head, copied)
}
