//! TLS on both sides: a gateway that asks another one over TLS, which is in front of the server.

use std::{path::PathBuf, sync::Arc};

use pulpo_gateway_proxy::config::{ServerTls, Upstream as Told};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use crate::{
    gateway::{Gateway, config, reflected},
    upstream::{Reflection, Upstream},
};

pub(crate) struct Certificate {
    _folder: TempDir,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

pub(crate) fn certificate() -> Certificate {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    Certificate {
        _folder: folder,
        certificate,
        key,
    }
}

async fn secured(upstream: &Upstream, certificate: &Certificate) -> Gateway {
    let mut told = config(reflected(&upstream.url()));
    told.listeners[0].tls = Some(ServerTls {
        certificate: certificate.certificate.clone(),
        key: certificate.key.clone(),
    });
    Gateway::start(told).await
}

#[tokio::test]
async fn a_server_is_asked_over_tls() {
    let upstream = Upstream::start(Reflection::V1).await;
    let certificate = certificate();
    let inner = secured(&upstream, &certificate).await;
    let url = format!("https://localhost:{}", inner.address.port());
    let outer = Gateway::start(config(Told {
        ca: Some(certificate.certificate.clone()),
        ..reflected(&url)
    }))
    .await;
    let item = outer.get("/v1/items/lamp").await;
    assert_eq!(item.status(), 200);
    assert!(item.text().await.unwrap().contains("lamp"));
    outer.stop().await;

    // A certificate that nobody vouches for is not accepted.
    let other = self::certificate();
    let outer = Gateway::start(config(Told {
        ca: Some(other.certificate.clone()),
        ..reflected(&url)
    }))
    .await;
    assert_eq!(outer.get("/v1/items/lamp").await.status(), 503);
    outer.stop().await;
    inner.stop().await;
    upstream.stop().await;
}

#[tokio::test]
async fn clients_are_served_over_tls() {
    let upstream = Upstream::start(Reflection::V1).await;
    let certificate = certificate();
    let gateway = secured(&upstream, &certificate).await;
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(&certificate.certificate).unwrap())
        .unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(client));
    let mut stream = connector.connect(name, stream).await.unwrap();
    let request = b"GET /v1/items/lamp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    assert!(reply.contains(r#""name":"lamp""#), "{reply}");
    gateway.stop().await;
    upstream.stop().await;
}
