//! The one HTTP client for addresses that others chose.
//!
//! It connects to public addresses only, unless it is told otherwise: literal ones are checked before, names after they
//! were resolved, on the very addresses that are connected to. It follows no redirects, asks no proxy, speaks HTTP/1.1, reads
//! a bounded part of a response, and keeps a bounded number of idle connections a host.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{
            HttpConnector,
            dns::{GaiResolver, Name},
        },
    },
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use tower::Service;

use super::address;

/// How long connecting may take, of the time for the whole exchange.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the body of a response that nobody awaits may take once its status is known.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// The most of a response's body that is kept with a delivery, in bytes.
pub const RESPONSE_BYTES_MAX: usize = 4096;
/// The most that is read and dropped so that a connection may be used again, in bytes.
const DRAIN_BYTES_MAX: usize = 64 * 1024;

/// Sends requests; cheap to clone.
#[derive(Clone)]
pub struct Egress {
    client: Client<HttpsConnector<HttpConnector<Guarded>>, Full<Bytes>>,
    allows_private: bool,
}

/// A request to be sent by POST.
pub struct Outgoing {
    /// Where to.
    pub url: String,
    /// Its headers; host and length come by themselves.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// How long the exchange may take.
    pub timeout: Duration,
    /// Whether that includes the body of the response. Otherwise it ends with the status, and five seconds are left for
    /// the body.
    pub awaits_body: bool,
    /// The most of the response's body that is kept, in bytes.
    pub response_bytes_max: usize,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The response, or why there was none, in words for the owner of the target.
    pub response: Result<Answer, String>,
    /// How long it took.
    pub duration: Duration,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// The beginning of its body, as text.
    pub body: String,
    /// Whether that is all of it, and text.
    pub is_whole: bool,
}

impl Egress {
    /// A client. `allows_private` lets it reach any address and use `http`; `idle_per_host` connections of a host are kept.
    pub fn new(allows_private: bool, idle_per_host: usize) -> Self {
        let mut http = HttpConnector::new_with_resolver(Guarded {
            resolver: GaiResolver::new(),
            allows_private,
        });
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls())
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(idle_per_host)
            .build(https);
        Self {
            client,
            allows_private,
        }
    }

    /// Whether it reaches any address.
    pub fn allows_private(&self) -> bool {
        self.allows_private
    }

    /// Sends it. Never fails: what went wrong is part of the exchange.
    pub async fn post(&self, outgoing: Outgoing) -> Exchange {
        let began = Instant::now();
        let (timeout, bytes_max) = (outgoing.timeout, outgoing.response_bytes_max);
        let awaits_body = outgoing.awaits_body;
        let sent = tokio::time::timeout(timeout, self.send(outgoing)).await;
        let response = match sent {
            Ok(Ok(response)) => {
                let status = response.status().as_u16();
                let reading = beginning(response.into_body(), bytes_max);
                // The status decides; what is missing of the body is not kept.
                let left = match awaits_body {
                    true => timeout.saturating_sub(began.elapsed()),
                    false => BODY_TIMEOUT,
                };
                let reading = tokio::time::timeout(left, reading);
                let (body, is_whole) = reading.await.unwrap_or_default();
                Ok(Answer {
                    status,
                    body,
                    is_whole,
                })
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(format!("no answer within {} seconds", timeout.as_secs())),
        };
        Exchange {
            response,
            duration: began.elapsed(),
        }
    }

    async fn send(&self, outgoing: Outgoing) -> Result<http::Response<Incoming>, String> {
        // Addresses without a name are not resolved, so they are looked at here.
        let url = address::target(&outgoing.url, self.allows_private)
            .map_err(|fault| format!("the address {fault}"))?;
        let uri: Uri = url
            .as_str()
            .parse()
            .map_err(|_| "the address is not valid")?;
        let mut request = Request::new(Full::new(outgoing.body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = outgoing.headers;
        request
            .headers_mut()
            .entry(header::ACCEPT)
            .or_insert(HeaderValue::from_static("*/*"));
        let response = self.client.request(request).await;
        response.map_err(|error| described(&error))
    }
}

/// The first bytes of a body as text, and whether they are all of it; stops reading early when there is much more.
async fn beginning(mut body: Incoming, bytes_max: usize) -> (String, bool) {
    let (mut kept, mut read, mut has_ended) = (Vec::new(), 0, true);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            has_ended = false;
            break;
        };
        let Ok(data) = frame.into_data() else { break };
        read += data.len();
        let room = bytes_max - kept.len();
        kept.extend_from_slice(&data[..data.len().min(room)]);
        if read > bytes_max.max(DRAIN_BYTES_MAX) {
            break;
        }
    }
    let is_whole = has_ended && read <= bytes_max && std::str::from_utf8(&kept).is_ok();
    // Half of a character at the end becomes U+FFFD, which is longer than it.
    let mut text = String::from_utf8_lossy(&kept).replace('\0', "\u{fffd}");
    text.truncate(text.floor_char_boundary(bytes_max));
    (text, is_whole)
}

/// The causes of an error in words: the innermost one tells most.
fn described(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    // An I/O error shows the error it was made of, and yet is the innermost one itself.
    let made_of = innermost
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    match made_of {
        Some(refused) if refused.is::<Refused>() => refused.to_string(),
        _ => format!("no connection or no response: {innermost}"),
    }
}

/// TLS with the certificates of the system.
fn tls() -> ClientConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let native = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)
        .and_then(ConfigBuilderExt::with_native_roots);
    match native {
        Ok(builder) => builder.with_no_client_auth(),
        Err(error) => {
            tracing::warn!(%error, "no certificates of authorities were found; no https target can be verified");
            let none = RootCertStore::empty();
            ClientConfig::builder()
                .with_root_certificates(none)
                .with_no_client_auth()
        }
    }
}

/// An address that is not public.
#[derive(Debug, thiserror::Error)]
#[error("the name resolves to no public address")]
struct Refused;

/// Resolves names to public addresses.
#[derive(Clone)]
struct Guarded {
    resolver: GaiResolver,
    allows_private: bool,
}

impl Service<Name> for Guarded {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.resolver.poll_ready(cx)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolving = self.resolver.call(name);
        let allows_private = self.allows_private;
        Box::pin(async move {
            let mut found: Vec<SocketAddr> = resolving.await?.collect();
            if !allows_private {
                found.retain(|found| address::is_public(found.ip()));
                if found.is_empty() {
                    return Err(io::Error::new(io::ErrorKind::PermissionDenied, Refused));
                }
            }
            Ok(found.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(url: &str) -> Outgoing {
        Outgoing {
            url: url.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::from_static(b"{}"),
            timeout: Duration::from_secs(20),
            awaits_body: false,
            response_bytes_max: RESPONSE_BYTES_MAX,
        }
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_this_machine_is_not_connected_to() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut guarded = Guarded {
            resolver: GaiResolver::new(),
            allows_private: false,
        };
        let error = guarded
            .call("localhost".parse().unwrap())
            .await
            .unwrap_err();
        assert_eq!(described(&error), "the name resolves to no public address");
        let egress = Egress::new(false, 1);
        for url in [
            format!("https://127.0.0.1:{port}/"),
            format!("https://localhost:{port}/"),
            format!("http://127.0.0.1:{port}/"),
        ] {
            let exchange = egress.post(outgoing(&url)).await;
            assert!(
                exchange
                    .response
                    .unwrap_err()
                    .starts_with("the address must be"),
                "{url}"
            );
        }
        // The client itself refuses too, were an address to come that far.
        let uri: Uri = format!("http://localhost:{port}/").parse().unwrap();
        let mut request = Request::new(Full::default());
        *request.uri_mut() = uri;
        let error = egress.client.request(request).await.unwrap_err();
        assert_eq!(described(&error), "the name resolves to no public address");
        assert!(listener.accept().is_err(), "nobody came");
    }
}
