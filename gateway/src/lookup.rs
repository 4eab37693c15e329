//! From a request to the route that answers it and the bytes that path, query and headers bind.

use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use tonic::Code;

use crate::{
    fault::{Fault, MethodsAtPath},
    frame::start_frame,
    framing::{Framing, accepts_json, preference},
    origin,
    request::{
        Bindings,
        fault::{bind_fault, not_acceptable, not_found},
    },
    router::{Lookup, Match, PathFault},
    surface::{Endpoint, Surface},
};

/// What there is for a request.
pub(crate) enum Found {
    Endpoint {
        index: usize,
        /// Query, headers and path; refused only after the checks in front of the service.
        bindings: Result<Bindings, Box<Fault>>,
        reply: ReplyKind,
    },
    Options(Option<HeaderValue>),
    Fault(Box<Fault>, MethodsAtPath),
}

impl Found {
    fn without_route(fault: Fault) -> Self {
        Self::Fault(Box::new(fault), MethodsAtPath::default())
    }
}

/// How the reply goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyKind {
    /// One message.
    Unary,
    /// Many, in this framing.
    Stream(Framing),
}

/// The request as far as it decides about its route.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    /// Whether it is the handshake of a WebSocket.
    pub(crate) is_handshake: bool,
}

/// Finds what answers a request.
pub(crate) fn find(surface: &Surface, asked: Asked<'_>) -> Found {
    let Asked { method, uri, .. } = asked;
    let lookup = surface.router.lookup(method, uri.path());
    match lookup {
        Lookup::Match(found) => endpoint(surface, asked, &found),
        _ if asked.is_handshake => {
            socket(surface, asked).unwrap_or_else(|| missed(surface, lookup, asked))
        }
        _ => missed(surface, lookup, asked),
    }
}

/// A handshake is always a GET; a stream that is posted elsewhere can be opened with it too.
#[cold]
fn socket(surface: &Surface, asked: Asked<'_>) -> Option<Found> {
    let Lookup::Match(found) = surface.router.lookup(&Method::POST, asked.uri.path()) else {
        return None;
    };
    let route = surface.endpoints.get(found.target)?;
    let is_stream = route.input.is_streaming || route.output.is_streaming;
    is_stream.then(|| endpoint(surface, asked, &found))
}

fn endpoint(surface: &Surface, asked: Asked<'_>, found: &Match<'_, '_, usize>) -> Found {
    let Some(endpoint) = surface.endpoints.get(found.target) else {
        return Found::without_route(not_found(asked.uri.path()));
    };
    let reply = match reply_kind(surface, endpoint, asked) {
        Ok(reply) => reply,
        Err(fault) => return Found::Fault(fault, MethodsAtPath(vec![endpoint.uri.clone()])),
    };
    let (codec, binder) = (&surface.codec, &endpoint.binder);
    let mut frame = start_frame(bindings_bytes(asked.uri));
    let written = match asked.uri.query() {
        Some(query) => binder.write_query(codec, query, &mut frame),
        None => Ok(()),
    }
    .and_then(|()| binder.write_headers(codec, asked.headers, &mut frame))
    .and_then(|()| binder.write_path(codec, &found.captures, &mut frame));
    Found::Endpoint {
        index: found.target,
        bindings: written
            .map(|()| Bindings(frame))
            .map_err(|f| bind_fault(&f)),
        reply,
    }
}

/// About as many bytes as path and query become.
fn bindings_bytes(uri: &Uri) -> usize {
    uri.path().len() + uri.query().map_or(0, str::len)
}

fn reply_kind(
    surface: &Surface,
    endpoint: &Endpoint,
    asked: Asked<'_>,
) -> Result<ReplyKind, Box<Fault>> {
    let output = &endpoint.output;
    let is_stream = endpoint.input.is_streaming || output.is_streaming;
    if asked.is_handshake
        && is_stream
        && output.raw.is_none()
        && matches!(output.framing, None | Some(Framing::WebSocket))
    {
        let origins = &surface.options.origins;
        return match origin::is_allowed(origins, asked.headers, asked.uri) {
            true => Ok(ReplyKind::Stream(Framing::WebSocket)),
            false => Err(Box::new(foreign_origin())),
        };
    }
    if output.framing == Some(Framing::WebSocket) {
        return Err(Box::new(upgrade_required()));
    }
    if !output.is_streaming {
        return match output.raw.is_some() || accepts_json(asked.headers) {
            true => Ok(ReplyKind::Unary),
            false => Err(Box::new(not_acceptable(None))),
        };
    }
    let framing = match output.framing {
        // What the media type of bytes is, only their first message tells.
        _ if output.raw.is_some() => Some(Framing::Array),
        None => Framing::preferred(asked.headers),
        Some(fixed) => fixed
            .media_type()
            .is_some_and(|media_type| preference(asked.headers, media_type).is_acceptable())
            .then_some(fixed),
    };
    match framing {
        Some(framing) => Ok(ReplyKind::Stream(framing)),
        None => Err(Box::new(not_acceptable(output.framing))),
    }
}

/// What is said where no route answers.
#[cold]
fn missed(surface: &Surface, lookup: Lookup<'_, '_, usize>, asked: Asked<'_>) -> Found {
    match lookup {
        Lookup::MethodNotAllowed { allow } => {
            let names = allow
                .iter()
                .map(Method::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            let value = HeaderValue::from_str(&names).ok();
            if *asked.method == Method::OPTIONS {
                return Found::Options(value);
            }
            let message = format!("{} is not answered here; use {names}", asked.method);
            let mut fault = Fault::gateway(
                Code::Unimplemented,
                StatusCode::METHOD_NOT_ALLOWED,
                "METHOD_NOT_ALLOWED",
                message,
            );
            fault.allow = value;
            Found::Fault(Box::new(fault), methods_at(surface, &allow, asked.uri))
        }
        Lookup::Malformed(fault) => {
            let status = match fault {
                PathFault::TooLong | PathFault::TooManySegments => StatusCode::URI_TOO_LONG,
                _ => StatusCode::BAD_REQUEST,
            };
            let message = format!("the path is malformed: {fault}");
            Found::without_route(Fault::gateway(
                Code::InvalidArgument,
                status,
                "INVALID_PATH",
                message,
            ))
        }
        Lookup::NotFound | Lookup::Match(_) => Found::without_route(not_found(asked.uri.path())),
    }
}

/// The methods that answer the path for one of these HTTP methods.
fn methods_at(surface: &Surface, allow: &[Method], uri: &Uri) -> MethodsAtPath {
    let endpoints =
        allow
            .iter()
            .filter_map(|method| match surface.router.lookup(method, uri.path()) {
                Lookup::Match(found) => surface.endpoints.get(found.target),
                _ => None,
            });
    MethodsAtPath(endpoints.map(|endpoint| endpoint.uri.clone()).collect())
}

#[cold]
fn upgrade_required() -> Fault {
    Fault::gateway(
        Code::FailedPrecondition,
        StatusCode::UPGRADE_REQUIRED,
        "UPGRADE_REQUIRED",
        "this is a WebSocket; ask for an upgrade",
    )
}

#[cold]
fn foreign_origin() -> Fault {
    Fault::gateway(
        Code::PermissionDenied,
        StatusCode::FORBIDDEN,
        "FOREIGN_ORIGIN",
        "pages of this origin may not open WebSockets here",
    )
}
