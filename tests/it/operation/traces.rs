//! Traces by OTLP, received by a collector of the test's own.

use std::{net::SocketAddr, time::Instant};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use tokio::{net::TcpListener, sync::mpsc};
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

use super::program::{PATIENCE, Program, serve};
use crate::support::TestApp;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A collector that hands on what it receives: the service's name and a span.
struct Collector(mpsc::UnboundedSender<(String, Span)>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.unwrap_or_default().attributes;
            let service = text(&attributes, "service.name");
            for span in resource.scope_spans.into_iter().flat_map(|s| s.spans) {
                let _ = self.0.send((service.clone(), span));
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.as_ref()?.value.as_ref()
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    match value(attributes, key) {
        Some(Value::StringValue(text)) => text.clone(),
        other => format!("{other:?}"),
    }
}

async fn collector() -> (SocketAddr, mpsc::UnboundedReceiver<(String, Span)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = mpsc::unbounded_channel();
    let serving = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(Collector(sender)))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(serving);
    (address, receiver)
}

fn start(app: &TestApp, endpoint: SocketAddr, batch_delay_ms: &str) -> Program {
    let mut command = serve(&app.database_url(), "api");
    command
        .env("PULPO_OTLP_ENDPOINT", format!("http://{endpoint}"))
        .env("OTEL_BSP_SCHEDULE_DELAY", batch_delay_ms);
    Program::start(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_a_span_of_its_callers_trace() {
    let app = TestApp::start().await;
    let (address, mut received) = collector().await;
    // Longer than the test may take: what arrives was sent when the program stopped.
    let program = start(&app, address, "600000");
    let ask = |path: &str, id: &str| {
        let url = format!("http://{}{path}", program.address("pulse"));
        let request = reqwest::Client::new()
            .get(url)
            .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
            .header("x-request-id", id);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(ask("/pulse-api/health", "first").await, 200);
    assert_eq!(ask("/pulse-api/wallets", "second").await, 401);
    program.stop();

    let mut spans = Vec::new();
    while spans.len() < 2 {
        let (service, span) = tokio::time::timeout(PATIENCE, received.recv())
            .await
            .expect("spans arrive")
            .expect("the collector runs");
        assert_eq!(service, "pulpo");
        if !text(&span.attributes, "request_id").contains("None") {
            spans.push(span);
        }
    }
    spans.sort_by_key(|span| text(&span.attributes, "request_id"));
    for (span, (id, rpc, code)) in spans.iter().zip([
        ("first", "pulpo.pay.v1.PlatformService/CheckHealth", 0),
        ("second", "pulpo.pay.v1.WalletService/ListWallets", 16),
    ]) {
        assert_eq!(text(&span.attributes, "request_id"), id);
        assert_eq!(hex::encode(&span.trace_id), TRACE, "{id}");
        assert_eq!(hex::encode(&span.parent_span_id), PARENT, "{id}");
        assert_eq!(span.name, rpc);
        assert_eq!(span.kind(), SpanKind::Server);
        let (service, method) = rpc.split_once('/').unwrap();
        assert_eq!(text(&span.attributes, "rpc.system"), "grpc");
        assert_eq!(text(&span.attributes, "rpc.service"), service);
        assert_eq!(text(&span.attributes, "rpc.method"), method);
        assert_eq!(
            value(&span.attributes, "rpc.grpc.status_code"),
            Some(&Value::IntValue(code))
        );
        // A refusal is the client's fault, not this server's.
        let status = span.status.clone().unwrap_or_default();
        assert_eq!(status.code(), StatusCode::Unset, "{id}");
        assert!(span.end_time_unix_nano > span.start_time_unix_nano);
    }
    app.stop().await;
}

/// What `calls` requests take together, in milliseconds, and what the program logs meanwhile.
async fn load(app: &TestApp, endpoint: SocketAddr, calls: usize) -> (u128, String) {
    let program = start(app, endpoint, "5");
    let client = reqwest::Client::new();
    let url = format!("http://{}/pulse-api/health", program.address("pulse"));
    let began = Instant::now();
    for _ in 0..calls {
        let reply = client.get(&url).send().await.unwrap();
        assert_eq!(reply.status(), 200);
    }
    let took_ms = began.elapsed().as_millis();
    let stopping = Instant::now();
    let log = program.stop();
    assert!(stopping.elapsed().as_secs() < 15, "stopping is bounded");
    (took_ms, log)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_collector_costs_neither_time_nor_log() {
    const CALLS: usize = 1000;
    let app = TestApp::start().await;
    // One that refuses, and one that takes the connection and says nothing.
    let refusing = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for endpoint in [refusing, silent.local_addr().unwrap()] {
        let (took_ms, log) = load(&app, endpoint, CALLS).await;
        // A thousand waits for a connection, or for one batch's time limit, would take longer than this.
        assert!(took_ms < 20_000, "{took_ms} ms");
        let about = log.lines().filter(|line| {
            let line = line.to_lowercase();
            line.contains("collector")
                || line.contains("opentelemetry")
                || line.contains("batchspan")
        });
        let about: Vec<_> = about.collect();
        assert!(about.len() <= 2, "{about:#?}");
    }
    app.stop().await;
}
