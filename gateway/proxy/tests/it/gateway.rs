//! A running gateway, and requests to it.

use std::{net::SocketAddr, time::Duration};

use pulpo_gateway_proxy::{
    config::{Config, Listener, Surface, Upstream},
    run::Proxy,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// A gateway in this process.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    admin: Option<SocketAddr>,
    pub(crate) reload: mpsc::Sender<()>,
    pub(crate) client: reqwest::Client,
    shutdown: oneshot::Sender<()>,
    running: JoinHandle<anyhow::Result<()>>,
}

/// One listener on a free port, one surface of one upstream.
pub(crate) fn config(upstream: Upstream) -> Config {
    Config {
        listeners: vec![Listener {
            name: "main".to_owned(),
            address: "127.0.0.1:0".parse().unwrap(),
            tls: None,
            health: true,
        }],
        upstreams: vec![upstream],
        surfaces: vec![Surface {
            name: "shop".to_owned(),
            ..Surface::default()
        }],
        ..Config::default()
    }
}

/// An upstream whose descriptors come from reflection.
pub(crate) fn reflected(url: &str) -> Upstream {
    Upstream {
        reflection: true,
        // A test that waits for a server to come back does not wait long.
        backoff_max_ms: 50,
        ..Upstream::at("shop", url)
    }
}

impl Gateway {
    pub(crate) async fn start(config: Config) -> Self {
        let proxy = Proxy::bind(config).await.unwrap();
        let address = proxy.addresses().unwrap()[0];
        let (admin, reload) = (proxy.admin_address(), proxy.reload_handle());
        let (shutdown, told) = oneshot::channel();
        let running = tokio::spawn(proxy.run(async {
            let _ = told.await;
        }));
        Self {
            address,
            admin,
            reload,
            client: reqwest::Client::new(),
            shutdown,
            running,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    /// What the admin listener says.
    pub(crate) async fn admin(&self, path: &str) -> String {
        let reply = self.ask_admin("GET", path).await;
        reply.text().await.unwrap()
    }

    /// What the admin listener answers.
    pub(crate) async fn ask_admin(&self, method: &str, path: &str) -> reqwest::Response {
        let url = format!("http://{}{path}", self.admin.unwrap());
        let request = self.client.request(method.parse().unwrap(), url);
        request.send().await.unwrap()
    }

    pub(crate) async fn metrics(&self) -> String {
        self.admin("/metrics").await
    }

    /// Stops it and waits until it has drained.
    pub(crate) async fn stop(self) {
        let _ = self.shutdown.send(());
        self.running.await.unwrap().unwrap();
    }
}

/// Waits until it is so. It is asked again and again, and a test that never sees it fails.
pub(crate) async fn eventually(is_so: impl AsyncFn() -> bool) {
    let seen = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), seen)
        .await
        .expect("it did not come to that");
}
