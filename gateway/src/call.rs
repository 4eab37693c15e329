//! The head of a gRPC call, as REST and Connect make it of a request's.

use std::time::Duration;

use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri,
    Version, header,
};
use tonic::Status;

use crate::{
    deadline::{GRPC_TIMEOUT, to_grpc_timeout},
    metadata::PassList,
};

/// The head of a call to `uri` over the wire, with what passes of the headers, and the name of a binary header that is no
/// base64, which did not.
pub(crate) fn head(
    uri: Uri,
    headers: &HeaderMap,
    extensions: Extensions,
    rules: &PassList,
    timeout: Option<Duration>,
) -> (Request<()>, Result<(), HeaderName>) {
    let (mut head, copied) = bare_head(uri, headers, extensions, rules, timeout);
    let metadata = head.headers_mut();
    metadata.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    metadata.insert(header::TE, HeaderValue::from_static("trailers"));
    (head, copied)
}

/// Like [`head`], within the process and without a media type. A unary reply to it may be bare as well: its message alone,
/// without a media type, a frame and trailers ([`crate::server`]). Whoever does not know of that answers as always.
pub(crate) fn bare_head(
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
    // A map makes room for six by itself, and few of a request's headers pass.
    if headers.len() > 4 {
        metadata.reserve(headers.len() + 4);
    }
    let copied = rules.copy_request(headers, metadata);
    if let Some(timeout) = timeout {
        metadata.insert(GRPC_TIMEOUT, to_grpc_timeout(timeout));
    }
    (head, copied)
}

/// Whether a call is bare.
pub(crate) fn is_bare(headers: &HeaderMap) -> bool {
    !headers.contains_key(header::CONTENT_TYPE)
}

/// Whether a reply to a bare call is the message of one that went well, and nothing else. What a layer in front of the
/// services answers has another status perhaps, and no message.
pub(crate) fn is_bare_reply<B>(reply: &Response<B>) -> bool {
    let headers = reply.headers();
    reply.status() == StatusCode::OK
        && is_bare(headers)
        && !headers.contains_key(Status::GRPC_STATUS)
}
