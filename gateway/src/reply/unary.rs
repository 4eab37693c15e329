//! The reply of a unary method: one message as JSON, as bytes, as a redirect, or as nothing.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body::Body as _;
use tonic::body::Body;

use super::{
    Call, Messages, add_trailers, broken, chosen_status, copy_metadata, damaged, full, print, raw,
    tag, vary,
};
use crate::{
    call::is_bare_reply,
    compress,
    fault::Fault,
    wire::{self, Pieces},
};

/// How far the gRPC response of a unary method has become the REST reply.
pub(crate) enum Reading {
    /// All of it was here.
    Whole(Response<Body>),
    /// Some pieces of its message were, which is all it consists of.
    Bare(HeaderMap, Body, Pieces),
    /// It has not been looked into.
    Framed(Response<Body>),
}

/// Turns the gRPC response of a unary method into the REST reply as far as that takes no time.
pub(crate) fn read(call: &Call<'_>, response: Response<Body>) -> Reading {
    if !call.is_bare || !is_bare_reply(&response) {
        return Reading::Framed(response);
    }
    let (parts, mut body) = response.into_parts();
    let mut pieces = Pieces::default();
    let mut nobody = Context::from_waker(Waker::noop());
    match poll_bare(&mut body, &mut pieces, limit(call), &mut nobody) {
        Poll::Ready(message) => Reading::Whole(finish(call, parts.headers, message)),
        Poll::Pending => Reading::Bare(parts.headers, body, pieces),
    }
}

/// The whole reply.
pub(crate) async fn unary(call: &Call<'_>, reading: Reading) -> Response<Body> {
    match reading {
        Reading::Whole(reply) => reply,
        Reading::Framed(response) => framed(call, response).await,
        Reading::Bare(metadata, mut body, mut pieces) => {
            let limit = limit(call);
            let message = poll_fn(|cx| poll_bare(&mut body, &mut pieces, limit, cx)).await;
            finish(call, metadata, message)
        }
    }
}

fn limit(call: &Call<'_>) -> usize {
    call.surface.options.limits.max_reply_bytes
}

async fn framed(call: &Call<'_>, response: Response<Body>) -> Response<Body> {
    let (mut parts, messages) = Messages::new(response, limit(call), call.faults.clone(), None);
    let message = match messages {
        Ok(mut messages) => {
            let message = messages.only().await;
            add_trailers(&mut parts.headers, messages);
            message
        }
        Err(fault) => Err(fault),
    };
    finish(call, parts.headers, message)
}

/// The message of a reply that is nothing else.
fn poll_bare(
    body: &mut Body,
    pieces: &mut Pieces,
    max_bytes: usize,
    cx: &mut Context<'_>,
) -> Poll<Result<Bytes, Box<Fault>>> {
    while let Some(frame) = ready!(Pin::new(&mut *body).poll_frame(cx)) {
        let frame = frame.map_err(|status| Box::new(Fault::from_status(&status)))?;
        if let Ok(data) = frame.into_data() {
            pieces.push(data);
        }
        if pieces.len() > max_bytes {
            return Poll::Ready(Err(broken("the reply is longer than is taken")));
        }
        if body.is_end_stream() {
            break;
        }
    }
    Poll::Ready(Ok(pieces.take()))
}

fn finish(
    call: &Call<'_>,
    metadata: HeaderMap,
    message: Result<Bytes, Box<Fault>>,
) -> Response<Body> {
    match message.and_then(|message| reply(call, &metadata, message)) {
        Ok(mut reply) => {
            copy_metadata(call.surface, &metadata, reply.headers_mut());
            if call.surface.options.compress_from_bytes.is_some()
                && reply.headers().contains_key(header::CONTENT_ENCODING)
            {
                tag::weaken(reply.headers_mut());
            }
            tagged(call, reply)
        }
        Err(fault) => call.refuse(&fault, &metadata),
    }
}

fn reply(
    call: &Call<'_>,
    metadata: &HeaderMap,
    message: Bytes,
) -> Result<Response<Body>, Box<Fault>> {
    let output = &call.endpoint.output;
    if let Some(address) = redirect(call, &message)? {
        return Ok(address);
    }
    let status = chosen_status(metadata).unwrap_or(output.status);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = status;
    if has_no_content(status) {
        return Ok(reply);
    }
    let (content_type, body) = match output.raw {
        Some(place) => {
            let (content_type, body) = raw(message, place)?;
            let unknown = HeaderValue::from_static("application/octet-stream");
            (content_type.unwrap_or(unknown), body)
        }
        None => {
            let mut out = Vec::with_capacity(message.len() * 2 + 64);
            print(call.surface, call.endpoint, true, &message, &mut out)?;
            (HeaderValue::from_static("application/json"), out.into())
        }
    };
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    let is_safe = matches!(*call.context.method, Method::GET | Method::HEAD);
    let has_tag = is_safe && output.is_tagged && status == StatusCode::OK;
    if has_tag {
        headers.insert(header::ETAG, tag::of(&body));
    }
    let body = compressed(call, headers, body);
    *reply.body_mut() = full(body);
    Ok(reply)
}

/// RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5.
fn has_no_content(status: StatusCode) -> bool {
    matches!(status.as_u16(), 204 | 205 | 304)
}

fn compressed(call: &Call<'_>, headers: &mut HeaderMap, body: Bytes) -> Bytes {
    if call.surface.options.compress_from_bytes.is_none() {
        return body;
    }
    vary(headers, &header::ACCEPT_ENCODING);
    let Some(coding) = call.coding(Some(body.len())) else {
        return body;
    };
    match compress::compress(coding, &body) {
        Ok(smaller) if smaller.len() < body.len() => {
            headers.insert(header::CONTENT_ENCODING, coding.name());
            smaller
        }
        _ => body,
    }
}

/// 304 for a client that has this reply already. A tag of the service's own counts more than ours.
fn tagged(call: &Call<'_>, mut reply: Response<Body>) -> Response<Body> {
    if !call.endpoint.output.is_tagged {
        return reply;
    }
    let headers = reply.headers_mut();
    let own = headers.get_all(header::ETAG).iter().next_back().cloned();
    let Some(tag) = own else {
        return reply;
    };
    headers.insert(header::ETAG, tag.clone());
    let is_safe = matches!(*call.context.method, Method::GET | Method::HEAD);
    if is_safe && reply.status() == StatusCode::OK && tag::is_known(call.context.headers, &tag) {
        *reply.status_mut() = StatusCode::NOT_MODIFIED;
        *reply.body_mut() = Body::empty();
        let headers = reply.headers_mut();
        headers.remove(header::CONTENT_TYPE);
        headers.remove(header::CONTENT_ENCODING);
    }
    reply
}

/// The reply that sends the client elsewhere, where the message names an address.
fn redirect(call: &Call<'_>, message: &Bytes) -> Result<Option<Response<Body>>, Box<Fault>> {
    let output = &call.endpoint.output;
    let Some(redirect) = output.redirect else {
        return Ok(None);
    };
    let address = wire::find_bytes(message.clone(), redirect.field).map_err(damaged)?;
    let Some(address) = address.filter(|address| !address.is_empty()) else {
        return Ok(None);
    };
    let address = HeaderValue::from_maybe_shared(address)
        .map_err(|_| broken("the address of a redirect is not one"))?;
    let mut reply = Response::new(Body::empty());
    *reply.status_mut() = StatusCode::from_u16(redirect.status).unwrap_or(StatusCode::FOUND);
    reply.headers_mut().insert(header::LOCATION, address);
    Ok(Some(reply))
}
