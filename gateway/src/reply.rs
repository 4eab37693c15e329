//! The reply on its way out: the message of a gRPC response as JSON (or as it is), its metadata as headers.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use tonic::{Code, Status, body::Body};

use crate::{
    fault::{ErrorContext, Fault},
    surface::{Endpoint, Surface},
    wire,
};

/// Response metadata with which a service chooses another HTTP status for a successful reply, for example 503 for a
/// health report.
pub const STATUS_METADATA: &str = "pulpo-http-status";

/// Turns the gRPC response of a unary method into the REST reply.
pub(crate) async fn unary(
    surface: &Surface,
    endpoint: &Endpoint,
    response: Response<Body>,
    context: ErrorContext<'_>,
) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let outcome = match Status::from_header_map(&parts.headers) {
        Some(status) if status.code() != Code::Ok => Err(Box::new(Fault::from_status(&status))),
        _ => message(body, &mut parts.headers).await,
    };
    let printed = outcome.and_then(|message| print(surface, endpoint, message));
    match printed {
        Ok((content_type, body)) => {
            let status = chosen_status(&parts.headers).unwrap_or(endpoint.status);
            let mut reply = Response::new(full(body));
            *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            copy_metadata(&parts.headers, reply.headers_mut());
            reply
                .headers_mut()
                .insert(header::CONTENT_TYPE, content_type);
            reply
        }
        Err(fault) => {
            let mut reply = refusal(surface, &fault, context);
            copy_metadata(&parts.headers, reply.headers_mut());
            reply
        }
    }
}

/// A fault in the surface's own words.
pub(crate) fn refusal(
    surface: &Surface,
    fault: &Fault,
    context: ErrorContext<'_>,
) -> Response<Body> {
    let rendered = surface.options.errors.render(fault, context);
    let mut reply = Response::new(full(rendered.body.into()));
    *reply.status_mut() = rendered.status;
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, rendered.content_type);
    for (name, value) in rendered.headers {
        headers.insert(name, value);
    }
    if let Some(allow) = &fault.allow {
        headers.insert(header::ALLOW, allow.clone());
    }
    if let Some(wait) = fault.retry_after {
        // Rounded up: a client that comes back then must not be refused again.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    reply
}

/// The fault a gRPC response carries, if it is one.
pub(crate) fn fault_of(response: &Response<Body>) -> Option<Fault> {
    let status = Status::from_header_map(response.headers())?;
    (status.code() != Code::Ok).then(|| Fault::from_status(&status))
}

async fn message(body: Body, headers: &mut HeaderMap) -> Result<Bytes, Box<Fault>> {
    let collected = body
        .collect()
        .await
        .map_err(|status| Box::new(Fault::from_status(&status)))?;
    if let Some(trailers) = collected.trailers() {
        if let Some(status) = Status::from_header_map(trailers).filter(|s| s.code() != Code::Ok) {
            return Err(Box::new(Fault::from_status(&status)));
        }
        for (name, value) in trailers {
            headers.insert(name.clone(), value.clone());
        }
    }
    wire::only_message(collected.to_bytes()).ok_or_else(|| broken("the reply is not one message"))
}

fn print(
    surface: &Surface,
    endpoint: &Endpoint,
    message: Bytes,
) -> Result<(HeaderValue, Bytes), Box<Fault>> {
    if let Some(number) = endpoint.raw_response {
        return raw(message, number);
    }
    let envelope = surface.options.envelope.filter(|_| !endpoint.is_bare);
    let mut out = Vec::with_capacity(message.len() * 2 + 64);
    if let Some(envelope) = envelope {
        out.extend_from_slice(envelope.prefix.as_bytes());
    }
    let is_absent = match endpoint.response_number {
        Some(number) if envelope.is_some() => wire::find_bytes(message.clone(), number)
            .map_err(damaged)?
            .is_none(),
        _ => false,
    };
    if let (true, Some(envelope)) = (is_absent, envelope) {
        out.extend_from_slice(envelope.absent.as_bytes());
    } else {
        let written = match endpoint.binder.response_body() {
            Some(path) => surface.codec.write_field_json(path, &message, &mut out),
            None => surface
                .codec
                .write_json(endpoint.response, &message, &mut out),
        };
        written.map_err(|fault| broken(&fault.to_string()))?;
    }
    if let Some(envelope) = envelope {
        out.extend_from_slice(envelope.suffix.as_bytes());
    }
    Ok((HeaderValue::from_static("application/json"), out.into()))
}

fn raw(message: Bytes, number: u32) -> Result<(HeaderValue, Bytes), Box<Fault>> {
    let part = |of: &Bytes, number| {
        let found = wire::find_bytes(of.clone(), number).map_err(damaged)?;
        Ok::<_, Box<Fault>>(found.unwrap_or_default())
    };
    let body = part(&message, number)?;
    let content_type = part(&body, 1)?;
    let content_type = if content_type.is_empty() {
        HeaderValue::from_static("application/octet-stream")
    } else {
        HeaderValue::from_maybe_shared(content_type)
            .map_err(|_| broken("the media type of the reply is not one"))?
    };
    Ok((content_type, part(&body, 2)?))
}

fn damaged(_: wire::Damaged) -> Box<Fault> {
    broken("the reply is damaged")
}

fn broken(message: &str) -> Box<Fault> {
    tracing::error!(message, "a service gave a reply that cannot be printed");
    Box::new(Fault::gateway(
        Code::Internal,
        StatusCode::INTERNAL_SERVER_ERROR,
        "BROKEN_REPLY",
        "the service gave a reply that cannot be printed",
    ))
}

fn chosen_status(headers: &HeaderMap) -> Option<u16> {
    headers.get(STATUS_METADATA)?.to_str().ok()?.parse().ok()
}

/// Metadata that means something to an HTTP client.
pub(crate) fn copy_metadata(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        if is_metadata(name) {
            to.append(name.clone(), value.clone());
        }
    }
}

fn is_metadata(name: &HeaderName) -> bool {
    let text = name.as_str();
    !(text.starts_with("grpc-")
        || text.starts_with("pulpo-")
        || matches!(
            text,
            "content-type" | "content-length" | "trailer" | "te" | "transfer-encoding" | "date"
        ))
}

fn full(body: Bytes) -> Body {
    Body::new(Full::new(body))
}
