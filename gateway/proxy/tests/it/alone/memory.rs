//! What the program takes of the machine's memory for streams: the benchmark's measure with fewer bytes and fewer streams.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::Code;

use super::output::{in_front_of, is_told};
use crate::{
    gateway::{config, reflected},
    messages::{HttpBody, Line, framed, reply},
    running::Program,
    scripted::{scripted, silent},
    server::Server,
};

/// Of a stream of bytes, in either direction.
const STREAM_BYTES: usize = 128 << 20;
const PIECE_BYTES: usize = 64 * 1024;
/// The most memory it may take above idle, with any number of threads.
const STREAM_KIB: usize = 4 * 1024;
const THREADS: [usize; 2] = [1, 2];
/// Silent streams, and the most each of them may take.
const SILENT: usize = 1000;
const SILENT_KIB: usize = 20;

/// The program with so many threads.
async fn working(workers: usize, server: &Server) -> Program {
    let mut told = config(reflected(&server.url()));
    told.server.workers = workers;
    Program::start(told).await
}

#[tokio::test]
async fn a_long_stream_of_bytes_out_takes_little() {
    let piece = framed(&HttpBody {
        content_type: "application/octet-stream".into(),
        data: Bytes::from(vec![b'x'; PIECE_BYTES]),
    });
    let server = scripted(move |request| {
        // A short one first, so that what every process needs once is there.
        let is_long = request.headers().contains_key("x-long");
        let count = if is_long {
            STREAM_BYTES / PIECE_BYTES
        } else {
            1
        };
        let pieces = vec![piece.clone(); count];
        async move { reply(stream::iter(pieces), Code::Ok) }
    })
    .await;
    for workers in THREADS {
        let program = working(workers, &server).await;
        program.get("/v1/files/f", &[]).await.bytes().await.unwrap();
        program.forget_peak();
        let idle = program.resident_kib();
        let mut file = program.get("/v1/files/f", &[("x-long", "1")]).await;
        let mut read = 0;
        while let Some(piece) = file.chunk().await.unwrap() {
            read += piece.len();
        }
        assert_eq!(read, STREAM_BYTES);
        let more = program.peak_kib() - idle;
        assert!(more <= STREAM_KIB, "{more} KiB with {workers} threads");
        program.stop().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_long_stream_of_bytes_in_takes_little() {
    let received = Arc::new(AtomicUsize::new(0));
    let counted = received.clone();
    let server = scripted(move |request| {
        let counted = counted.clone();
        async move {
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                let bytes = frame.unwrap().data_ref().map_or(0, Bytes::len);
                counted.fetch_add(bytes, Ordering::Relaxed);
            }
            reply(stream::iter([framed(&Line::default())]), Code::Ok)
        }
    })
    .await;
    for workers in THREADS {
        let program = working(workers, &server).await;
        let sent = async |length| {
            let body = vec![b'x'; length];
            let sent = program.post("/v1/files/f", "text/plain", body).await;
            assert_eq!(sent.status(), 200);
        };
        sent(1).await;
        program.forget_peak();
        let idle = program.resident_kib();
        received.store(0, Ordering::Relaxed);
        sent(STREAM_BYTES).await;
        assert!(received.load(Ordering::Relaxed) > STREAM_BYTES);
        let more = program.peak_kib() - idle;
        assert!(more <= STREAM_KIB, "{more} KiB with {workers} threads");
        program.stop().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn silent_streams_take_little_each() {
    let (server, gone) = silent().await;
    let program = in_front_of(&server).await;
    let open = async || {
        let mut client = TcpStream::connect(program.address()).await.unwrap();
        let request = "GET /v1/logs/a:plain HTTP/1.1\r\nhost: test\r\n\r\n";
        client.write_all(request.as_bytes()).await.unwrap();
        let (mut seen, mut piece) = (Vec::new(), [0; 1024]);
        while !seen.windows(5).any(|window| window == b"data:") {
            let length = client.read(&mut piece).await.unwrap();
            assert!(length > 0, "{}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&piece[..length]);
        }
        client
    };
    let mut streams = vec![open().await];
    let idle = program.resident_kib();
    for _ in 0..SILENT {
        streams.push(open().await);
    }
    let each = (program.resident_kib() - idle) / SILENT;
    assert!(each <= SILENT_KIB, "{each} KiB");
    drop(streams);
    for _ in 0..=SILENT {
        is_told(&gone).await;
    }
    program.stop().await;
    server.stop().await;
}
