//! The reply of a unary call: one message or one error, with the metadata of both ends of the call as headers.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body_util::{BodyExt, Full};
use tonic::{Code, Status, body::Body};

use super::{
    call::{Call, Format},
    encoding, error, metadata,
    methods::{Method, Methods},
    request::Refusal,
};
use crate::{
    compress::Coding,
    fault::http_status,
    frame::{Deframer, FrameFault, GRPC_ENCODING},
};

/// What a service answered, read to its end.
pub(super) struct Answer {
    pub(super) outcome: Result<Bytes, Status>,
    pub(super) leading: HeaderMap,
    pub(super) trailing: HeaderMap,
}

impl From<Status> for Answer {
    fn from(status: Status) -> Self {
        Self {
            outcome: Err(status),
            leading: HeaderMap::new(),
            trailing: HeaderMap::new(),
        }
    }
}

/// Reads the one message of a unary reply and its trailers.
pub(super) async fn read(methods: &Methods, response: Response<Body>) -> Answer {
    let (parts, mut body) = response.into_parts();
    let mut deframer = deframer(methods, &parts.headers);
    let mut answer = Answer {
        outcome: Ok(Bytes::new()),
        leading: parts.headers,
        trailing: HeaderMap::new(),
    };
    // All there is stands in the headers.
    if let Some(status) = Status::from_header_map(&answer.leading) {
        answer.outcome = Err(refused(status));
        return answer;
    }
    let mut found = None;
    while let Some(frame) = body.frame().await {
        let read = frame.and_then(|frame| match frame.into_data() {
            Ok(data) => {
                deframer.push(data);
                take_only(&mut deframer, &mut found)
            }
            Err(frame) => {
                answer.trailing = frame.into_trailers().unwrap_or_default();
                Ok(())
            }
        });
        if let Err(status) = read {
            answer.outcome = Err(status);
            return answer;
        }
    }
    answer.outcome = match ended(parts.status, &answer.trailing) {
        status if status.code() != Code::Ok => Err(status),
        _ => deframer
            .finish()
            .map_err(frame_fault)
            .and(found.ok_or_else(missing)),
    };
    answer
}

fn take_only(deframer: &mut Deframer, found: &mut Option<Bytes>) -> Result<(), Status> {
    while let Some(message) = deframer.next().map_err(frame_fault)? {
        if found.replace(message).is_some() {
            return Err(broken("the service gave more than one message"));
        }
    }
    Ok(())
}

/// The client's reply.
pub(super) fn print(
    methods: &Methods,
    method: &Method,
    call: &Call,
    mut answer: Answer,
    refusal: &Refusal,
) -> Response<Body> {
    if let (Err(status), Some(refused)) = (&mut answer.outcome, refusal.get()) {
        *status = refused.clone();
    }
    let printed = answer
        .outcome
        .and_then(|message| write(methods, method, call.format, message));
    let (status, content_type, body) = match printed {
        Ok(body) => (http::StatusCode::OK, call.content_type(), body),
        Err(status) => (
            http_status(status.code()),
            HeaderValue::from_static("application/json"),
            error::body(&methods.details, &status).into(),
        ),
    };
    let compressed = encoding::compress(call.reply_encoding, &body);
    let encoding = compressed
        .is_some()
        .then(|| call.reply_encoding.map(Coding::name))
        .flatten();
    let body = compressed.unwrap_or(body);
    let mut reply = Response::new(Body::new(Full::new(body)));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    let rules = &methods.options.metadata.replies;
    metadata::copy_leading(rules, &answer.leading, headers);
    metadata::copy_trailing(rules, &answer.trailing, headers);
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, encoding);
    }
    reply
}

fn write(
    methods: &Methods,
    method: &Method,
    format: Format,
    message: Bytes,
) -> Result<Bytes, Status> {
    if format == Format::Proto {
        return Ok(message);
    }
    let mut json = Vec::with_capacity(message.len() * 2 + 16);
    write_json(methods, method, &message, &mut json)?;
    Ok(json.into())
}

/// Appends the JSON of a reply message.
pub(super) fn write_json(
    methods: &Methods,
    method: &Method,
    message: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Status> {
    methods
        .codec
        .write_json(method.output, message, out)
        .map_err(|fault| broken(&fault.to_string()))
}

/// Takes messages out of a reply with these headers.
pub(super) fn deframer(methods: &Methods, headers: &HeaderMap) -> Deframer {
    let is_gzip = headers
        .get(GRPC_ENCODING)
        .is_some_and(|encoding| encoding == "gzip");
    Deframer::new(methods.options.limits.max_reply_bytes, is_gzip)
}

/// How a reply ended that had its say in trailers.
pub(super) fn ended(http: http::StatusCode, trailers: &HeaderMap) -> Status {
    Status::from_header_map(trailers).unwrap_or_else(|| {
        if http == http::StatusCode::OK {
            broken("the service ended without a status")
        } else {
            error::from_http(http)
        }
    })
}

/// The status of a reply of nothing but headers. Where it says that all is well, a message is missing.
fn refused(status: Status) -> Status {
    if status.code() == Code::Ok {
        missing()
    } else {
        status
    }
}

fn missing() -> Status {
    broken("the service gave no message")
}

pub(super) fn frame_fault(fault: FrameFault) -> Status {
    match fault {
        FrameFault::TooLong { .. } => Status::resource_exhausted(format!("of the reply, {fault}")),
        _ => broken(&fault.to_string()),
    }
}

/// A reply that cannot be passed on. What is wrong with it is for the log.
pub(super) fn broken(problem: &str) -> Status {
    tracing::error!(problem, "a service gave a reply that cannot be passed on");
    Status::internal("the service gave a reply that cannot be passed on")
}
