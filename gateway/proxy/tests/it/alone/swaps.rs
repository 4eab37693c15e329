//! Descriptors that change while the program runs.

use std::{net::SocketAddr, path::Path, sync::Arc};

use futures_util::{StreamExt, stream};
use nix::sys::signal::Signal;
use pulpo_gateway_proxy::config::Upstream as Told;
use tokio::sync::Semaphore;
use tonic::Code;

use super::output::{EVENTS, LINES};
use crate::{
    gateway::{config, eventually, reflected},
    messages::{framed, line, lines, reply},
    running::Program,
    scripted::{self, scripted},
    upstream::{Reflection, Upstream, compiled},
};

/// Puts a file in place as a whole, as careful programs do.
fn replace(path: &Path, content: &[u8]) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, content).unwrap();
    std::fs::rename(&beside, path).unwrap();
}

const PLAIN: &str = "  rpc Plain(Item) returns (Item);";

/// The shop before it had a method, and with it.
fn without_plain() -> Vec<u8> {
    compiled(true, |proto| proto.replace(PLAIN, ""))
}

fn with_plain() -> Vec<u8> {
    let rule = r#"{option (google.api.http) = {post: "/v1/plain" body: "*"};}"#;
    let routed = format!("  rpc Plain(Item) returns (Item) {rule}");
    compiled(true, |proto| proto.replace(PLAIN, &routed))
}

/// One that the program cannot serve, for two reasons.
fn wrong() -> Vec<u8> {
    compiled(true, |proto| {
        let proto = proto.replace("/v1/items/{name}", "/v1/items/{nobody}");
        proto.replace(
            r#"post: "/v1/items" body: "*""#,
            r#"post: "/v1/items" body: "nothing""#,
        )
    })
}

async fn shop(address: SocketAddr, set: &[u8]) -> Upstream {
    Upstream::start_with(address, Reflection::V1, set).await
}

async fn plain(program: &Program) -> u16 {
    let sent = program.post("/v1/plain", "application/json", r#"{"name":"lamp"}"#);
    sent.await.status().as_u16()
}

#[tokio::test]
async fn a_restarted_server_with_more_methods_is_served_and_its_old_calls_end_well() {
    for refresh_s in [0, 1] {
        let old = shop(crate::server::ANYWHERE, &without_plain()).await;
        let address = old.address;
        let mut told = config(reflected(&old.url()));
        told.upstreams[0].connections = 1;
        told.upstreams[0].refresh_s = refresh_s;
        let mut program = Program::start(told).await;
        assert_eq!(plain(&program).await, 404);
        let slow = program.client.get(program.url("/v1/items/slow")).send();
        let slow = tokio::spawn(slow);
        old.arrived().await;
        let gate = old.gate.clone();
        let ending = tokio::spawn(old.stop());
        crate::server::is_closed(address).await;
        let new = shop(address, &with_plain()).await;
        eventually(async || program.status("/v1/items/lamp").await == 200).await;
        if refresh_s == 0 {
            assert_eq!(plain(&program).await, 404);
            program.running.signal(Signal::SIGHUP);
        }
        program.running.says("new descriptors are served").await;
        assert_eq!(plain(&program).await, 200);
        assert!(!slow.is_finished());
        gate.add_permits(1);
        assert_eq!(slow.await.unwrap().unwrap().status(), 200);
        ending.await.unwrap();
        program.stop().await;
        new.stop().await;
    }
}

#[tokio::test]
async fn a_restarted_server_that_cannot_be_served_is_refused_with_all_faults() {
    let old = shop(crate::server::ANYWHERE, &without_plain()).await;
    let address = old.address;
    let mut told = config(reflected(&old.url()));
    told.upstreams[0].refresh_s = 1;
    let program = Program::start(told).await;
    old.stop().await;
    let bad = shop(address, &wrong()).await;
    eventually(async || {
        let faults = program.admin("/faults").await;
        faults.contains("nobody") && faults.contains("nothing")
    })
    .await;
    assert_eq!(program.admin("/faults").await.lines().count(), 2);
    let metrics = program.admin("/metrics").await;
    assert!(metrics.contains("pulpo_gateway_descriptor_faults 2"));
    // The old ones stay.
    eventually(async || program.status("/v1/items/lamp").await == 200).await;
    bad.stop().await;
    let good = shop(address, &with_plain()).await;
    eventually(async || plain(&program).await == 200).await;
    eventually(async || program.admin("/faults").await.is_empty()).await;
    program.stop().await;
    good.stop().await;
}

#[tokio::test]
async fn streams_in_flight_keep_to_the_descriptors_they_began_with() {
    let gate = Arc::new(Semaphore::new(0));
    let opens = gate.clone();
    let server = scripted(move |request| {
        let opens = opens.clone();
        let is_stream = !request.uri().path().ends_with("/Read");
        let rest = stream::once(async move {
            if is_stream {
                opens.acquire().await.unwrap().forget();
            }
            framed(&line(2))
        });
        async move {
            match is_stream {
                true => reply(lines(1).chain(rest), Code::Ok),
                false => reply(rest, Code::Ok),
            }
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("streams.binpb");
    std::fs::write(&path, scripted::descriptor_set()).unwrap();
    let told = config(Told {
        descriptor_set: Some(path.clone()),
        ..Told::at("streams", &server.url())
    });
    let program = Program::start(told).await;
    let mut open = Vec::new();
    for accept in [LINES, EVENTS] {
        let mut stream = program.get("/v1/logs/a:watch", &[("accept", accept)]).await;
        let first = stream.chunk().await.unwrap().unwrap();
        open.push((stream, String::from_utf8(first.to_vec()).unwrap()));
    }
    // Nobody says so: the file is watched.
    let renamed = scripted::changed(|proto| {
        let proto = proto.replace("/v1/lines/{log}", "/v2/lines/{log}");
        proto.replace(
            "  string text = 4;\n  pulpo",
            "  string words = 4;\n  pulpo",
        )
    });
    replace(&path, &renamed);
    eventually(async || program.status("/v2/lines/a").await == 200).await;
    assert_eq!(program.status("/v1/lines/a").await, 404);
    let now = program.get("/v2/lines/a", &[]).await.text().await.unwrap();
    assert_eq!(now, r#"{"id":2,"kind":"k","words":"line 2"}"#);
    gate.add_permits(open.len());
    let rest = "{\"id\":2,\"kind\":\"k\",\"text\":\"line 2\"}\n";
    for (stream, first) in open {
        let whole = first + &stream.text().await.unwrap();
        assert!(whole.contains(rest), "{whole}");
        assert!(!whole.contains("error"), "{whole}");
    }
    program.stop().await;
    server.stop().await;
}
