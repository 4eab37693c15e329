//! The method's rule, found once; and the end of requests that have no method.

use std::sync::Arc;

use http::{Request, Response};
use pulpo_gateway::fault::Fault;
use tonic::{Status, body::Body};

use super::{Next, Step};
use crate::{
    contract::{Contract, MethodRule},
    error::Error,
};

/// Puts the method's rule into the request; refuses methods without one.
pub(super) struct FindRule {
    contract: Arc<Contract>,
}

impl FindRule {
    pub(super) fn new(contract: Arc<Contract>) -> Self {
        Self { contract }
    }
}

#[tonic::async_trait]
impl Step for FindRule {
    async fn run(&self, mut request: Request<Body>, next: Next) -> Response<Body> {
        match self.contract.method(request.uri().path()) {
            Some(rule) => {
                request.extensions_mut().insert(rule.clone());
                next.run(request).await
            }
            None => Status::unimplemented("there is no such method").into_http(),
        }
    }
}

/// The rule [`FindRule`] left.
pub(super) fn rule(extensions: &http::Extensions) -> Result<Arc<MethodRule>, Status> {
    let missing = || Error::internal(anyhow::anyhow!("the step that finds the rule did not run"));
    extensions
        .get::<Arc<MethodRule>>()
        .cloned()
        .ok_or_else(|| missing().into())
}

/// Answers what the gateway found no route for.
pub(super) struct Unmatched;

#[tonic::async_trait]
impl Step for Unmatched {
    async fn run(&self, request: Request<Body>, next: Next) -> Response<Body> {
        match request.extensions().get::<Fault>() {
            Some(fault) => fault.to_response(),
            None => next.run(request).await,
        }
    }
}
