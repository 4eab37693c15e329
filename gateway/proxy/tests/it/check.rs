//! `--check`: whether a start would come to serve everything.

use std::{io::Write, path::Path};

use pulpo_gateway_proxy::config::{Config, ServerTls};

use crate::{
    gateway::{config, reflected},
    program::output,
    tls::certificate,
    upstream::{Reflection, Upstream},
};

/// Whether it is right, and what is said.
async fn check(told: &Config) -> (bool, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(told.print().unwrap().as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    let (is_ok, out, error) = output(&["--config", path, "--check"]).await;
    (is_ok, out + &error)
}

fn tls(certificate: &Path, key: &Path) -> Option<ServerTls> {
    Some(ServerTls {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
    })
}

#[tokio::test]
async fn certificates_are_read() {
    let upstream = Upstream::start(Reflection::V1).await;
    let mut told = config(reflected(&upstream.url()));
    let (own, other) = (certificate(), certificate());
    told.listeners[0].tls = tls(&own.certificate, &own.key);
    let (is_ok, said) = check(&told).await;
    assert!(is_ok, "{said}");
    assert!(said.contains("are right"), "{said}");

    for (certificate, key, fault) in [
        (Path::new("/nowhere.pem"), &*own.key, "/nowhere.pem"),
        (&*own.certificate, Path::new("/no-key.pem"), "/no-key.pem"),
        (&*own.certificate, &*own.certificate, "no private key"),
        // The key of another certificate.
        (&*own.certificate, &*other.key, "listener main"),
    ] {
        told.listeners[0].tls = tls(certificate, key);
        let (is_ok, said) = check(&told).await;
        assert!(!is_ok, "{said}");
        assert!(said.contains(fault), "{said}");
        assert!(!said.contains("are right"), "{said}");
    }

    // What is wrong with the descriptors is told at the same time.
    told.surfaces[0].services = vec!["shop.v1.Nobody".to_owned()];
    let (is_ok, said) = check(&told).await;
    assert!(!is_ok);
    assert!(said.contains("listener main"), "{said}");
    assert!(
        said.contains("no upstream has the service shop.v1.Nobody"),
        "{said}"
    );
    upstream.stop().await;
}

#[tokio::test]
async fn descriptors_that_are_not_there_are_not_right() {
    let (is_ok, said) = check(&config(reflected("http://127.0.0.1:1"))).await;
    assert!(!is_ok, "{said}");
    assert!(
        said.contains("some descriptors could not be read"),
        "{said}"
    );
    assert!(said.contains("reflection of upstream shop"), "{said}");
    assert!(!said.contains("are right"), "{said}");
}
