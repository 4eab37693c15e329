//! What every listener looks at before anybody looks into a request: its id, its client's address, and which of the doors
//! it is for.

use std::{net::IpAddr, sync::Arc};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header,
};
use ipnet::IpNet;
use tonic::{Code, body::Body};
use uuid::Uuid;

use crate::{
    fault::{ErrorContext, Fault},
    problem,
    request::fault::too_many_headers,
};

/// The header with the id of a request, in both directions.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header with the addresses that a request came from, the nearest last.
pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The media types of gRPC-Web.
const GRPC_WEB: [&[u8]; 4] = [
    b"application/grpc-web",
    b"application/grpc-web+proto",
    b"application/grpc-web-text",
    b"application/grpc-web-text+proto",
];

/// The client's own id when it is one that can be logged and sent on as it is (1 to 128 visible ASCII characters); a fresh
/// one otherwise.
pub fn request_id(headers: &HeaderMap) -> HeaderValue {
    let own = headers.get(REQUEST_ID).filter(|id| {
        (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    });
    own.cloned().unwrap_or_else(|| {
        let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
        let mut text = Uuid::encode_buffer();
        let text: &str = id.as_hyphenated().encode_lower(&mut text);
        HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
    })
}

/// Whether a request is gRPC or gRPC-Web, by its content type.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The answer to a request that says it is gRPC or gRPC-Web and cannot be: gRPC's status needs HTTP/2, gRPC-Web has four media
/// types, both are only ever posted, and neither has more headers than this.
pub fn grpc_refusal<B>(request: &Request<B>, max_headers: usize) -> Option<Response<Body>> {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let media_type = content_type.map_or(&b""[..], HeaderValue::as_bytes);
    let is_web = media_type.starts_with(b"application/grpc-web");
    if *request.method() != Method::POST {
        return Some(not_posted(request));
    }
    if is_web && !GRPC_WEB.contains(&media_type) {
        let message =
            "gRPC-Web is application/grpc-web or application/grpc-web-text, as such or with +proto";
        return Some(unspoken(
            request,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            message,
        ));
    }
    if !is_web && request.version() < Version::HTTP_2 {
        let message = "gRPC needs HTTP/2; gRPC-Web, Connect and REST do not";
        return Some(unspoken(
            request,
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            message,
        ));
    }
    let fault = too_many_headers(request.headers(), max_headers)?;
    let mut refusal = fault.to_response();
    if let Some(content_type) = content_type {
        // A client of gRPC-Web looks for its own.
        let headers = refusal.headers_mut();
        headers.insert(header::CONTENT_TYPE, content_type.clone());
    }
    Some(refusal)
}

#[cold]
fn not_posted<B>(request: &Request<B>) -> Response<Body> {
    let mut reply = match *request.method() {
        Method::OPTIONS => {
            let mut reply = Response::new(Body::empty());
            *reply.status_mut() = StatusCode::NO_CONTENT;
            reply
        }
        _ => {
            let message = "gRPC and gRPC-Web are posted";
            unspoken(request, StatusCode::METHOD_NOT_ALLOWED, message)
        }
    };
    let allow = HeaderValue::from_static("POST");
    reply.headers_mut().insert(header::ALLOW, allow);
    reply
}

/// The refusal of what is none of gRPC's protocols, and so has no status of theirs.
#[cold]
fn unspoken<B>(request: &Request<B>, status: StatusCode, message: &str) -> Response<Body> {
    let fault = Fault::gateway(Code::Unimplemented, status, "NOT_GRPC", message);
    problem::refusal(&fault, ErrorContext::of(request))
}

/// Whether it is an OPTIONS that asks what the path answers, not what a browser may send. A layer for CORS would answer it
/// all the same.
pub fn is_plain_options<B>(request: &Request<B>) -> bool {
    let asked = header::ACCESS_CONTROL_REQUEST_METHOD;
    *request.method() == Method::OPTIONS && !request.headers().contains_key(asked)
}

/// Proxies whose word about their clients is believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl From<Vec<IpNet>> for TrustedProxies {
    fn from(networks: Vec<IpNet>) -> Self {
        Self(networks.into())
    }
}

impl TrustedProxies {
    /// Whether this is one of them.
    pub fn contains(&self, address: &IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The address of the client. Behind trusted proxies it is the last entry of `X-Forwarded-For` that no trusted proxy
    /// stands for; earlier entries are the client's own words.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.contains(&client) {
            return client;
        }
        let hops = headers.get_all(FORWARDED_FOR).iter().rev();
        let hops = hops
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.rsplit(','));
        for hop in hops {
            let Ok(hop) = hop.trim().parse::<IpAddr>() else {
                break;
            };
            client = hop.to_canonical();
            if !self.contains(&client) {
                break;
            }
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn forwarded(lines: &[&'static str]) -> HeaderMap {
        let lines = lines.iter();
        lines
            .map(|line| (FORWARDED_FOR, HeaderValue::from_static(line)))
            .collect()
    }

    #[test]
    fn forwarded_addresses_count_only_behind_trusted_proxies() {
        let trusted = TrustedProxies::from(vec!["10.0.0.0/8".parse().unwrap()]);
        let client = |peer: &str, lines: &[&'static str]| {
            trusted.client(ip(peer), &forwarded(lines)).to_string()
        };
        let hops = ["1.2.3.4, 203.0.113.9, 10.0.0.7"];
        assert_eq!(client("198.51.100.1", &hops), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &hops), "203.0.113.9");
        assert_eq!(client("::ffff:10.0.0.1", &hops), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &["1.2.3.4", "10.0.0.7"]), "1.2.3.4");
        assert_eq!(client("10.0.0.1", &["nonsense, 10.0.0.7"]), "10.0.0.7");
        assert_eq!(client("10.0.0.1", &["nonsense"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn strange_request_ids_are_replaced() {
        let with = |value: &str| {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            request_id(&HeaderMap::from_iter([(REQUEST_ID, value)]))
        };
        assert_eq!(with("abc-123"), "abc-123");
        for strange in ["", "has space", &"x".repeat(129), "ümlaut"] {
            assert_eq!(with(strange).len(), 36, "{strange}");
        }
    }
}
