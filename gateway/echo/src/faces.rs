//! All faces on one port: which of them a request came for is told by its content type and its path.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use anyhow::{Result, anyhow};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use prost_reflect::DescriptorPool;
use pulpo_gateway::{
    connect::{Connect, ConnectOptions, Methods},
    listen,
    service::Gateway,
    surface::{Deadlines, Limits, Surface, SurfaceOptions},
};
use tonic::{
    body::Body,
    service::{Routes, RoutesBuilder},
};
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Service, ServiceExt};
use tower_http::cors::{Any, Cors, CorsLayer};
use tower_layer::Layer;

use crate::{
    errors::Errors,
    proto::{DESCRIPTOR_SET, echo::v1::echo_service_server::EchoServiceServer},
    service::Echo,
};

/// Longest request message.
const MAX_REQUEST_BYTES: usize = 200_000;
/// Longest time of a call.
const MAX_TIME: Duration = Duration::from_secs(60);

/// The echo service and reflection, as gRPC.
pub fn routes() -> Result<Routes> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTOR_SET)
    };
    let mut routes = RoutesBuilder::default();
    routes
        .add_service(EchoServiceServer::new(Echo))
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    Ok(routes.routes().prepare())
}

fn pool() -> Result<DescriptorPool> {
    Ok(DescriptorPool::decode(DESCRIPTOR_SET)?)
}

fn limits() -> Limits {
    Limits {
        max_body_bytes: MAX_REQUEST_BYTES,
        ..Limits::default()
    }
}

fn deadlines() -> Deadlines {
    Deadlines {
        default: None,
        cap: Some(MAX_TIME),
    }
}

/// The table of the Connect face.
pub fn methods() -> Result<Arc<Methods>> {
    let pool = pool()?;
    let services: Vec<_> = pool.services().collect();
    let options = ConnectOptions {
        limits: limits(),
        deadlines: deadlines(),
        ..ConnectOptions::default()
    };
    let methods = Methods::compile(&pool, &services, options).map_err(|fault| anyhow!(fault))?;
    Ok(Arc::new(methods))
}

/// The REST face.
pub fn surface() -> Result<Arc<Surface>> {
    let pool = pool()?;
    let services: Vec<_> = pool.services().collect();
    let options = SurfaceOptions {
        limits: limits(),
        deadlines: deadlines(),
        ..SurfaceOptions::new("echo", Arc::new(Errors))
    };
    let surface =
        Surface::compile(&pool, &services, options).map_err(|faults| anyhow!(faults.join("; ")))?;
    Ok(Arc::new(surface))
}

/// Everything on one port, open to pages of every origin.
#[derive(Clone)]
pub struct Faces {
    inner: Cors<Dispatch>,
}

impl Faces {
    /// All faces of the echo service.
    pub fn new() -> Result<Self> {
        let routes = Trailers(routes()?);
        let dispatch = Dispatch {
            connect: Connect::new(methods()?, routes.clone()),
            rest: Gateway::new(surface()?, routes.clone()),
            grpc: GrpcWebLayer::new().layer(routes),
        };
        let cors = CorsLayer::new()
            .allow_origin(Any)
            .allow_methods([http::Method::GET, http::Method::POST])
            .allow_headers(tower_http::cors::AllowHeaders::mirror_request())
            .expose_headers(Any);
        Ok(Self {
            inner: cors.layer(dispatch),
        })
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl Service<Request<Body>> for Faces {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let inner = self.inner.clone();
        Box::pin(async move { inner.oneshot(request).await })
    }
}

#[derive(Clone)]
struct Dispatch {
    connect: Connect<Trailers>,
    rest: Gateway<Trailers>,
    grpc: GrpcWebService<Trailers>,
}

impl Service<Request<Body>> for Dispatch {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let this = self.clone();
        let is_grpc = listen::is_grpc(request.headers());
        Box::pin(async move {
            if is_grpc {
                this.grpc.oneshot(request).await
            } else if this.connect.takes(request.uri().path()) {
                this.connect.oneshot(request).await
            } else {
                this.rest.oneshot(request).await
            }
        })
    }
}

/// The services, with metadata in the trailers of every reply, which tonic leaves to others.
#[derive(Clone)]
struct Trailers(Routes);

impl Service<Request<Body>> for Trailers {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let routes = self.0.clone();
        Box::pin(async move {
            let response = routes.oneshot(request).await?;
            Ok(response.map(|body| {
                Body::new(body.map_frame(|frame| match frame.into_trailers() {
                    Ok(trailers) => http_body::Frame::trailers(with_own(trailers)),
                    Err(data) => data,
                }))
            }))
        })
    }
}

fn with_own(mut trailers: HeaderMap) -> HeaderMap {
    trailers.append("x-trail", HeaderValue::from_static("one"));
    trailers.append("x-trail", HeaderValue::from_static("two"));
    trailers.insert("x-trail-bin", HeaderValue::from_static("AAEC/w"));
    trailers
}
