//! Who is calling, and whether they may: by the method's access rule, for every door.

use std::{net::IpAddr, sync::Arc};

use http::{Request, Response, request::Parts};
use tonic::{Status, body::Body};

use super::{ClientIp, Next, RequestId, Step, route::rule};
use crate::{
    contract::{AccessRule, SurfaceName},
    error::{Error, Result},
    identity::{
        Caller, Principal,
        authenticate::{Authenticated, Authenticator, authorize, wrong_address},
    },
};

/// The id of a payments key that may not be used from the client's address. It stands where the [`Caller`] would: the
/// refusal tells the key its limits, which only the step that counts knows, and without a caller nothing else answers.
#[derive(Clone, Debug)]
pub(super) struct KeyAtWrongAddress(pub(super) String);

/// Establishes the [`Caller`]; handlers never see a credential.
pub(super) struct Authenticate {
    authenticator: Arc<Authenticator>,
}

impl Authenticate {
    pub(super) fn new(authenticator: Arc<Authenticator>) -> Self {
        Self { authenticator }
    }

    /// Leaves the [`Caller`] in the request, or on the payments surface [`KeyAtWrongAddress`].
    async fn establish(&self, parts: &mut Parts) -> Result<(), Status> {
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
        let authenticated = match &rule.access {
            AccessRule::Public(_) => Authenticated::Principal(Principal::Anonymous),
            AccessRule::Credentials {
                schemes,
                is_confirmed_later,
                ..
            } => {
                self.authenticator
                    .authenticate(schemes, *is_confirmed_later, &parts.headers, ip)
                    .await?
            }
        };
        match authenticated {
            Authenticated::Principal(principal) => {
                parts.extensions.insert(Caller {
                    principal,
                    ip,
                    request_id,
                });
            }
            Authenticated::WrongAddress { key_id } if rule.surface == SurfaceName::Pay => {
                parts.extensions.insert(KeyAtWrongAddress(key_id));
            }
            Authenticated::WrongAddress { .. } => return Err(wrong_address().into()),
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl Step for Authenticate {
    async fn run(&self, request: Request<Body>, next: Next) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        match self.establish(&mut parts).await {
            Ok(()) => next.run(Request::from_parts(parts, body)).await,
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
