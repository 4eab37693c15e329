//! The gRPC service, and the two transcoders in front of it.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use prost_reflect::prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use pulpo_gateway::fault::{ErrorContext, ErrorFormat, ErrorReply, Fault};
use pulpo_gateway::listen;
use pulpo_gateway::service::Gateway;
use pulpo_gateway::surface::{Surface, SurfaceOptions};
use tokio::net::{TcpListener, TcpStream};
use tonic::Status;
use tonic::body::Body;
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service, ServiceExt};

/// The method that answered, as a header of its reply.
pub(crate) const METHOD_HEADER: &str = "x-method";

const START_TIMEOUT: Duration = Duration::from_secs(20);
const EXIT_TIMEOUT: Duration = Duration::from_secs(2);
const POLL_EVERY: Duration = Duration::from_millis(20);

pub(crate) fn pool() -> DescriptorPool {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/protos");
    let contract = concat!(env!("CARGO_MANIFEST_DIR"), "/../proto");
    let mut compiler = protox::Compiler::new([root, contract]).unwrap();
    compiler
        .include_imports(true)
        .open_file("differential.proto")
        .unwrap();
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
}

/// Serves HTTP/1.1 and HTTP/2 on a port of its own.
async fn serve<S>(service: S) -> SocketAddr
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            let service = tower::service_fn(move |request: Request<hyper::body::Incoming>| {
                let mut service = service.clone();
                async move { service.call(request.map(Body::new)).await }
            });
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                let service = TowerToHyperService::new(service);
                // A client that goes away is none of the test's business.
                let _ = builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

/// The service: reads a message and sends it back; `Fail` answers with the status whose code the message says.
pub(crate) async fn upstream(pool: &DescriptorPool) -> SocketAddr {
    serve(echo(pool)).await
}

fn echo(
    pool: &DescriptorPool,
) -> impl Service<
    Request<Body>,
    Response = Response<Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
> + Clone
+ Send
+ 'static {
    let service = pool.get_service_by_name("diff.v1.Echo").unwrap();
    let item = pool.get_message_by_name("diff.v1.Item").unwrap();
    tower::service_fn(move |request: Request<Body>| {
        let path = request.uri().path().to_owned();
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let method = service.methods().find(|method| method.name() == name);
        let input = method.map_or(item.clone(), |method| method.input());
        async move {
            let frame = match request.into_body().collect().await {
                Ok(body) => body.to_bytes(),
                // The gateway's refusal of a body, which no method sees.
                Err(status) => return Ok(status.into_http()),
            };
            let mut reply = match message(&frame).map(|wire| DynamicMessage::decode(input, wire)) {
                None => Status::internal("not one whole message").into_http(),
                Some(Err(error)) => Status::internal(error.to_string()).into_http(),
                Some(Ok(message)) => answer(&name, &message),
            };
            let headers = reply.headers_mut();
            headers.insert(METHOD_HEADER, HeaderValue::from_str(&name).unwrap());
            Ok(reply)
        }
    })
}

/// The only message of a body.
fn message(body: &Bytes) -> Option<Bytes> {
    let (head, message) = body.split_first_chunk::<5>()?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    (head[0] == 0 && message.len() == length as usize).then(|| body.slice(5..))
}

fn answer(method: &str, message: &DynamicMessage) -> Response<Body> {
    let count = || {
        message
            .get_field_by_name("count")
            .unwrap()
            .as_i32()
            .unwrap()
    };
    match method {
        "Fail" => Status::new(count().into(), "as asked").into_http(),
        "Watch" if count() < 0 => Status::invalid_argument("as asked").into_http(),
        "Watch" => grpc_reply(message, count()),
        "Raw" => grpc_reply(
            message
                .get_field_by_name("body")
                .unwrap()
                .as_message()
                .unwrap(),
            1,
        ),
        _ => grpc_reply(message, 1),
    }
}

/// The message as often as said, and the status OK.
fn grpc_reply(message: &DynamicMessage, count: i32) -> Response<Body> {
    let message = message.encode_to_vec();
    let mut frame = vec![0];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend(message);
    let messages = (0..count).map(move |_| Ok(Frame::data(Bytes::from(frame.clone()))));
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = messages.chain([Ok::<_, Status>(Frame::trailers(trailers))]);
    let mut reply = Response::new(Body::new(StreamBody::new(futures_util::stream::iter(
        frames,
    ))));
    let headers = reply.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    reply
}

/// Errors as Envoy converts them.
struct StatusJson;

impl ErrorFormat for StatusJson {
    fn render(&self, fault: &Fault, _: ErrorContext<'_>) -> ErrorReply {
        let body = serde_json::json!({ "code": fault.code as i32, "message": fault.message });
        ErrorReply {
            status: fault.status,
            content_type: HeaderValue::from_static("application/json"),
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        }
    }
}

/// This gateway, strict and in the ProtoJSON profile, around the service in process, with gRPC-Web beside it.
pub(crate) async fn gateway(pool: &DescriptorPool) -> SocketAddr {
    let services: Vec<_> = pool.services().collect();
    let options = SurfaceOptions::new("differential", Arc::new(StatusJson));
    let surface = Surface::compile(pool, &services, options).unwrap();
    let rest = Gateway::new(Arc::new(surface), echo(pool));
    let grpc = GrpcWebLayer::new().layer(echo(pool));
    serve(tower::service_fn(move |request: Request<Body>| {
        let (rest, grpc) = (rest.clone(), grpc.clone());
        async move {
            match listen::is_grpc(request.headers()) {
                true => match listen::grpc_refusal(&request, 100) {
                    Some(refusal) => Ok(refusal),
                    None => grpc.oneshot(request).await,
                },
                false => rest.oneshot(request).await,
            }
        }
    }))
    .await
}

/// A running Envoy, which ends with the test.
pub(crate) struct Envoy {
    pub(crate) address: SocketAddr,
    process: Child,
    config: String,
    _folder: tempfile::TempDir,
}

impl Envoy {
    pub(crate) async fn start(pool: &DescriptorPool, upstream_port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let descriptors = folder.path().join("descriptors.pb");
        std::fs::write(&descriptors, pool.encode_to_vec()).unwrap();
        // A port that was free a moment ago.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let config = include_str!("envoy.yaml")
            .replace("LISTENER_PORT", &address.port().to_string())
            .replace("UPSTREAM_PORT", &upstream_port.to_string())
            .replace("DESCRIPTORS", &descriptors.display().to_string());
        let envoy = Self {
            address,
            process: spawn(&config),
            config,
            _folder: folder,
        };
        envoy.wait().await;
        envoy
    }

    /// Starts it again if the last request was its last; says whether that was so. A crash takes a moment to end.
    pub(crate) async fn revive(&mut self) -> bool {
        let is_gone = async {
            while self.process.try_wait().unwrap().is_none() {
                tokio::time::sleep(POLL_EVERY).await;
            }
        };
        if tokio::time::timeout(EXIT_TIMEOUT, is_gone).await.is_err() {
            return false;
        }
        self.process = spawn(&self.config);
        self.wait().await;
        true
    }

    async fn wait(&self) {
        let is_up = async {
            while TcpStream::connect(self.address).await.is_err() {
                tokio::time::sleep(POLL_EVERY).await;
            }
        };
        let started = tokio::time::timeout(START_TIMEOUT, is_up).await;
        assert!(started.is_ok(), "Envoy does not start");
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(config: &str) -> Child {
    let Some(binary) = std::env::var_os("ENVOY") else {
        panic!("ENVOY is the path of Envoy's program; make differential sets it")
    };
    Command::new(binary)
        .args(["--config-yaml", config, "--concurrency", "1"])
        .args(["--disable-hot-restart", "--log-level", "off"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
