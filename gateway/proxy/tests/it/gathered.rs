//! What many calls have to say to the upstream goes out together: counted where it arrives. A reader sees at most as many pieces
//! as were written, and about half as many or more where each was written by itself.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response};
use pulpo_gateway_proxy::config::Upstream as Told;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    runtime::Builder,
};

use crate::{
    gateway::{Gateway, config},
    upstream::descriptor_set,
};

const CALLS: usize = 64;

/// A stream that counts the pieces it reads.
struct Counted {
    stream: TcpStream,
    pieces: Arc<AtomicUsize>,
}

impl Counted {
    fn new(stream: TcpStream) -> (Self, Arc<AtomicUsize>) {
        let pieces = Arc::new(AtomicUsize::new(0));
        let counted = pieces.clone();
        (Self { stream, pieces }, counted)
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.pieces.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Answers the calls when all are there, at once; tells how many pieces they came in, and goes on until the connection ends.
async fn serve(listener: TcpListener) -> usize {
    let (stream, _) = listener.accept().await.unwrap();
    let (stream, pieces) = Counted::new(stream);
    let mut connection = h2::server::handshake(stream).await.unwrap();
    let mut calls = Vec::new();
    let mut before = 0;
    while let Some(call) = connection.accept().await {
        let (_, reply) = call.unwrap();
        if calls.is_empty() {
            // The piece with the first call has been read.
            before = pieces.load(Ordering::Relaxed) - 1;
        }
        calls.push(reply);
        if calls.len() == CALLS {
            break;
        }
    }
    let arrived = pieces.load(Ordering::Relaxed) - before;
    for mut call in calls {
        let reply = Response::builder()
            .header("content-type", "application/grpc")
            .header("grpc-status", "0");
        call.send_response(reply.body(()).unwrap(), true).unwrap();
    }
    while connection.accept().await.is_some() {}
    arrived
}

/// Sends the calls at once.
async fn call(gateway: std::net::SocketAddr) {
    let stream = TcpStream::connect(gateway).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let driven = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let mut replies = Vec::new();
    for _ in 0..CALLS {
        let request = Request::post("http://shop/shop.v1.Shop/GetItem")
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        let sent = client.send_request(request.body(()).unwrap(), false);
        let (reply, mut body) = sent.unwrap();
        body.send_data(Bytes::from_static(&[0; 5]), true).unwrap();
        replies.push(reply);
    }
    // The settings of the connection come while nobody answers yet.
    for reply in join_all(replies).await {
        assert_eq!(reply.unwrap().headers()["grpc-status"], "0");
    }
    drop(client);
    driven.await.unwrap().unwrap();
}

#[test]
fn calls_that_are_ready_go_out_together() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("shop.binpb");
    std::fs::write(&set, descriptor_set(true)).unwrap();
    let theirs = Builder::new_current_thread().enable_all().build().unwrap();
    let listener = theirs.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let told = Told {
        descriptor_set: Some(set),
        connections: 1,
        ..Told::at(
            "shop",
            &format!("http://{}", listener.local_addr().unwrap()),
        )
    };
    let serving = theirs.spawn(serve(listener));
    // A worker that nobody helps goes on with the task that was woken last.
    let ours = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let starting = ours.spawn(Gateway::start(config(told)));
    let gateway = theirs.block_on(starting).unwrap();
    theirs.block_on(call(gateway.address));
    let stopping = ours.spawn(gateway.stop());
    let calls = theirs.block_on(async {
        stopping.await.unwrap();
        serving.await.unwrap()
    });
    assert!(calls <= CALLS / 4, "{calls} pieces of calls");
}
