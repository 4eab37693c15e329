//! What streams take in memory: one of a gibibyte, and ten thousand that are silent.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::{
    Options,
    process::{Process, free_address},
};
use crate::proto::DESCRIPTOR_SET;

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

/// A server that is measured. What it needs beside it is not.
struct Measured {
    process: Process,
    address: SocketAddr,
    _upstream: Option<Process>,
    _folder: TempDir,
}

/// Measures both with the gateway in process and with the program, and the silent streams with the handlers written by
/// hand too.
pub(crate) fn measure(options: &Options) -> Result<Vec<Figure>> {
    // Each in a process that has done nothing before.
    let own = |kind| Measured::own(options, kind);
    let proxy = |threads| Measured::proxy(options, threads);
    let told = |name, kib, limit_kib| Figure {
        name,
        kib,
        limit_kib,
    };
    let (download_limit, stream_limit) = (Some(DOWNLOAD_LIMIT_KIB), Some(STREAM_LIMIT_KIB));
    Ok(vec![
        told(
            "a download of 1 GiB as HttpBody messages, above idle",
            own("in-process")?.download()?,
            download_limit,
        ),
        told(
            "the same through the program",
            proxy(1)?.download()?,
            download_limit,
        ),
        told(
            "the same through the program with four threads",
            proxy(4)?.download()?,
            download_limit,
        ),
        told(
            "each of 10,000 silent streams of server-sent events",
            own("in-process")?.silent_streams()?,
            stream_limit,
        ),
        told(
            "the same through the program",
            proxy(1)?.silent_streams()?,
            stream_limit,
        ),
        told("the same by hand", own("by-hand")?.silent_streams()?, None),
    ])
}

impl Measured {
    /// One of this program's own servers.
    fn own(options: &Options, kind: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (process, address) = serve(options, kind, folder.path())?;
        Ok(Self {
            process,
            address,
            _upstream: None,
            _folder: folder,
        })
    }

    /// The program in front of the gRPC service.
    fn proxy(options: &Options, threads: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (upstream, grpc) = serve(options, "grpc", folder.path())?;
        let address = free_address()?;
        let config = folder.path().join("gateway.toml");
        fs::write(
            &config,
            proxy_config(folder.path(), address, grpc, threads)?,
        )?;
        let program = std::env::current_exe()?.with_file_name("pulpo-gateway");
        let arguments = ["--config", &config.to_string_lossy()];
        let log = folder.path().join("proxy");
        let mut process = Process::start(options.server_core, &program, &arguments, &log)?;
        process.wait_for(address)?;
        Ok(Self {
            process,
            address,
            _upstream: Some(upstream),
            _folder: folder,
        })
    }

    /// The most memory there was during the download less what there was before, in KiB.
    fn download(&self) -> Result<f64> {
        fetch(self.address, 1)?;
        std::thread::sleep(PAUSE);
        let idle = self.process.resident_kib()?;
        self.process.forget_peak()?;
        fetch(self.address, DOWNLOAD_BYTES)?;
        Ok(self.process.peak_kib()? as f64 - idle as f64)
    }

    /// Memory for each stream, in KiB.
    fn silent_streams(&self) -> Result<f64> {
        let first = open_stream(self.address)?;
        std::thread::sleep(PAUSE);
        let idle = self.process.resident_kib()?;
        let streams: Vec<TcpStream> = (0..STREAMS)
            .map(|n| open_stream(self.address).with_context(|| format!("stream {n} (ulimit -n?)")))
            .collect::<Result<_>>()?;
        std::thread::sleep(PAUSE);
        let full = self.process.resident_kib()?;
        drop((first, streams));
        Ok((full as f64 - idle as f64) / STREAMS as f64)
    }
}

fn serve(options: &Options, kind: &str, folder: &Path) -> Result<(Process, SocketAddr)> {
    let address = free_address()?;
    let program = std::env::current_exe()?;
    let arguments = ["serve", kind, &address.to_string()];
    let log = folder.join(kind);
    let mut process = Process::start(options.server_core, &program, &arguments, &log)?;
    process.wait_for(address)?;
    Ok((process, address))
}

/// Room for all the streams.
fn proxy_config(
    folder: &Path,
    address: SocketAddr,
    grpc: SocketAddr,
    threads: usize,
) -> Result<String> {
    let set = folder.join("descriptor.bin");
    fs::write(&set, DESCRIPTOR_SET)?;
    Ok(format!(
        "server = {{max_connections = {most}, workers = {threads}}}\n\
         listener = [{{name = \"main\", address = \"{address}\"}}]\n\
         surface = [{{name = \"bench\"}}]\n\
         [[upstream]]\n\
         name = \"bench\"\n\
         url = \"http://{grpc}\"\n\
         descriptor_set = {set:?}\n\
         max_in_flight = {most}\n",
        most = 2 * STREAMS,
    ))
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
