//! A request over HTTP/2, whole, on a connection of its own.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use tokio::net::TcpStream;

/// The reply, whose body is every byte that was sent.
pub(crate) async fn ask(address: SocketAddr, request: Request<Bytes>) -> Response<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let driven = tokio::spawn(connection);
    let (head, sent) = request.into_parts();
    let head = Request::from_parts(head, ());
    let (reply, mut sending) = client.send_request(head, sent.is_empty()).unwrap();
    if !sent.is_empty() {
        sending.send_data(sent, true).unwrap();
    }
    let (parts, mut body) = reply.await.unwrap().into_parts();
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        bytes.extend(piece.unwrap());
    }
    drop((client, sending, body));
    driven.await.unwrap().unwrap();
    Response::from_parts(parts, bytes.into())
}
