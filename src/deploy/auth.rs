//! Registration and login: contract section 2.2.

use std::time::SystemTime;

use chrono::TimeDelta;
use tonic::{Request, Response, Status};

use crate::{
    clock::Clock,
    db::Db,
    error::Result,
    identity::{Tokens, accounts, rules::Checks, tokens::Audience, users::UserRow},
    proto::pulpo::deploy::v1::{
        LoginRequest, LoginResponse, RegisterRequest, RegisterResponse, User,
        auth_service_server::AuthService,
    },
};

/// Registration and login.
pub struct Auth {
    /// Where users are.
    pub db: Db,
    /// What time it is.
    pub clock: Clock,
    /// Signs tokens.
    pub tokens: Tokens,
    /// How long a token is valid.
    pub token_lifetime: TimeDelta,
}

#[tonic::async_trait]
impl AuthService for Auth {
    async fn register(
        &self,
        request: Request<RegisterRequest>,
    ) -> Result<Response<RegisterResponse>, Status> {
        let RegisterRequest {
            email,
            name,
            password,
        } = request.into_inner();
        let user = accounts::register(&self.db, &self.clock, &email, &name, &password).await?;
        let token = self.token(&user)?;
        Ok(Response::new(RegisterResponse {
            token,
            user: Some(user.into()),
        }))
    }

    async fn login(
        &self,
        request: Request<LoginRequest>,
    ) -> Result<Response<LoginResponse>, Status> {
        let LoginRequest { email, password } = request.into_inner();
        check_login(&email, &password)?;
        let user = accounts::login(&self.db, &email, &password).await?;
        let token = self.token(&user)?;
        Ok(Response::new(LoginResponse {
            token,
            user: Some(user.into()),
        }))
    }
}

impl Auth {
    fn token(&self, user: &UserRow) -> Result<String> {
        self.tokens
            .issue(user.id, Audience::Deploy, self.token_lifetime)
    }
}

fn check_login(email: &str, password: &str) -> Result<()> {
    let mut checks = Checks::default();
    checks.email(email, "email");
    checks.require(!password.is_empty(), "password", "is required");
    checks.finish()
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        Self {
            id: row.id.to_string(),
            email: row.email,
            name: row.name,
            role: row.role.as_str().to_owned(),
            created_at: Some(SystemTime::from(row.created_at).into()),
        }
    }
}
