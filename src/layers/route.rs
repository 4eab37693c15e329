//! The method's rule, found once; and the end of requests that have no method.

use std::sync::Arc;

use http::{Request, Response};
use pulpo_gateway::fault::{Fault, MethodsAtPath};
use tonic::{Status, body::Body};

use super::{Next, Step};
use crate::{
    contract::{AccessRule, Contract, MethodRule},
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

    /// The rule of the method. A request without a route has that of its surface, but where everything at its path is
    /// public, it takes no credential to be told which HTTP methods or media types there are.
    fn find<B>(&self, request: &Request<B>) -> Option<Arc<MethodRule>> {
        let rule = self.contract.method(request.uri().path())?;
        let is_unmatched = rule.path == rule.surface.unmatched();
        let at_path = request.extensions().get::<MethodsAtPath>();
        if !is_unmatched || !at_path.is_some_and(|methods| self.are_public(methods)) {
            return Some(rule.clone());
        }
        let access = AccessRule::Public("every method of the path is public".to_owned());
        Some(Arc::new(MethodRule {
            access,
            ..MethodRule::clone(rule)
        }))
    }

    fn are_public(&self, MethodsAtPath(methods): &MethodsAtPath) -> bool {
        let is_public = |path| {
            let rule = self.contract.method(path);
            rule.is_some_and(|rule| matches!(rule.access, AccessRule::Public(_)))
        };
        !methods.is_empty() && methods.iter().all(|method| is_public(method.path()))
    }
}

#[tonic::async_trait]
impl Step for FindRule {
    async fn run(&self, mut request: Request<Body>, next: Next) -> Response<Body> {
        match self.find(&request) {
            Some(rule) => {
                request.extensions_mut().insert(rule);
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
