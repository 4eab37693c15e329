//! Several upstreams behind several surfaces, and several connections to one.

use std::path::PathBuf;

use pulpo_gateway_proxy::config::{Config, Listener, Surface, Upstream as Told};
use tempfile::TempDir;
use tokio::process::Command;

use super::output::is_told;
use crate::{
    gateway::{config, eventually, reflected},
    running::{PROGRAM, Program},
    scripted::{self, counting, silent_and_narrow},
    server::ANYWHERE,
    upstream::{Reflection, Upstream, descriptor_set},
};

/// The shop and the streams: each for a host of its own, and both on a listener of their own.
fn two(shop: Told, streams: Told) -> Config {
    let mut told = config(shop);
    told.upstreams.push(Told {
        name: "streams".to_owned(),
        ..streams
    });
    told.listeners.push(Listener {
        name: "both".to_owned(),
        address: ANYWHERE,
        tls: None,
        health: true,
    });
    told.surfaces = ["shop", "streams"]
        .map(|name| Surface {
            name: name.to_owned(),
            listeners: vec!["main".to_owned()],
            hosts: vec![format!("{name}.example")],
            upstreams: vec![name.to_owned()],
            ..Surface::default()
        })
        .into();
    told.surfaces.push(Surface {
        name: "both".to_owned(),
        listeners: vec!["both".to_owned()],
        ..Surface::default()
    });
    told
}

const ITEM: &str = "/v1/items/lamp";
const LINE: &str = "/v1/logs/a:watch";

/// The status of a path for a host, on the listener with this place.
async fn status(program: &Program, listener: usize, host: &str, path: &str) -> u16 {
    let address = program.addresses[listener];
    let request = program.client.get(format!("http://{address}{path}"));
    let request = request.header("host", host).header("x-lines", "1");
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn every_route_leads_to_its_own_upstream() {
    let (shop, streams) = (Upstream::start(Reflection::V1).await, counting().await);
    let program = Program::start(two(reflected(&shop.url()), reflected(&streams.url()))).await;
    for (listener, host, path, expected) in [
        (0, "shop.example", ITEM, 200),
        (0, "shop.example", LINE, 404),
        (0, "streams.example", ITEM, 404),
        (0, "streams.example", LINE, 200),
        (0, "other.example", ITEM, 421),
        (1, "other.example", ITEM, 200),
        (1, "other.example", LINE, 200),
    ] {
        let seen = status(&program, listener, host, path).await;
        assert_eq!(seen, expected, "{listener} {host} {path}");
    }
    let metrics = program.admin("/metrics").await;
    for line in [
        r#"route="shop.v1.Shop/GetItem",status="200",surface="shop"} 1"#,
        r#"route="shop.v1.Shop/GetItem",status="200",surface="both"} 1"#,
        r#"route="gateway.test.v1.StreamService/Watch",status="200",surface="streams"} 1"#,
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    program.stop().await;
    shop.stop().await;
    streams.stop().await;
}

#[tokio::test]
async fn an_upstream_that_goes_away_leaves_the_others_served() {
    let (shop, streams) = (Upstream::start(Reflection::V1).await, counting().await);
    let address = shop.address;
    let program = Program::start(two(reflected(&shop.url()), reflected(&streams.url()))).await;
    assert_eq!(status(&program, 1, "any", "/readyz").await, 200);
    shop.stop().await;
    eventually(async || status(&program, 1, "any", ITEM).await == 503).await;
    for (listener, host) in [(0, "shop.example"), (1, "any")] {
        assert_eq!(status(&program, listener, host, ITEM).await, 503, "{host}");
    }
    for (listener, host) in [(0, "streams.example"), (1, "any")] {
        assert_eq!(status(&program, listener, host, LINE).await, 200, "{host}");
    }
    assert_eq!(status(&program, 1, "any", "/readyz").await, 503);
    let shop = Upstream::start_at(address, Reflection::V1).await;
    eventually(async || status(&program, 1, "any", ITEM).await == 200).await;
    program.stop().await;
    shop.stop().await;
    streams.stop().await;
}

#[tokio::test]
async fn an_upstream_that_was_never_there_leaves_the_others_served() {
    let (shop, streams) = (Upstream::start(Reflection::V1).await, counting().await);
    let (address, url) = (shop.address, shop.url());
    shop.stop().await;
    let program = Program::start(two(reflected(&url), reflected(&streams.url()))).await;
    assert_eq!(status(&program, 0, "streams.example", LINE).await, 200);
    assert_eq!(status(&program, 0, "shop.example", ITEM).await, 503);
    let shop = Upstream::start_at(address, Reflection::V1).await;
    eventually(async || status(&program, 0, "shop.example", ITEM).await == 200).await;
    assert_eq!(status(&program, 1, "any", ITEM).await, 200);
    program.stop().await;
    shop.stop().await;
    streams.stop().await;
}

/// An upstream that nobody asks, with these descriptors.
fn described(folder: &TempDir, name: &str, set: &[u8]) -> Told {
    let path: PathBuf = folder.path().join(name);
    std::fs::write(&path, set).unwrap();
    Told {
        descriptor_set: Some(path),
        ..Told::at(name, "http://127.0.0.1:1")
    }
}

/// What the program says when it does not start, both by itself and when it is asked to check.
async fn refused(told: &Config) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), told.print().unwrap()).unwrap();
    let path = file.path().to_str().unwrap();
    let start = async |more: &[&str]| {
        let mut program = Command::new(PROGRAM);
        program.args(["--config", path]).args(more);
        let output = program.env("RUST_BACKTRACE", "0").output().await.unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let (started, checked) = (start(&[]).await, start(&["--check"]).await);
    let faults = |text: &str| text.split_once("Error: ").unwrap().1.to_owned();
    assert_eq!(faults(&started), faults(&checked));
    faults(&started)
}

#[tokio::test]
async fn upstreams_that_contradict_each_other_are_refused_with_all_faults() {
    let folder = tempfile::tempdir().unwrap();
    let shop = described(&folder, "shop", &descriptor_set(true));
    // The same service twice, on each of two surfaces that do not say which of them is meant.
    let twin = described(&folder, "streams", &descriptor_set(true));
    let mut told = two(shop.clone(), twin);
    told.surfaces.push(Surface {
        name: "again".to_owned(),
        hosts: vec!["again.example".to_owned()],
        ..Surface::default()
    });
    let faults = refused(&told).await;
    for surface in ["both", "again"] {
        let fault = format!(
            "surface {surface}: the upstreams shop and streams both have shop.v1.Shop; name the upstreams of the surface"
        );
        assert!(faults.contains(&fault), "{faults}");
    }
    assert!(!faults.contains("surface shop:"), "{faults}");
    // Two services that want the same routes.
    let same_routes = scripted::changed(|proto| {
        proto
            .replace("/v1/logs/{log}:watch", "/v1/items/{log}")
            .replace("/v1/logs/{log}:append", "/v1/items")
    });
    let rival = described(&folder, "streams", &same_routes);
    let faults = refused(&two(shop, rival)).await;
    for fault in [
        "GET /v1/items/{name} and GET /v1/items/{log} match the same paths: \
         shop.v1.Shop/GetItem and gateway.test.v1.StreamService/Watch",
        "POST /v1/items and POST /v1/items match the same paths: \
         shop.v1.Shop/CreateItem and gateway.test.v1.StreamService/Append",
    ] {
        let line = format!("surface both: {fault}\n");
        assert!(faults.contains(&line), "{faults}");
    }
    assert!(!faults.contains("surface streams:"), "{faults}");
}

#[tokio::test]
async fn a_call_goes_to_a_connection_that_has_room_for_it() {
    let (server, gone) = silent_and_narrow(Some(2)).await;
    let mut told = config(reflected(&server.url()));
    told.upstreams[0].connections = 2;
    let program = Program::start(told).await;
    let both = r#"pulpo_gateway_upstream_connections{upstream="shop"} 2"#;
    eventually(async || program.admin("/metrics").await.contains(both)).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut silent = program.get("/v1/logs/a:plain", &[]).await;
        silent.chunk().await.unwrap().unwrap();
        open.push(silent);
    }
    // They are on the two in turn: one of them has no call now, and the other no room.
    open.remove(2);
    open.remove(0);
    is_told(&gone).await;
    is_told(&gone).await;
    for _ in 0..4 {
        let read = program
            .get("/v1/lines/a", &[("x-server-timeout", "5")])
            .await;
        assert_eq!(read.status(), 200);
    }
    drop(open);
    program.stop().await;
    server.stop().await;
}
