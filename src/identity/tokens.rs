//! User tokens: JWTs signed with HS256, each for one API (`aud`). Nothing else about them is negotiable.

use std::{fmt, sync::Arc};

use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    clock::Clock,
    error::{Error, Result},
    proto::pulpo::options::v1::Scheme,
};

/// How far ahead the clock of another replica may be, in seconds.
const CLOCK_SKEW_SECONDS: i64 = 60;

/// How long an access token of the workspace lives.
pub const WORKSPACE_LIFETIME: TimeDelta = TimeDelta::hours(1);

/// The API a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The deployment platform.
    Deploy,
    /// The workspace.
    Workspace,
}

impl Audience {
    /// The `aud` claim.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Workspace => "workspace",
        }
    }

    /// The audience a scheme demands; none for schemes that are not tokens.
    pub fn of(scheme: Scheme) -> Option<Self> {
        match scheme {
            Scheme::DeployToken => Some(Self::Deploy),
            Scheme::WorkspaceToken => Some(Self::Workspace),
            _ => None,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    iat: i64,
    exp: i64,
    aud: String,
}

/// Issues and verifies user tokens; cheap to clone.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    encoding: EncodingKey,
    decoding: DecodingKey,
    clock: Clock,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

impl Tokens {
    /// Signs with this secret; its length is the configuration's concern.
    pub fn new(jwt_secret: &str, clock: Clock) -> Self {
        let secret = jwt_secret.as_bytes();
        Self(Arc::new(Inner {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            clock,
        }))
    }

    /// A token of this user for one API.
    pub fn issue(&self, user_id: Uuid, audience: Audience, lifetime: TimeDelta) -> Result<String> {
        let now = self.0.clock.now();
        let claims = Claims {
            sub: user_id.to_string(),
            iat: now.timestamp(),
            exp: (now + lifetime).timestamp(),
            aud: audience.as_str().to_owned(),
        };
        encode(&Header::new(Algorithm::HS256), &claims, &self.0.encoding).map_err(Error::internal)
    }

    /// The user a token names; none unless signature, algorithm, audience and times are right.
    pub fn verify(&self, token: &str, audience: Audience) -> Option<Uuid> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[audience.as_str()]);
        validation.set_required_spec_claims(&["exp", "sub", "aud"]);
        // Checked below against our clock.
        validation.validate_exp = false;
        let claims = decode::<Claims>(token, &self.0.decoding, &validation)
            .ok()?
            .claims;
        let now = self.0.clock.now().timestamp();
        let is_current = claims.iat <= now + CLOCK_SKEW_SECONDS && now < claims.exp;
        is_current
            .then(|| Uuid::try_parse(&claims.sub).ok())
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    const SECRET: &str = "a secret of at least thirty-two characters";

    fn forged(header: &Header, claims: &serde_json::Value, secret: &str) -> String {
        encode(header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    }

    #[test]
    fn a_token_names_its_user_until_it_expires() {
        let clock = Clock::fixed(Utc::now());
        let tokens = Tokens::new(SECRET, clock.clone());
        let user = Uuid::new_v4();
        let token = tokens
            .issue(user, Audience::Deploy, TimeDelta::hours(24))
            .unwrap();
        assert_eq!(tokens.verify(&token, Audience::Deploy), Some(user));
        clock.set(clock.now() + TimeDelta::hours(24) - TimeDelta::seconds(2));
        assert_eq!(tokens.verify(&token, Audience::Deploy), Some(user));
        clock.set(clock.now() + TimeDelta::seconds(2));
        assert_eq!(tokens.verify(&token, Audience::Deploy), None);
    }

    #[test]
    fn a_token_is_good_for_one_api() {
        let tokens = Tokens::new(SECRET, Clock::system());
        let token = tokens
            .issue(Uuid::new_v4(), Audience::Deploy, TimeDelta::hours(1))
            .unwrap();
        assert_eq!(tokens.verify(&token, Audience::Workspace), None);
    }

    #[test]
    fn forgeries_are_refused() {
        let tokens = Tokens::new(SECRET, Clock::system());
        let now = Utc::now().timestamp();
        let good = serde_json::json!({"sub": Uuid::new_v4().to_string(), "iat": now, "exp": now + 60, "aud": "deploy"});
        let hs256 = Header::new(Algorithm::HS256);
        assert!(
            tokens
                .verify(&forged(&hs256, &good, SECRET), Audience::Deploy)
                .is_some()
        );
        assert!(
            tokens
                .verify(&forged(&hs256, &good, "another secret"), Audience::Deploy)
                .is_none()
        );
        assert!(
            tokens
                .verify(
                    &forged(&Header::new(Algorithm::HS512), &good, SECRET),
                    Audience::Deploy
                )
                .is_none()
        );
        for missing in ["sub", "iat", "exp", "aud"] {
            let mut claims = good.clone();
            claims.as_object_mut().unwrap().remove(missing);
            assert!(
                tokens
                    .verify(&forged(&hs256, &claims, SECRET), Audience::Deploy)
                    .is_none(),
                "{missing}"
            );
        }
        for (claim, value) in [
            ("iat", serde_json::json!(now + 3600)),
            ("sub", "x".into()),
            ("exp", (now - 1).into()),
        ] {
            let mut claims = good.clone();
            claims[claim] = value;
            assert!(
                tokens
                    .verify(&forged(&hs256, &claims, SECRET), Audience::Deploy)
                    .is_none(),
                "{claim}"
            );
        }
        assert!(tokens.verify("a.b.c", Audience::Deploy).is_none());
    }

    #[test]
    fn an_unsigned_token_is_refused() {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let tokens = Tokens::new(SECRET, Clock::system());
        let now = Utc::now().timestamp();
        let claims = serde_json::json!({"sub": Uuid::new_v4().to_string(), "iat": now, "exp": now + 60, "aud": "deploy"});
        let token = format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        assert!(tokens.verify(&token, Audience::Deploy).is_none());
    }
}
