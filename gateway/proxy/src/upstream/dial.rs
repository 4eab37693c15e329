//! Opening one connection.

use std::{io, time::Duration};

use bytes::Bytes;
use h2::client::{Connection, SendRequest};
use http::uri::{Authority, Scheme, Uri};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::pki_types::ServerName};

use super::Limits;
use crate::tls::H2;

/// What a stream may send before it is asked for more. Bounds what a slow reader costs, and what a fast stream does: twice as
/// much fills the heaps of four threads with 8 MiB instead of 2, and is a twentieth faster at best.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The most there can be (RFC 9113, section 6.9.1): readers that stop must not stop the others on the connection, so
/// only the streams' own windows count.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// Where a gRPC server is.
#[derive(Clone)]
pub struct Origin {
    scheme: Scheme,
    authority: Authority,
    host: String,
    port: u16,
    /// How its certificate is checked, where it has one.
    tls: Option<TlsConnector>,
}

/// Why a URL is no origin.
#[derive(Debug, thiserror::Error)]
pub enum OriginFault {
    /// It cannot be read as a URL.
    #[error("it is not a URL: {0}")]
    Url(#[from] http::uri::InvalidUri),
    /// It is relative, or has another scheme.
    #[error("it has to begin with http:// or https:// and a host")]
    Scheme,
    /// It has more than a host and a port.
    #[error("it has a path; a gRPC server is named by scheme, host and port alone")]
    Path,
    /// It carries credentials.
    #[error("it has a user name, which gRPC has no place for")]
    User,
}

impl std::str::FromStr for Origin {
    type Err = OriginFault;

    fn from_str(text: &str) -> Result<Self, OriginFault> {
        let uri: Uri = text.parse()?;
        let scheme = uri.scheme().cloned().ok_or(OriginFault::Scheme)?;
        let default_port = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => return Err(OriginFault::Scheme),
        };
        if uri.path().len() > 1 || uri.query().is_some() {
            return Err(OriginFault::Path);
        }
        let authority = uri.authority().cloned().ok_or(OriginFault::Scheme)?;
        if authority.as_str().contains('@') {
            return Err(OriginFault::User);
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let port = authority.port_u16().unwrap_or(default_port);
        Ok(Self {
            scheme,
            authority,
            host,
            port,
            tls: None,
        })
    }
}

impl Origin {
    /// Whether it is `https`.
    pub fn is_tls(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Connections to it are made over TLS.
    pub fn secure(&mut self, connector: TlsConnector) {
        self.tls = Some(connector);
    }

    pub(super) fn scheme(&self) -> Scheme {
        self.scheme.clone()
    }

    pub(super) fn authority(&self) -> Authority {
        self.authority.clone()
    }
}

/// A byte stream of either kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An open connection: where requests go, and what has to be run for them to get there.
pub(super) type Opened = (SendRequest<Bytes>, Connection<Box<dyn Stream>, Bytes>);

/// Connects, within the limits' time.
pub(super) async fn dial(origin: &Origin, limits: &Limits) -> io::Result<Opened> {
    tokio::time::timeout(limits.connect_timeout, open(origin, limits))
        .await
        .unwrap_or_else(|_| Err(timed_out(limits.connect_timeout)))
}

async fn open(origin: &Origin, limits: &Limits) -> io::Result<Opened> {
    let stream = TcpStream::connect((origin.host.as_str(), origin.port)).await?;
    // Small requests must not wait for a second packet.
    stream.set_nodelay(true)?;
    let stream: Box<dyn Stream> = match &origin.tls {
        None => Box::new(stream),
        Some(tls) => Box::new(secured(tls, origin, stream).await?),
    };
    h2::client::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(limits.header_bytes)
        .enable_push(false)
        .handshake(stream)
        .await
        .map_err(io::Error::other)
}

async fn secured(
    tls: &TlsConnector,
    origin: &Origin,
    stream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(origin.host.clone()).map_err(io::Error::other)?;
    let stream = tls.connect(name, stream).await?;
    match stream.get_ref().1.alpn_protocol() {
        Some(H2) => Ok(stream),
        _ => Err(io::Error::other("the server does not speak HTTP/2")),
    }
}

fn timed_out(limit: Duration) -> io::Error {
    let message = format!("no connection within {} ms", limit.as_millis());
    io::Error::new(io::ErrorKind::TimedOut, message)
}
