//! Which upstreams are asked for their descriptors again, and when.

use std::net::SocketAddr;

use futures_util::StreamExt;
use pulpo_gateway_proxy::config::{Surface, Upstream as Told};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::{
    gateway::{Gateway, config, eventually, reflected},
    upstream::compiled,
};

/// A server that has nothing but reflection, of the shop with its items at this path.
pub(crate) struct Described {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Described {
    pub(crate) async fn start(at: &str, path: &str) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        let set = compiled(true, |proto| proto.replace("/v1/items/{name}", path));
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(&set)
            .build_v1()
            .unwrap();
        let stop = CancellationToken::new();
        let incoming = futures_util::stream::unfold(listener, |listener| async {
            let accepted = listener.accept().await.map(|(stream, _)| stream);
            Some((accepted, listener))
        });
        let stopped = stop.clone().cancelled_owned();
        let serving = tokio::spawn(async move {
            tonic::transport::Server::builder()
                .add_routes(Routes::new(reflection))
                .serve_with_incoming_shutdown(incoming.boxed(), stopped)
                .await
                .unwrap();
        });
        Self {
            address,
            stop,
            serving,
        }
    }

    /// Another server at the same address.
    async fn moved(self, path: &str) -> Self {
        let address = self.address.to_string();
        self.stop().await;
        Self::start(&address, path).await
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }
}

pub(crate) fn told(name: &str, server: &Described, refresh_s: u64) -> Told {
    Told {
        name: name.to_owned(),
        refresh_s,
        ..reflected(&format!("http://{}", server.address))
    }
}

pub(crate) fn surface(name: &str) -> Surface {
    Surface {
        name: name.to_owned(),
        hosts: vec![format!("{name}.example")],
        upstreams: vec![name.to_owned()],
        ..Surface::default()
    }
}

/// Whether the surface of this host has a route there; nobody answers it.
async fn has(gateway: &Gateway, host: &str, path: &str) -> bool {
    let request = gateway.client.get(gateway.url(path));
    let reply = request.header("host", format!("{host}.example")).send();
    match reply.await.unwrap().status().as_u16() {
        404 => false,
        501 | 503 => true,
        status => panic!("{host}{path}: {status}"),
    }
}

#[tokio::test]
async fn each_upstream_is_asked_again_at_its_own_time_or_never() {
    let often = Described::start("127.0.0.1:0", "/v1/items/{name}").await;
    let never = Described::start("127.0.0.1:0", "/v1/items/{name}").await;
    let mut told_all = config(told("often", &often, 1));
    told_all.upstreams.push(told("never", &never, 0));
    told_all.surfaces = vec![surface("often"), surface("never")];
    told_all.admin.address = Some("127.0.0.1:0".parse().unwrap());
    let gateway = Gateway::start(told_all).await;
    assert!(has(&gateway, "often", "/v1/items/lamp").await);

    let never = never.moved("/v2/items/{name}").await;
    let ready = async || gateway.get("/readyz").await.status() == 200;
    eventually(ready).await;
    let often = often.moved("/v2/items/{name}").await;
    eventually(async || has(&gateway, "often", "/v2/items/lamp").await).await;
    // Once more, with both servers there.
    eventually(ready).await;
    let unchanged = async || {
        let metrics = gateway.metrics().await;
        let name = r#"pulpo_gateway_reloads_total{result="unchanged"} "#;
        let mut lines = metrics.lines();
        let count = lines.find_map(|line| line.strip_prefix(name));
        count.map_or(0, |count| count.parse::<u64>().unwrap())
    };
    let before = unchanged().await;
    eventually(async || unchanged().await > before).await;
    assert!(has(&gateway, "never", "/v1/items/lamp").await);
    assert!(!has(&gateway, "never", "/v2/items/lamp").await);

    gateway.reload.send(()).await.unwrap();
    eventually(async || has(&gateway, "never", "/v2/items/lamp").await).await;
    gateway.stop().await;
    never.stop().await;
    often.stop().await;
}

#[tokio::test]
async fn what_was_refused_stays_told_while_others_are_read() {
    let often = Described::start("127.0.0.1:0", "/v1/items/{name}").await;
    let never = Described::start("127.0.0.1:0", "/v1/items/{name}").await;
    let mut told_all = config(told("often", &often, 1));
    told_all.upstreams.push(told("never", &never, 0));
    told_all.surfaces = vec![surface("often"), surface("never")];
    told_all.admin.address = Some("127.0.0.1:0".parse().unwrap());
    let gateway = Gateway::start(told_all).await;
    let never = never.moved("/v2/items/{nobody}").await;
    eventually(async || gateway.get("/readyz").await.status() == 200).await;
    gateway.reload.send(()).await.unwrap();
    eventually(async || gateway.admin("/faults").await.contains("nobody")).await;
    // The other one's news cannot be served with that either, and both are tried again.
    let often = often.moved("/v2/items/{name}").await;
    let refused = async || {
        let metrics = gateway.metrics().await;
        metrics.contains(r#"reloads_total{result="refused"} 2"#)
    };
    eventually(refused).await;
    assert!(gateway.admin("/faults").await.contains("nobody"));
    let never = never.moved("/v3/items/{name}").await;
    eventually(async || gateway.get("/readyz").await.status() == 200).await;
    gateway.reload.send(()).await.unwrap();
    eventually(async || has(&gateway, "never", "/v3/items/lamp").await).await;
    assert_eq!(gateway.admin("/faults").await, "");
    gateway.stop().await;
    never.stop().await;
    often.stop().await;
}
