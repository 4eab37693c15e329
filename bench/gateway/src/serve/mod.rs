//! The servers: the gateway in process, the same by hand, and the gRPC service for transcoders in front.

mod by_hand;
mod in_process;
mod layers;
mod service;

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;
use tokio::net::TcpListener;

/// Longest request body anywhere.
pub(crate) const MAX_BODY_BYTES: usize = 4 << 20;

/// The longest a call may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// The gateway around the tonic service, in one process.
    InProcess,
    /// Handlers written by hand with axum and serde.
    ByHand,
    /// The tonic service, for a transcoder in front.
    Grpc,
}

/// Serves until the process ends.
pub(crate) fn serve(kind: Kind, address: SocketAddr) -> Result<()> {
    pulpo_gateway::listen::use_small_pages();
    // One worker, as the server has one core; the scheduler is the one a deployment has.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    metrics::set_global_recorder(recorder)?;
    runtime.block_on(async {
        match kind {
            Kind::InProcess => {
                let listener = TcpListener::bind(address).await?;
                layers::accept(listener, in_process::gateway()?, None).await;
                Ok(())
            }
            Kind::ByHand => {
                let listener = TcpListener::bind(address).await?;
                layers::accept(listener, by_hand::router(), Some(DEADLINE)).await;
                Ok(())
            }
            Kind::Grpc => Ok(tonic::transport::Server::builder()
                .tcp_nodelay(true)
                .add_routes(service::routes())
                .serve(address)
                .await?),
        }
    })
}
