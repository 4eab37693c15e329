//! Whose pages a browser's request comes from, where the browser does not ask before it sends it: the handshake of a WebSocket
//! (RFC 6455, section 10.2), and a body without a media type.
//!
//! A page cannot say these headers itself, `X-Forwarded-Host` neither: only a request that the browser has asked for first
//! (a preflight) has headers of a page's own.

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Where the page of a request stands to what it asks for (W3C, Fetch Metadata Request Headers, section 2.3).
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether the request comes from a page of another origin, as far as the browser tells.
#[cold]
pub(crate) fn is_foreign(headers: &HeaderMap, uri: &Uri) -> bool {
    match headers.get(FETCH_SITE) {
        // `none` is what a person opened.
        Some(site) => !matches!(site.as_bytes(), b"same-origin" | b"none"),
        None => !is_allowed(&[], headers, uri),
    }
}

/// Whether the request comes from a page of the host it is for or of a listed origin, `*` for any, or from no page: browsers
/// alone send `Origin`.
pub(crate) fn is_allowed(listed: &[String], headers: &HeaderMap, uri: &Uri) -> bool {
    let is_listed = |origin: &HeaderValue| {
        let mut listed = listed.iter();
        listed.any(|one| one == "*" || one.as_bytes() == origin.as_bytes())
    };
    let mut origins = headers.get_all(header::ORIGIN).iter();
    origins.all(|origin| is_listed(origin) || is_own(origin, headers, uri))
}

/// Whether an origin has host and port of the request. Its scheme may differ: a proxy in front may have taken TLS away.
fn is_own(origin: &HeaderValue, headers: &HeaderMap, uri: &Uri) -> bool {
    let origin = origin.to_str().unwrap_or_default();
    let Some((scheme, place)) = origin.split_once("://") else {
        return false;
    };
    let usual_port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return false,
    };
    let without_port = |place: &str| -> String {
        let place = place.trim();
        let place = place.strip_suffix(usual_port).unwrap_or(place);
        place.to_ascii_lowercase()
    };
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let asked = match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => text(header::HOST),
    };
    // Of several proxies the first has seen what the client asked for.
    let forwarded = text(FORWARDED_HOST).and_then(|hosts| hosts.split(',').next());
    let own = without_port(place);
    let mut hosts = [asked, forwarded].into_iter().flatten();
    !own.is_empty() && hosts.any(|host| without_port(host) == own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(listed: &str, origin: &str, uri: &str, more: &[(&'static str, &str)]) -> bool {
        let listed: Vec<String> = listed.split_whitespace().map(str::to_owned).collect();
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, origin.parse().unwrap());
        for (name, value) in more {
            headers.insert(*name, value.parse().unwrap());
        }
        is_allowed(&listed, &headers, &uri.parse().unwrap())
    }

    #[test]
    fn an_origin_is_own_by_host_and_port() {
        let at = |host: &'static str, origin: &str| allowed("", origin, "/", &[("host", host)]);
        assert!(at("api.example", "https://api.example"));
        assert!(at("api.example", "http://api.example"));
        assert!(at("API.example:443", "https://api.example"));
        assert!(at("api.example:8080", "http://api.example:8080"));
        assert!(at("[::1]:8080", "http://[::1]:8080"));
        assert!(!at("api.example:443", "http://api.example"));
        assert!(!at("api.example:8080", "http://api.example"));
        assert!(!at("api.example", "https://app.example"));
        assert!(!at("api.example", "https://api.example.evil.example"));
        assert!(!at("api.example", "chrome-extension://api.example"));
        assert!(!at("api.example", "null"));
        assert!(!at("", "https://"));
    }

    #[test]
    fn the_host_may_be_in_the_target_or_told_by_a_proxy() {
        let two = "http://api.example/v1";
        assert!(allowed("", "https://api.example", two, &[]));
        assert!(!allowed(
            "",
            "https://x.example",
            two,
            &[("host", "x.example")]
        ));
        let told = [("x-forwarded-host", "api.example, inner")];
        assert!(allowed("", "https://api.example", "http://inner/", &told));
        assert!(!allowed(
            "",
            "https://other.example",
            "http://inner/",
            &told
        ));
    }

    #[test]
    fn listed_origins_are_compared_as_they_are_and_any_is_any() {
        let at = |listed, origin| allowed(listed, origin, "/", &[("host", "api.example")]);
        assert!(at(
            "https://a.example https://b.example",
            "https://b.example"
        ));
        assert!(!at("https://a.example", "https://a.example:8443"));
        assert!(!at("https://a.example", "http://a.example"));
        assert!(at("*", "https://a.example"));
        assert!(at("*", "null"));
        assert!(is_allowed(&[], &HeaderMap::new(), &Uri::from_static("/")));
    }
}
