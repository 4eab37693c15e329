//! TLS towards upstreams and for listeners: rustls with aws-lc-rs.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result, ensure};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use crate::config::ServerTls;

/// HTTP/2 in TLS's protocol negotiation (RFC 9113, section 3.2).
pub(crate) const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

/// Connections to a server whose certificate these authorities vouch for: those of a PEM file, or the system's.
pub(crate) fn connector(ca: Option<&Path>) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            for certificate in certificates(path)? {
                roots
                    .add(certificate)
                    .with_context(|| path.display().to_string())?;
            }
        }
        None => {
            let native = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(native.certs);
            ensure!(
                !roots.is_empty(),
                "the system has no certificate authorities; name one as ca"
            );
        }
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![H2.to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Connections of clients to whom this certificate is shown.
pub(crate) fn acceptor(tls: &ServerTls) -> Result<TlsAcceptor> {
    let chain = certificates(&tls.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .with_context(|| format!("no private key in {}", tls.key.display()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .with_context(|| tls.certificate.display().to_string())?;
    config.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let fault = || format!("no certificate in {}", path.display());
    let read: Vec<_> = CertificateDer::pem_file_iter(path)
        .with_context(fault)?
        .collect::<Result<_, _>>()
        .with_context(fault)?;
    ensure!(!read.is_empty(), fault());
    Ok(read)
}
