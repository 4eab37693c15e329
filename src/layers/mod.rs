//! The checks every call passes, whichever door it came through.
//!
//! A [`Step`] is one concern for all methods. [`stack`] is the order, read from the top: what is above sees the call
//! first and the reply last.

mod access;
mod deadline;
mod limit;
mod route;
mod trace;

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use pulpo_gateway::services::Services;
use tonic::body::Body;
use tower::{Service, ServiceExt};

use crate::{app::App, contract::Contract};

/// The address of the client, put into each request by the listener.
#[derive(Clone, Copy, Debug)]
pub struct ClientIp(pub std::net::IpAddr);

/// The id of the request, put into each request by the listener.
#[derive(Clone, Debug)]
pub struct RequestId(pub Arc<str>);

/// One concern of every call.
#[tonic::async_trait]
pub trait Step: Send + Sync + 'static {
    /// Answers the call, or lets it go on through `next`.
    async fn run(&self, request: Request<Body>, next: Next) -> Response<Body>;
}

/// What comes behind a step.
pub struct Next {
    steps: Arc<[Box<dyn Step>]>,
    at: usize,
    services: Services,
}

impl Next {
    /// Lets the call go on.
    pub async fn run(mut self, request: Request<Body>) -> Response<Body> {
        let steps = self.steps.clone();
        match steps.get(self.at) {
            Some(step) => {
                self.at += 1;
                step.run(request, self).await
            }
            None => match self.services.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
        }
    }
}

/// The checks in their order around the services.
pub fn stack(app: &App, contract: Arc<Contract>, services: Services) -> Stack {
    let steps: Vec<Box<dyn Step>> = vec![
        // A method without a rule goes no further; the others find their rule in the request from here on.
        Box::new(route::FindRule::new(contract)),
        // Outermost of the rest, so that refusals are logged and counted too.
        Box::new(trace::Trace),
        Box::new(deadline::Deadline::new(&app.config.http)),
        // Before the credentials: guessing them must be limited.
        Box::new(limit::PerAddress::new(app)),
        Box::new(access::Authenticate::new(app.authenticator.clone())),
        // After the credentials, which it counts by, and before the permission, by the documents' order of refusal.
        Box::new(limit::PerCaller::new(app)),
        Box::new(access::Authorize),
        // Whatever the gateway found no route for has passed the checks and is refused here.
        Box::new(route::Unmatched),
    ];
    Stack {
        steps: steps.into(),
        services,
    }
}

/// The services behind their checks.
#[derive(Clone)]
pub struct Stack {
    steps: Arc<[Box<dyn Step>]>,
    services: Services,
}

impl Service<Request<Body>> for Stack {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let next = Next {
            steps: self.steps.clone(),
            at: 0,
            services: self.services.clone(),
        };
        Box::pin(async move { Ok(next.run(request).await) })
    }
}
