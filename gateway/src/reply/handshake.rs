//! The opening handshake of a WebSocket (RFC 6455, section 4.2).

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tonic::body::Body;

/// What a client's handshake holds.
pub(crate) struct Handshake {
    accept: HeaderValue,
    upgrade: OnUpgrade,
}

impl Handshake {
    /// The handshake of a request that is one (RFC 6455, section 4.2.1).
    pub(crate) fn of(
        method: &Method,
        headers: &HeaderMap,
        extensions: &mut http::Extensions,
    ) -> Option<Self> {
        // Only a request that asks for an upgrade has one; most end here.
        extensions.get::<OnUpgrade>()?;
        let names = |name, word: &[u8]| {
            headers.get_all(name).iter().any(|value| {
                value
                    .as_bytes()
                    .split(|b| *b == b',')
                    .any(|w| w.trim_ascii().eq_ignore_ascii_case(word))
            })
        };
        let is_asked = *method == Method::GET
            && names(header::UPGRADE, b"websocket")
            && names(header::CONNECTION, b"upgrade")
            && names(header::SEC_WEBSOCKET_VERSION, b"13");
        let key = headers
            .get(header::SEC_WEBSOCKET_KEY)
            .filter(|_| is_asked)?;
        let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok()?;
        let upgrade = extensions.remove::<OnUpgrade>()?;
        Some(Self { accept, upgrade })
    }

    /// Makes the reply the one that switches protocols.
    pub(super) fn accept(self, switching: &mut Response<Body>) -> OnUpgrade {
        *switching.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = switching.headers_mut();
        offer_upgrade(headers);
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, self.accept);
        self.upgrade
    }
}

/// Names the protocol to change to: in the reply that does, and where nothing else is spoken (RFC 9110, section 15.5.22).
pub(crate) fn offer_upgrade(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}
