//! What a request asks for, read from everything but its body.
//!
//! A request that speaks no Connect, or not where it may, is refused with an HTTP status, as the document has it, and the
//! error that clients make of it. All
//! other faults are kept until the checks in front of the service have passed, and then take the place of the body.

use std::time::Duration;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method as Verb, Response, StatusCode, Version, header,
    request::Parts,
};
use tonic::{Status, body::Body};

use super::{
    encoding, error,
    methods::{ConnectOptions, Kind, Method},
    query::Query,
};
use crate::{compress::Coding, deadline::allowed};

const STREAM_ENCODING: HeaderName = HeaderName::from_static("connect-content-encoding");
const STREAM_ACCEPT: HeaderName = HeaderName::from_static("connect-accept-encoding");

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Proto,
}

/// Where the request's messages are.
pub(super) enum Source {
    /// The body is the only one.
    Body,
    /// In the query of a GET, without the compression.
    Query(Vec<u8>),
    /// Enveloped, one after the other, in the body.
    Envelopes,
}

/// One call.
pub(super) struct Call {
    pub(super) format: Format,
    pub(super) source: Source,
    /// Of the request.
    pub(super) encoding: Option<Coding>,
    pub(super) reply_encoding: Option<Coding>,
    /// How long the call may take; none for a stream without a limit.
    pub(super) timeout: Option<Duration>,
    /// Something in the head is wrong.
    pub(super) fault: Option<Status>,
}

impl Call {
    /// Reads the head of a request. An answer instead where it is none of Connect.
    pub(super) fn read(
        method: &Method,
        parts: &Parts,
        options: &ConnectOptions,
    ) -> Result<Self, Box<Response<Body>>> {
        let is_get = parts.method == Verb::GET && method.is_safe && method.kind == Kind::Unary;
        if !is_get && parts.method != Verb::POST {
            return Err(wrong_verb(method, &parts.method));
        }
        if method.kind == Kind::BidiStream && parts.version < Version::HTTP_2 {
            let status = StatusCode::HTTP_VERSION_NOT_SUPPORTED;
            let message = "streams in both directions need HTTP/2";
            return Err(Box::new(error::refusal(status, message)));
        }
        let mut call = if is_get {
            Self::of_get(parts)
        } else if method.kind == Kind::Unary {
            Self::of_unary(&parts.headers)
        } else {
            Self::of_stream(&parts.headers)
        }
        .ok_or_else(|| wrong_type(method))?;
        let asked = call.or_fault(timeout(&parts.headers)).flatten();
        call.timeout = allowed(asked, &options.deadlines, call.is_stream());
        call.or_fault(version(&parts.headers));
        Ok(call)
    }

    /// None where the codec is not one of ours.
    fn of_unary(headers: &HeaderMap) -> Option<Self> {
        let format = format(headers, "application/")?;
        let name = headers.get(header::CONTENT_ENCODING);
        Some(Self::new(
            format,
            Source::Body,
            headers,
            name,
            &header::ACCEPT_ENCODING,
        ))
    }

    fn of_stream(headers: &HeaderMap) -> Option<Self> {
        let format = format(headers, "application/connect+")?;
        let name = headers.get(STREAM_ENCODING);
        Some(Self::new(
            format,
            Source::Envelopes,
            headers,
            name,
            &STREAM_ACCEPT,
        ))
    }

    fn of_get(parts: &Parts) -> Option<Self> {
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let format = match query.encoding? {
            "json" => Format::Json,
            "proto" => Format::Proto,
            _ => return None,
        };
        let mut call = Self::new(
            format,
            Source::Query(Vec::new()),
            &parts.headers,
            None,
            &header::ACCEPT_ENCODING,
        );
        if let Some(encoding) = call.or_fault(query.compression()) {
            call.encoding = encoding;
            call.reply_encoding =
                encoding::of_reply(&parts.headers, &header::ACCEPT_ENCODING, encoding);
        }
        if let Some(message) = call.or_fault(query.message()) {
            call.source = Source::Query(message);
        }
        Some(call)
    }

    fn new(
        format: Format,
        source: Source,
        headers: &HeaderMap,
        encoding: Option<&HeaderValue>,
        accept: &HeaderName,
    ) -> Self {
        let (encoding, fault) = match encoding::of_request(encoding.map(HeaderValue::as_bytes)) {
            Ok(encoding) => (encoding, None),
            Err(fault) => (None, Some(fault)),
        };
        Self {
            format,
            source,
            encoding,
            reply_encoding: encoding::of_reply(headers, accept, encoding),
            timeout: None,
            fault,
        }
    }

    /// The value; the first fault is kept.
    pub(super) fn or_fault<T>(&mut self, read: Result<T, Status>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(fault) => {
                self.fault.get_or_insert(fault);
                None
            }
        }
    }

    pub(super) fn is_stream(&self) -> bool {
        matches!(self.source, Source::Envelopes)
    }

    /// The media type of a successful reply, which is the request's.
    pub(super) fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static(match (self.is_stream(), self.format) {
            (false, Format::Json) => "application/json",
            (false, Format::Proto) => "application/proto",
            (true, Format::Json) => "application/connect+json",
            (true, Format::Proto) => "application/connect+proto",
        })
    }
}

/// The codec behind the prefix of the media type. JSON is UTF-8, whatever else a parameter says.
fn format(headers: &HeaderMap, prefix: &str) -> Option<Format> {
    let value = headers
        .get(header::CONTENT_TYPE)?
        .to_str()
        .ok()?
        .to_ascii_lowercase();
    let (essence, parameters) = value.split_once(';').unwrap_or((&value, ""));
    let is_utf8 = parameters
        .split(';')
        .filter_map(|parameter| parameter.trim().strip_prefix("charset="))
        .all(|charset| charset.trim_matches('"') == "utf-8");
    match essence.trim().strip_prefix(prefix)? {
        "json" if is_utf8 => Some(Format::Json),
        "proto" => Some(Format::Proto),
        _ => None,
    }
}

/// `Connect-Timeout-Ms`: at most ten digits.
fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get("connect-timeout-ms") else {
        return Ok(None);
    };
    let digits = value.to_str().unwrap_or_default();
    let is_number = (1..=10).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    match digits.parse() {
        Ok(ms) if is_number => Ok(Some(Duration::from_millis(ms))),
        _ => Err(Status::invalid_argument(
            "Connect-Timeout-Ms must be a number of at most ten digits",
        )),
    }
}

/// `Connect-Protocol-Version`, which need not be there.
fn version(headers: &HeaderMap) -> Result<(), Status> {
    match headers.get("connect-protocol-version") {
        Some(version) if version != "1" => Err(Status::invalid_argument(
            "Connect-Protocol-Version must be 1",
        )),
        _ => Ok(()),
    }
}

/// 405, or what the path answers for an OPTIONS that asks.
#[cold]
fn wrong_verb(method: &Method, verb: &Verb) -> Box<Response<Body>> {
    let allow = if method.is_safe && method.kind == Kind::Unary {
        "GET, POST"
    } else {
        "POST"
    };
    let mut reply = if *verb == Verb::OPTIONS {
        let mut reply = Response::new(Body::empty());
        *reply.status_mut() = StatusCode::NO_CONTENT;
        reply
    } else {
        let message = format!("{verb} is not answered here; use {allow}");
        error::refusal(StatusCode::METHOD_NOT_ALLOWED, &message)
    };
    reply
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allow));
    Box::new(reply)
}

#[cold]
fn wrong_type(method: &Method) -> Box<Response<Body>> {
    let accept = match method.kind {
        Kind::Unary => "application/json, application/proto",
        _ => "application/connect+json, application/connect+proto",
    };
    let message = format!("Content-Type must be one of {accept}");
    let mut reply = error::refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, &message);
    reply
        .headers_mut()
        .insert("accept-post", HeaderValue::from_static(accept));
    Box::new(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_at_most_ten_digits() {
        let read = |text: &str| {
            timeout(&HeaderMap::from_iter([(
                HeaderName::from_static("connect-timeout-ms"),
                text.parse().unwrap(),
            )]))
        };
        assert_eq!(
            read("9999999999").unwrap(),
            Some(Duration::from_millis(9_999_999_999))
        );
        for bad in ["", "-1", "+1", "1.5", "12345678901", "1 "] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn media_types_are_read_without_case_and_parameters() {
        let read = |text: &str, prefix| {
            format(
                &HeaderMap::from_iter([(header::CONTENT_TYPE, text.parse().unwrap())]),
                prefix,
            )
        };
        assert_eq!(
            read("Application/JSON; Charset=\"UTF-8\"", "application/"),
            Some(Format::Json)
        );
        assert_eq!(
            read("application/proto", "application/"),
            Some(Format::Proto)
        );
        assert_eq!(
            read("application/json; charset=latin1", "application/"),
            None
        );
        assert_eq!(read("application/connect+json", "application/"), None);
        assert_eq!(
            read("application/connect+json", "application/connect+"),
            Some(Format::Json)
        );
        assert_eq!(read("application/jsonx", "application/"), None);
    }
}
