//! A real gRPC server: tonic on a free port, which can be stopped and started again.

use std::net::SocketAddr;

use futures_util::StreamExt;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// A port that is free.
pub(crate) const ANYWHERE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Which reflection the server has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reflection {
    V1,
    V1Alpha,
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Server {
    /// Serves these services, and tells their descriptors to whoever asks.
    pub(crate) async fn start(
        address: SocketAddr,
        routes: Routes,
        reflection: Reflection,
        set: &[u8],
    ) -> Self {
        Self::start_narrow(address, routes, reflection, set, None).await
    }

    /// The same with so many calls on a connection at most.
    pub(crate) async fn start_narrow(
        address: SocketAddr,
        mut routes: Routes,
        reflection: Reflection,
        set: &[u8],
        calls: Option<u32>,
    ) -> Self {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(set);
        routes = match reflection {
            Reflection::V1 => routes.add_service(builder.build_v1().unwrap()),
            Reflection::V1Alpha => routes.add_service(builder.build_v1alpha().unwrap()),
        };
        Self::serve(address, routes, calls).await
    }

    /// Serves these and nothing besides.
    pub(crate) async fn serve(address: SocketAddr, routes: Routes, calls: Option<u32>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        // Closed at once when it is to stop, so that another server can take its place.
        let incoming =
            futures_util::stream::unfold((listener, stop.clone()), |(listener, stop)| async move {
                let accepted = stop.run_until_cancelled(listener.accept()).await?;
                Some((accepted.map(|(stream, _)| stream), (listener, stop)))
            });
        let stopped = stop.clone().cancelled_owned();
        let serving = tokio::spawn(async move {
            tonic::transport::Server::builder()
                .max_concurrent_streams(calls)
                .add_routes(routes)
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

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops it gracefully: calls in flight end first.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }
}

/// Waits until nobody listens there.
pub(crate) async fn is_closed(address: SocketAddr) {
    while TcpStream::connect(address).await.is_ok() {}
}

/// The descriptors of a .proto file that has been changed, as protoc writes them.
pub(crate) fn compiled(
    source: &str,
    include_imports: bool,
    change: impl Fn(&str) -> String,
) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let name = source.rsplit('/').next().unwrap();
    let changed = change(&std::fs::read_to_string(source).unwrap());
    std::fs::write(folder.path().join(name), changed).unwrap();
    let known = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto");
    let mut compiler = protox::Compiler::new([folder.path(), known.as_ref()]).unwrap();
    compiler
        .include_imports(include_imports)
        .open_file(name)
        .unwrap();
    compiler.encode_file_descriptor_set()
}
