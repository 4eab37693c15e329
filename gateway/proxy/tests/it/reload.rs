//! Descriptors that change while the gateway runs.

use std::{os::unix::fs::symlink, path::Path, sync::Arc};

use pulpo_gateway_proxy::config::{Config, Upstream as Told};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    gateway::{Gateway, config, eventually},
    upstream::{Reflection, Upstream, compiled, descriptor_set},
};

/// The shop with its items at another path.
fn moved(to: &str) -> Vec<u8> {
    compiled(true, |proto| proto.replace("/v1/items/{name}", to))
}

/// Puts a file in place as a whole, as careful programs do.
fn replace(path: &Path, content: &[u8]) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, content).unwrap();
    std::fs::rename(&beside, path).unwrap();
}

fn from_file(upstream: &Upstream, path: &Path) -> Config {
    let mut config = config(Told {
        descriptor_set: Some(path.to_owned()),
        ..Told::at("shop", &upstream.url())
    });
    config.admin.address = Some("127.0.0.1:0".parse().unwrap());
    config
}

async fn status(gateway: &Gateway, path: &str) -> u16 {
    gateway.get(path).await.status().as_u16()
}

#[tokio::test]
async fn a_replaced_file_is_served_and_no_request_fails_meanwhile() {
    let upstream = Upstream::start(Reflection::V1).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.binpb");
    std::fs::write(&path, descriptor_set(true)).unwrap();
    let gateway = Arc::new(Gateway::start(from_file(&upstream, &path)).await);
    let stop = CancellationToken::new();
    let mut load = JoinSet::new();
    for _ in 0..4 {
        let (gateway, stop) = (gateway.clone(), stop.clone());
        load.spawn(async move {
            let mut served = 0;
            while !stop.is_cancelled() {
                let made = gateway.client.post(gateway.url("/v1/items"));
                let made = made.body(r#"{"name":"lamp"}"#);
                let reply = made.header("content-type", "application/json").send().await;
                let reply = reply.unwrap();
                assert_eq!(reply.status(), 200);
                assert_eq!(reply.text().await.unwrap(), r#"{"name":"lamp"}"#);
                served += 1;
            }
            served
        });
    }
    for round in 0..3 {
        let path_now = format!("/v{round}/moved");
        replace(&path, &moved(&format!("{path_now}/{{name}}")));
        let item = format!("{path_now}/lamp");
        eventually(async || status(&gateway, &item).await == 200).await;
        assert_eq!(status(&gateway, "/v1/items/lamp").await, 404);
    }
    stop.cancel();
    let served: Vec<usize> = load.join_all().await;
    assert!(served.iter().all(|count| *count > 0));
    assert!(
        gateway
            .metrics()
            .await
            .contains(r#"pulpo_gateway_reloads_total{result="taken"} 3"#)
    );
    Arc::into_inner(gateway).unwrap().stop().await;
    upstream.stop().await;
}

/// As releases are put in place: a link to their folder is replaced.
#[tokio::test]
async fn a_folder_that_becomes_another_one_is_noticed() {
    let upstream = Upstream::start(Reflection::V1).await;
    let root = tempfile::tempdir().unwrap();
    let (current, beside) = (root.path().join("current"), root.path().join("next"));
    let release = |name: &str, set: &[u8]| {
        let folder = root.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("shop.binpb"), set).unwrap();
        symlink(folder, &beside).unwrap();
        std::fs::rename(&beside, &current).unwrap();
    };
    release("r1", &descriptor_set(true));
    let path = current.join("shop.binpb");
    let gateway = Gateway::start(from_file(&upstream, &path)).await;
    assert_eq!(status(&gateway, "/v1/items/lamp").await, 200);
    release("r2", &moved("/v2/{name}"));
    eventually(async || status(&gateway, "/v2/lamp").await == 200).await;
    replace(&path, &moved("/v3/{name}"));
    eventually(async || status(&gateway, "/v3/lamp").await == 200).await;
    release("r3", &moved("/v4/{name}"));
    eventually(async || status(&gateway, "/v4/lamp").await == 200).await;
    gateway.stop().await;
    upstream.stop().await;
}

#[tokio::test]
async fn a_folder_that_is_made_again_is_noticed() {
    let upstream = Upstream::start(Reflection::V1).await;
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("sets");
    let path = folder.join("shop.binpb");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(&path, descriptor_set(true)).unwrap();
    let gateway = Gateway::start(from_file(&upstream, &path)).await;
    std::fs::remove_dir_all(&folder).unwrap();
    // What was read is served on.
    eventually(async || gateway.admin("/faults").await.contains("shop.binpb")).await;
    assert_eq!(status(&gateway, "/v1/items/lamp").await, 200);
    std::fs::create_dir(&folder).unwrap();
    for version in ["v2", "v3"] {
        replace(&path, &moved(&format!("/{version}/{{name}}")));
        let item = format!("/{version}/lamp");
        eventually(async || status(&gateway, &item).await == 200).await;
    }
    assert_eq!(gateway.admin("/faults").await, "");
    gateway.stop().await;
    upstream.stop().await;
}

#[tokio::test]
async fn a_bad_set_is_refused_with_all_its_faults() {
    let upstream = Upstream::start(Reflection::V1).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.binpb");
    std::fs::write(&path, descriptor_set(true)).unwrap();
    let gateway = Gateway::start(from_file(&upstream, &path)).await;
    let two_faults = compiled(true, |proto| {
        proto
            .replace("/v1/items/{name}", "/v1/items/{nobody}")
            .replace(
                r#"post: "/v1/items" body: "*""#,
                r#"post: "/v1/items" body: "nothing""#,
            )
    });
    replace(&path, &two_faults);
    let refused = r#"pulpo_gateway_reloads_total{result="refused"}"#;
    eventually(async || gateway.metrics().await.contains(refused)).await;
    let faults = gateway.admin("/faults").await;
    assert!(
        faults.contains("nobody") && faults.contains("nothing"),
        "{faults}"
    );
    assert!(
        gateway
            .metrics()
            .await
            .contains("pulpo_gateway_descriptor_faults 2")
    );
    assert_eq!(status(&gateway, "/v1/items/lamp").await, 200);

    replace(&path, b"\xffnot a set");
    eventually(async || {
        gateway
            .admin("/faults")
            .await
            .contains("not a descriptor set")
    })
    .await;
    assert_eq!(status(&gateway, "/v1/items/lamp").await, 200);

    replace(&path, &moved("/v9/{name}"));
    eventually(async || status(&gateway, "/v9/lamp").await == 200).await;
    assert_eq!(gateway.admin("/faults").await, "");
    gateway.stop().await;
    upstream.stop().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_asked_again() {
    let upstream = Upstream::start(Reflection::V1).await;
    let (address, url) = (upstream.address, upstream.url());
    upstream.stop().await;
    let gateway = Gateway::start(config(crate::gateway::reflected(&url))).await;
    let early = gateway.get("/v1/items/lamp").await;
    assert_eq!(early.status(), 503);
    assert_eq!(early.headers()["retry-after"], "1");
    assert_eq!(status(&gateway, "/readyz").await, 503);
    assert_eq!(status(&gateway, "/healthz").await, 200);
    let upstream = Upstream::start_at(address, Reflection::V1).await;
    eventually(async || status(&gateway, "/v1/items/lamp").await == 200).await;
    assert_eq!(status(&gateway, "/readyz").await, 200);
    gateway.stop().await;
    upstream.stop().await;
}

#[tokio::test]
async fn descriptors_are_read_again_when_told() {
    let upstream = Upstream::start(Reflection::V1).await;
    let mut told = config(crate::gateway::reflected(&upstream.url()));
    told.admin.address = Some("127.0.0.1:0".parse().unwrap());
    let gateway = Gateway::start(told).await;
    let reload: mpsc::Sender<()> = gateway.reload.clone();
    reload.send(()).await.unwrap();
    let unchanged = r#"pulpo_gateway_reloads_total{result="unchanged"} 1"#;
    eventually(async || gateway.metrics().await.contains(unchanged)).await;
    gateway.stop().await;
    upstream.stop().await;
}
