//! Login, token exchange and the first organisation of a user: contract section 3.2.

use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::{
    clock::Clock,
    db::{Conn, Db},
    error::Result,
    identity::{
        Caller, Tokens, accounts, authenticate, memberships, organizations, refresh_tokens,
        rules::Checks,
        tokens::{Audience, WORKSPACE_LIFETIME},
        users,
    },
    proto::pulpo::workspace::v1::{self as pb, auth_service_server::AuthService},
};

/// Login, token exchange and the first organisation of a user.
pub struct Auth {
    /// Where users are.
    pub db: Db,
    /// What time it is.
    pub clock: Clock,
    /// Signs access tokens.
    pub tokens: Tokens,
    /// What clients are told as the address of the realtime service.
    pub supabase_url: String,
    /// What clients are told as its public key.
    pub supabase_anon_key: String,
}

#[tonic::async_trait]
impl AuthService for Auth {
    async fn get_auth_config(
        &self,
        _: Request<pb::GetAuthConfigRequest>,
    ) -> Result<Response<pb::GetAuthConfigResponse>, Status> {
        let config = pb::AuthConfig {
            supabase_url: self.supabase_url.clone(),
            supabase_anon_key: self.supabase_anon_key.clone(),
        };
        Ok(Response::new(pb::GetAuthConfigResponse {
            config: Some(config),
        }))
    }

    async fn login(
        &self,
        request: Request<pb::LoginRequest>,
    ) -> Result<Response<pb::LoginResponse>, Status> {
        let pb::LoginRequest { email, password } = request.into_inner();
        require_given(&[(&email, "email"), (&password, "password")])?;
        let user = accounts::login(&self.db, &email, &password).await?;
        let now = self.clock.now();
        let refresh_token = self
            .db
            .transaction("workspace_login", async |conn: &mut Conn| {
                Ok(refresh_tokens::start(conn, user.id, now).await?)
            })
            .await?;
        Ok(Response::new(pb::LoginResponse {
            tokens: Some(self.pair(user.id, refresh_token)?),
        }))
    }

    async fn refresh_token(
        &self,
        request: Request<pb::RefreshTokenRequest>,
    ) -> Result<Response<pb::RefreshTokenResponse>, Status> {
        let token = request.into_inner().refresh_token;
        require_given(&[(&token, "refresh_token")])?;
        let (user_id, refresh_token) =
            refresh_tokens::rotate(&self.db, &self.clock, &token).await?;
        Ok(Response::new(pb::RefreshTokenResponse {
            tokens: Some(self.pair(user_id, refresh_token)?),
        }))
    }

    async fn initialize(
        &self,
        request: Request<pb::InitializeRequest>,
    ) -> Result<Response<pb::InitializeResponse>, Status> {
        let user_id = Caller::of(&request)?.user_id()?;
        let (org_id, is_new_org) = initialize(&self.db, &self.clock, user_id).await?;
        Ok(Response::new(pb::InitializeResponse { org_id, is_new_org }))
    }
}

impl Auth {
    fn pair(&self, user_id: Uuid, refresh_token: String) -> Result<pb::Tokens> {
        let access_token = self
            .tokens
            .issue(user_id, Audience::Workspace, WORKSPACE_LIFETIME)?;
        Ok(pb::Tokens {
            access_token,
            refresh_token,
            expires_in: WORKSPACE_LIFETIME.num_seconds(),
        })
    }
}

fn require_given(fields: &[(&str, &str)]) -> Result<()> {
    let mut checks = Checks::default();
    for (value, field) in fields {
        checks.require(!value.is_empty(), field, "is required");
    }
    checks.finish()
}

/// The user's default organisation, and whether this call made it. The lock on the user makes a second call at the same
/// time wait and find what the first one made.
async fn initialize(db: &Db, clock: &Clock, user_id: Uuid) -> Result<(String, bool)> {
    let now = clock.now();
    db.transaction("user_initialize", async |conn: &mut Conn| {
        let user = users::lock(conn, user_id)
            .await?
            .ok_or_else(authenticate::invalid)?;
        if let Some(org_id) = &user.default_org_id
            && memberships::find(conn, org_id, user_id).await?.is_some()
        {
            return Ok((org_id.clone(), false));
        }
        if let Some(oldest) = memberships::organizations_of(conn, user_id)
            .await?
            .into_iter()
            .next()
        {
            users::set_default_org(conn, user_id, &oldest.id, now).await?;
            return Ok((oldest.id, false));
        }
        Ok((
            organizations::create_personal(conn, &user, now).await?.id,
            true,
        ))
    })
    .await
}
