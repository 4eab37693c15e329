//! Who is calling, and whether they may: by the method's access rule, for every door.

use std::{net::IpAddr, sync::Arc};

use http::{Request, Response, request::Parts};
use tonic::{Status, body::Body};

use super::{ClientIp, Next, RequestId, Step, route::rule};
use crate::{
    contract::AccessRule,
    error::{Error, Result},
    identity::{Caller, Principal, authenticate::Authenticator, authenticate::authorize},
};

/// Establishes the [`Caller`]; handlers never see a credential.
pub(super) struct Authenticate {
    authenticator: Arc<Authenticator>,
}

impl Authenticate {
    pub(super) fn new(authenticator: Arc<Authenticator>) -> Self {
        Self { authenticator }
    }

    async fn caller(&self, parts: &Parts) -> Result<Caller, Status> {
        let rule = rule(&parts.extensions)?;
        let missing = || {
            Error::internal(anyhow::anyhow!(
                "the listener gave the request no address or id"
            ))
        };
        let ip: IpAddr = parts.extensions.get::<ClientIp>().ok_or_else(missing)?.0;
        let request_id = parts
            .extensions
            .get::<RequestId>()
            .ok_or_else(missing)?
            .0
            .clone();
        let principal = match &rule.access {
            AccessRule::Public(_) => Principal::Anonymous,
            AccessRule::Credentials { schemes, .. } => {
                self.authenticator
                    .authenticate(schemes, &parts.headers, ip)
                    .await?
                    .0
            }
        };
        Ok(Caller {
            principal,
            ip,
            request_id,
        })
    }
}

#[tonic::async_trait]
impl Step for Authenticate {
    async fn run(&self, request: Request<Body>, next: Next) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        match self.caller(&parts).await {
            Ok(caller) => {
                parts.extensions.insert(caller);
                next.run(Request::from_parts(parts, body)).await
            }
            Err(status) => status.into_http(),
        }
    }
}

/// Holds the caller against the permission the method needs.
pub(super) struct Authorize;

#[tonic::async_trait]
impl Step for Authorize {
    async fn run(&self, request: Request<Body>, next: Next) -> Response<Body> {
        match check(request.extensions()) {
            Ok(()) => next.run(request).await,
            Err(status) => status.into_http(),
        }
    }
}

fn check(extensions: &http::Extensions) -> Result<(), Status> {
    let rule = rule(extensions)?;
    let AccessRule::Credentials { permission, .. } = &rule.access else {
        return Ok(());
    };
    let missing = || Error::internal(anyhow::anyhow!("the step that authenticates did not run"));
    let caller = extensions.get::<Caller>().ok_or_else(missing)?;
    if permission.is_empty() {
        return Ok(());
    }
    Ok(authorize(&caller.principal, permission)?)
}
