//! Cross-origin requests (the Fetch standard, section 3.2).

use http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// Headers a browser's script may read, besides those it always may.
const EXPOSED: [HeaderName; 9] = [
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status-details-bin"),
    HeaderName::from_static("connect-content-encoding"),
    HeaderName::from_static("x-request-id"),
    header::ETAG,
    header::LOCATION,
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
];

/// The layer for these origins, `*` for all, whose scripts may read these headers besides the usual ones.
///
/// It answers every OPTIONS: one that is no preflight goes around it ([`super::is_plain_options`]).
pub fn cors(origins: &[String], exposed: impl IntoIterator<Item = HeaderName>) -> CorsLayer {
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        let origins = origins.iter();
        AllowOrigin::list(origins.filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    let exposed: Vec<_> = EXPOSED.into_iter().chain(exposed).collect();
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(exposed)
}
