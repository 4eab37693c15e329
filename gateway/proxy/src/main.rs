//! `pulpo-gateway`: REST in front of any gRPC server.

use std::convert::Infallible;

use anyhow::{Context, Result};
use clap::Parser;
use pulpo_gateway::listen::use_small_pages;
use pulpo_gateway_proxy::{
    args::Args,
    run::{Proxy, check, threads},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let args = Args::parse();
    let config = args.config()?;
    if args.print_config {
        return print(&config.print()?);
    }
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")),
        )
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads(config.server.workers))
        .enable_all()
        .build()
        .context("no runtime")?;
    use_small_pages();
    runtime.block_on(async {
        if args.check {
            check(config).await?;
            return print("the configuration, the certificates and the descriptors are right\n");
        }
        // All of them before the start, which may take a while: a signal nobody listens for ends the program.
        let (mut terminate, mut interrupt, hangup) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
        );
        let proxy = Proxy::bind(config).await?;
        let hangups = read_again(hangup, proxy.reload_handle());
        let running = proxy.run(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        tokio::select! {
            ended = running => ended,
            never = hangups => match never {},
        }
    })
}

/// Has the descriptors read again on every SIGHUP.
async fn read_again(mut hangup: Signal, reload: mpsc::Sender<()>) -> Infallible {
    while hangup.recv().await.is_some() {
        tracing::info!("told to read the descriptors again");
        // Where one has been told of and not begun with, that one is enough.
        let _ = reload.try_send(());
    }
    std::future::pending().await
}

fn print(text: &str) -> Result<()> {
    use std::io::Write;
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
