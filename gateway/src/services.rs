//! gRPC services of this process, for a gateway to call.
//!
//! `tonic::service::Routes` does the same with the router of a web framework: it matches a path the gateway has just
//! made, keeps the matched parameters, and wraps the body twice more, which costs more than a small call itself. Here a
//! service is found by its name.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use foldhash::fast::RandomState;
use http::{Request, Response};
use tonic::{Status, body::Body, server::NamedService};
use tower::Service;

/// What a generated service answers with.
type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Services by their names. Cheap to clone.
#[derive(Clone, Default)]
pub struct Services {
    by_name: Arc<HashMap<&'static str, Arc<dyn Callable>, RandomState>>,
}

impl Services {
    /// Without any service: every call is unimplemented.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a service as tonic generates it, in place of one of the same name. Such a service is always ready.
    pub fn add_service<S>(&mut self, service: S) -> &mut Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = Answer>,
        S: NamedService + Clone + Send + Sync + 'static,
    {
        Arc::make_mut(&mut self.by_name).insert(S::NAME, Arc::new(service));
        self
    }
}

trait Callable: Send + Sync {
    fn call(&self, request: Request<Body>) -> Answer;
}

impl<S> Callable for S
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = Answer>,
    S: Clone + Send + Sync + 'static,
{
    fn call(&self, request: Request<Body>) -> Answer {
        Service::call(&mut self.clone(), request)
    }
}

impl Service<Request<Body>> for Services {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let name = service_name(request.uri().path());
        match self.by_name.get(name) {
            Some(service) => service.call(request),
            None => {
                let refusal = Status::unimplemented("there is no such service");
                Box::pin(ready(Ok(refusal.into_http())))
            }
        }
    }
}

/// The service in `/package.Service/Method`; empty where the path is none.
fn service_name(path: &str) -> &str {
    // Methods have short names: a search made for long texts takes longer to begin.
    let end = path.bytes().rposition(|byte| byte == b'/');
    end.and_then(|end| path.get(1..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;
    use tower::ServiceExt;

    #[derive(Clone)]
    struct Named(&'static str);

    impl NamedService for Named {
        const NAME: &'static str = "a.v1.Named";
    }

    impl Service<Request<Body>> for Named {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = Answer;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            Box::pin(ready(Ok(Status::already_exists(self.0).into_http())))
        }
    }

    async fn status(path: &str) -> Status {
        let mut services = Services::new();
        services
            .add_service(Named("first"))
            .add_service(Named("second"));
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = services.oneshot(request).await.unwrap();
        Status::from_header_map(response.headers()).unwrap()
    }

    #[tokio::test]
    async fn finds_a_service_by_its_name() {
        let found = status("/a.v1.Named/Any").await;
        assert_eq!(found.code(), Code::AlreadyExists);
        assert_eq!(found.message(), "second");
        for path in [
            "/a.v1.Other/Any",
            "/a.v1.Named",
            "/a.v1.Named/x/y",
            "/",
            "*",
        ] {
            assert_eq!(status(path).await.code(), Code::Unimplemented, "{path}");
        }
    }
}
