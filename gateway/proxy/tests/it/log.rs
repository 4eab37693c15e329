//! What is recorded of a request: its trace, and that its client did not wait for the answer.

use std::{io::Write, net::SocketAddr};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    process::ChildStdout,
};

use crate::{
    gateway::{Gateway, config, eventually, reflected},
    running::{Running, address},
    upstream::{Reflection, Upstream},
};

/// Asks, waits until the call is with the server, and goes away.
async fn give_up(address: SocketAddr, upstream: &Upstream) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = b"GET /v1/items/slow HTTP/1.1\r\nhost: a\r\n\r\n";
    stream.write_all(request).await.unwrap();
    upstream.arrived().await;
}

#[tokio::test]
async fn a_client_that_goes_away_is_counted_as_499() {
    let upstream = Upstream::start(Reflection::V1).await;
    let mut told = config(reflected(&upstream.url()));
    told.admin.address = Some("127.0.0.1:0".parse().unwrap());
    let gateway = Gateway::start(told).await;
    give_up(gateway.address, &upstream).await;
    let counted = r#"requests_total{method="GET",route="shop.v1.Shop/GetItem",status="499",surface="shop"} 1"#;
    eventually(async || gateway.metrics().await.contains(counted)).await;
    let none = "pulpo_gateway_requests_in_flight 0";
    eventually(async || gateway.metrics().await.contains(none)).await;
    gateway.stop().await;
    upstream.stop().await;
}

/// The next line of the log.
async fn line(log: &mut Lines<BufReader<ChildStdout>>) -> Value {
    let line = log.next_line().await.unwrap().unwrap();
    serde_json::from_str(&line).unwrap()
}

#[tokio::test]
async fn the_log_has_traces_and_clients_that_went_away() {
    let upstream = Upstream::start(Reflection::V1).await;
    let text = format!(
        "[access_log]\nformat = \"json\"\n\n[[upstream]]\nname = \"shop\"\nurl = \"{}\"\nreflection = true\n",
        upstream.url()
    );
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    let mut running = Running::start(&["--config", path, "--listen", "127.0.0.1:0"]);
    let address = address(&running.says("listening").await);
    let mut log = BufReader::new(running.child.stdout.take().unwrap()).lines();

    let trace = "0af7651916cd43dd8448eb211c80319c";
    let client = reqwest::Client::new();
    for (parent, told) in [
        (format!("00-{trace}-b7ad6b7169203331-01"), Some(trace)),
        (format!("00-{trace}-0000000000000000-01"), None),
    ] {
        let request = client.get(format!("http://{address}/v1/items/lamp"));
        let reply = request.header("traceparent", parent).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        reply.bytes().await.unwrap();
        let line = line(&mut log).await;
        assert_eq!(line.get("trace_id").and_then(Value::as_str), told);
    }

    give_up(address, &upstream).await;
    let line = line(&mut log).await;
    assert_eq!(line["path"], "/v1/items/slow");
    assert_eq!(line["route"], "shop.v1.Shop/GetItem");
    assert_eq!(line["status"], 499);
    assert_eq!(line["bytes"], 0);
    drop(running);
    upstream.stop().await;
}
