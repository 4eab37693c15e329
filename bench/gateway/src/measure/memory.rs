//! What streams take in memory: one of a gibibyte, and ten thousand that are silent.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::{
    Options,
    process::{Process, free_address},
};

/// The most memory the download may take above idle, in KiB.
const DOWNLOAD_LIMIT_KIB: f64 = 4.0 * 1024.0;
const DOWNLOAD_BYTES: u64 = 1 << 30;
/// The most memory a silent stream may take, in KiB.
const STREAM_LIMIT_KIB: f64 = 20.0;
const STREAMS: usize = 10_000;
/// Time for freed memory to go back and for keep-alives to settle.
const PAUSE: Duration = Duration::from_millis(500);

/// One line of the results.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) kib: f64,
    /// None where the figure is only told.
    pub(crate) limit_kib: Option<f64>,
}

/// Measures both with the gateway in process, and the silent streams with the handlers written by hand too.
pub(crate) fn measure(options: &Options) -> Result<Vec<Figure>> {
    let (_keep, gateway, address) = server(options, "in-process")?;
    let download = download(&gateway, address)?;
    drop(gateway);
    let (_keep, gateway, address) = server(options, "in-process")?;
    let silent = silent_streams(&gateway, address)?;
    drop(gateway);
    let (_keep, by_hand, address) = server(options, "by-hand")?;
    let silent_by_hand = silent_streams(&by_hand, address)?;
    Ok(vec![
        Figure {
            name: "a download of 1 GiB as HttpBody messages, above idle",
            kib: download,
            limit_kib: Some(DOWNLOAD_LIMIT_KIB),
        },
        Figure {
            name: "each of 10,000 silent streams of server-sent events",
            kib: silent,
            limit_kib: Some(STREAM_LIMIT_KIB),
        },
        Figure {
            name: "the same by hand",
            kib: silent_by_hand,
            limit_kib: None,
        },
    ])
}

fn server(options: &Options, kind: &str) -> Result<(tempfile::TempDir, Process, SocketAddr)> {
    let (folder, address) = (tempfile::tempdir()?, free_address()?);
    let program = std::env::current_exe()?;
    let arguments = ["serve", kind, &address.to_string()];
    let log = folder.path().join("log");
    let mut process = Process::start(options.server_core, &program, &arguments, &log)?;
    process.wait_for(address)?;
    Ok((folder, process, address))
}

/// The most memory there was during the download less what there was before, in KiB.
fn download(server: &Process, address: SocketAddr) -> Result<f64> {
    fetch(address, 1)?;
    std::thread::sleep(PAUSE);
    let idle = server.resident_kib()?;
    server.forget_peak()?;
    fetch(address, DOWNLOAD_BYTES)?;
    Ok(server.peak_kib()? as f64 - idle as f64)
}

fn fetch(address: SocketAddr, bytes: u64) -> Result<()> {
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--fail",
            "--output",
            "/dev/null",
        ])
        .args(["--header", "accept: */*", "--write-out", "%{size_download}"])
        .arg(format!("http://{address}/v1/blobs/{bytes}"))
        .output()?;
    let size = String::from_utf8_lossy(&output.stdout);
    ensure!(
        size == bytes.to_string(),
        "{size} bytes of {bytes}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Memory for each stream, in KiB.
fn silent_streams(server: &Process, address: SocketAddr) -> Result<f64> {
    let first = open_stream(address)?;
    std::thread::sleep(PAUSE);
    let idle = server.resident_kib()?;
    let streams: Vec<TcpStream> = (0..STREAMS)
        .map(|n| open_stream(address).with_context(|| format!("stream {n} (ulimit -n?)")))
        .collect::<Result<_>>()?;
    std::thread::sleep(PAUSE);
    let full = server.resident_kib()?;
    drop((first, streams));
    Ok((full as f64 - idle as f64) / STREAMS as f64)
}

/// Opens a stream and reads its first event.
fn open_stream(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let head =
        "GET /v1/payments:await HTTP/1.1\r\nhost: bench\r\naccept: text/event-stream\r\n\r\n";
    stream.write_all(head.as_bytes())?;
    let mut answer = Vec::new();
    let mut piece = [0; 2048];
    while !answer.windows(5).any(|window| window == b"data:") {
        let length = stream.read(&mut piece)?;
        ensure!(
            length > 0,
            "the stream ended: {}",
            String::from_utf8_lossy(&answer)
        );
        answer.extend_from_slice(&piece[..length]);
    }
    ensure!(
        answer.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    Ok(stream)
}
