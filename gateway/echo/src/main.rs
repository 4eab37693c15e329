//! Serves the echo service at the address it is given, or on a port of its own choice, and prints `listening on ADDRESS`.

use std::{future::ready, sync::Arc};

use anyhow::Result;
use hyper_util::service::TowerToHyperService;
use pulpo_gateway::listen;
use pulpo_gateway_echo::Faces;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::ServiceExt;

const MAX_CONNECTIONS: usize = 1000;

#[tokio::main]
#[expect(
    clippy::print_stdout,
    reason = "whoever started it reads the address there"
)]
async fn main() -> Result<()> {
    let faces = Faces::new()?
        .map_request(|request: http::Request<hyper::body::Incoming>| request.map(Body::new));
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:0")).await?;
    println!("listening on {}", listener.local_addr()?);
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    listen::accept(
        listener,
        listen::Limits::default(),
        slots,
        CancellationToken::new(),
        |stream, _| ready(Ok((stream, TowerToHyperService::new(faces.clone())))),
    )
    .await;
    Ok(())
}
