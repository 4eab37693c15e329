//! The caller of a method, as the access layer established it. Handlers get this, never a header.

use std::{net::IpAddr, sync::Arc};

use tonic::Status;
use uuid::Uuid;

use super::remembered::{self, Unconfirmed};
use crate::{
    db::Db,
    error::{Error, Result},
    proto::pulpo::options::v1::Scheme,
};

/// Who is calling, from where, and what they may do.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The credential's owner.
    pub principal: Principal,
    /// The address of the client; that of the nearest untrusted hop behind trusted proxies.
    pub ip: IpAddr,
    /// The id of this request, as in its `X-Request-Id` header.
    pub request_id: Arc<str>,
}

/// The owner of a credential.
#[derive(Clone, Debug)]
pub enum Principal {
    /// Nobody in particular, on a public method.
    Anonymous,
    /// A user with a token.
    User {
        /// The user.
        id: Uuid,
        /// DEPLOY_TOKEN or WORKSPACE_TOKEN.
        scheme: Scheme,
    },
    /// An organisation's key.
    Key(Arc<KeyPrincipal>),
    /// The operator, with the MCP key.
    Operator,
}

/// An API key that was presented.
#[derive(Clone, Debug)]
pub struct KeyPrincipal {
    /// `key_…`
    pub id: String,
    /// The organisation that owns it.
    pub org_id: String,
    /// The user it acts for, for workspace access keys.
    pub user_id: Option<Uuid>,
    /// Which kind of key.
    pub scheme: Scheme,
    /// What it may do.
    pub permissions: Vec<String>,
    /// The agents it may act for; empty for all.
    pub allowed_agents: Vec<String>,
    /// The key, when it was not looked up for this request: the method confirms it.
    pub unconfirmed: Option<Unconfirmed>,
}

impl Caller {
    /// The caller the access layer put into a request. Absent only when a service runs without its layers.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<Caller, Status> {
        request
            .extensions()
            .get::<Caller>()
            .cloned()
            .ok_or_else(|| {
                Error::internal(anyhow::anyhow!("no caller: the access layer did not run")).into()
            })
    }

    /// The organisation of the key; an error for callers without one.
    pub fn org_id(&self) -> Result<&str> {
        match &self.principal {
            Principal::Key(key) => Ok(&key.org_id),
            _ => Err(Error::internal(anyhow::anyhow!(
                "the access rule let a caller without organisation through"
            ))),
        }
    }

    /// The key that was presented; an error for callers without one.
    pub fn key(&self) -> Result<&KeyPrincipal> {
        match &self.principal {
            Principal::Key(key) => Ok(key),
            _ => Err(Error::internal(anyhow::anyhow!(
                "the access rule let a caller without key through"
            ))),
        }
    }

    /// Refuses a key that was good lately and is not any more.
    pub async fn confirm(&self, db: &Db) -> Result<()> {
        let unconfirmed = self.key()?.unconfirmed.as_ref();
        if unconfirmed.is_none() {
            return Ok(());
        }
        let conn = db.connection().await?;
        let confirmed = remembered::confirm(&conn, &[unconfirmed], None).await?;
        confirmed.into_iter().collect()
    }

    /// The user with the token, or the user an access key acts for.
    pub fn user_id(&self) -> Result<Uuid> {
        match &self.principal {
            Principal::User { id, .. } => Ok(*id),
            Principal::Key(key) => key.user_id.ok_or_else(|| {
                Error::forbidden(
                    "KEY_WITHOUT_USER",
                    "This key acts for an organisation; log in as a user instead",
                )
            }),
            _ => Err(Error::internal(anyhow::anyhow!(
                "the access rule let a caller without user through"
            ))),
        }
    }

    /// The agents the key is bound to; none for a key that may act for all.
    pub fn agents(&self) -> Result<Option<&[String]>> {
        let agents = self.key()?.allowed_agents.as_slice();
        Ok((!agents.is_empty()).then_some(agents))
    }

    /// Refuses an agent the key may not act for.
    pub fn require_agent(&self, agent_id: &str) -> Result<()> {
        match self.agents()? {
            Some(agents) if !agents.iter().any(|allowed| allowed == agent_id) => {
                Err(Error::forbidden(
                    "AGENT_NOT_ALLOWED",
                    format!("This key may not act for the agent {agent_id}"),
                ))
            }
            _ => Ok(()),
        }
    }
}
