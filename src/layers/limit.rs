//! Rate limits: per address before the credentials are looked at, per caller after.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tonic::{Status, body::Body};

use super::{ClientIp, Next, Step, access::KeyAtWrongAddress, route::rule};
use crate::{
    app::App,
    clock::Clock,
    contract::{MethodRule, SurfaceName},
    error::{Error, Kind, Result},
    identity::{Caller, Principal, authenticate::wrong_address},
    rates::{Bucket, Limits, Rates, Verdict},
};

/// Requests a minute from one address to the hub (its document).
const HUB_PER_MINUTE: u32 = 120;
/// Logins and registrations a minute from one address: a person never needs more, a guesser does.
const LOGIN_PER_MINUTE: u32 = 10;
/// Requests a minute of one user or token where the document gives no number.
const CALLER_PER_MINUTE: u32 = 300;
/// Requests of one payments key in any 60 seconds, and in a UTC day (its document).
const PAY_PER_MINUTE: u32 = 120;
/// See [`PAY_PER_MINUTE`].
const PAY_PER_DAY: u32 = 10_000;

/// Limits by client address.
pub(super) struct PerAddress {
    rates: Rates,
    clock: Clock,
    hub: Limits,
    login: Bucket,
}

impl PerAddress {
    pub(super) fn new(app: &App) -> Self {
        let scale = app.config.rates.scale;
        let per_minute = LOGIN_PER_MINUTE.saturating_mul(scale);
        Self {
            rates: app.rates.clone(),
            clock: app.clock.clone(),
            hub: Limits {
                per_minute: HUB_PER_MINUTE.saturating_mul(scale),
                per_day: None,
            },
            login: app.rates.bucket("login", per_minute, per_minute),
        }
    }

    fn check(&self, rule: &MethodRule, ip: std::net::IpAddr) -> Result<()> {
        // Probes and monitors must never be starved.
        if rule.service.ends_with(".HealthService") {
            return Ok(());
        }
        match rule.surface {
            SurfaceName::Hub => {
                let verdict = self
                    .rates
                    .check(&format!("hub:{ip}"), &self.hub, self.clock.now());
                if verdict.allowed {
                    Ok(())
                } else {
                    Err(too_many(verdict.retry_after))
                }
            }
            SurfaceName::Deploy | SurfaceName::Workspace if is_guessable(rule) => {
                let key = format!("{}:{ip}", rule.surface.as_str());
                self.login.check(&key).map_err(too_many)
            }
            _ => Ok(()),
        }
    }
}

/// Where a password, or the existence of an account, could be guessed.
fn is_guessable(rule: &MethodRule) -> bool {
    rule.service.ends_with(".AuthService")
        && (rule.path.ends_with("/Login") || rule.path.ends_with("/Register"))
}

#[tonic::async_trait]
impl Step for PerAddress {
    async fn run(&self, request: Request<Body>, next: Next) -> Response<Body> {
        let checked = rule(request.extensions()).and_then(|rule| {
            match request.extensions().get::<ClientIp>() {
                Some(ip) => Ok(self.check(&rule, ip.0)?),
                None => Err(Error::internal(anyhow::anyhow!(
                    "the listener gave the request no address"
                ))
                .into()),
            }
        });
        match checked {
            Ok(()) => next.run(request).await,
            Err(status) => status.into_http(),
        }
    }
}

/// Limits by key or user.
pub(super) struct PerCaller {
    rates: Rates,
    clock: Clock,
    pay: Limits,
    other: Bucket,
}

/// What a payments key is told of its limits, and why it goes no further if it does not.
struct Told {
    verdict: Verdict,
    refusal: Option<Error>,
}

impl PerCaller {
    pub(super) fn new(app: &App) -> Self {
        let scale = app.config.rates.scale;
        let per_minute = CALLER_PER_MINUTE.saturating_mul(scale);
        Self {
            rates: app.rates.clone(),
            clock: app.clock.clone(),
            pay: Limits {
                per_minute: PAY_PER_MINUTE.saturating_mul(scale),
                per_day: Some(PAY_PER_DAY.saturating_mul(scale)),
            },
            other: app.rates.bucket("caller", per_minute, per_minute),
        }
    }

    /// Counts the request. Something to tell for payments keys, nothing for others that may go on.
    async fn check(&self, extensions: &http::Extensions) -> Result<Option<Told>, Status> {
        let rule = rule(extensions)?;
        let now = self.clock.now();
        if let Some(KeyAtWrongAddress(id)) = extensions.get() {
            // Not counted: whoever has only the key must not use up what its owner may do.
            return Ok(Some(Told {
                verdict: self.rates.peek_durable(id, &self.pay, now).await?,
                refusal: Some(wrong_address()),
            }));
        }
        let missing =
            || Error::internal(anyhow::anyhow!("the step that authenticates did not run"));
        let caller = extensions.get::<Caller>().ok_or_else(missing)?;
        match (rule.surface, &caller.principal) {
            (SurfaceName::Pay, Principal::Key(key)) => {
                let verdict = self.rates.check_durable(&key.id, &self.pay, now).await?;
                let refusal = (!verdict.allowed).then(|| too_many(verdict.retry_after));
                Ok(Some(Told { verdict, refusal }))
            }
            (SurfaceName::Deploy | SurfaceName::Workspace, Principal::User { id, .. }) => {
                let key = format!("{}:{id}", rule.surface.as_str());
                self.other.check(&key).map_err(too_many)?;
                Ok(None)
            }
            (SurfaceName::Workspace | SurfaceName::Integrations, Principal::Key(key)) => {
                self.other.check(&key.id).map_err(too_many)?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }
}

#[tonic::async_trait]
impl Step for PerCaller {
    async fn run(&self, request: Request<Body>, next: Next) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let told = match self.check(&parts.extensions).await {
            Ok(told) => told,
            Err(status) => return status.into_http(),
        };
        let request = Request::from_parts(parts, body);
        let Some(Told { verdict, refusal }) = told else {
            return next.run(request).await;
        };
        let mut response = match refusal {
            None => next.run(request).await,
            Some(error) => Status::from(error).into_http(),
        };
        write_headers(&verdict, response.headers_mut());
        response
    }
}

/// The four headers of the payments document, on every reply to a key.
fn write_headers(verdict: &Verdict, headers: &mut HeaderMap) {
    let mut put = |name: &'static str, value: i64| {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
    };
    put("x-ratelimit-limit", i64::from(verdict.limit));
    put("x-ratelimit-remaining", i64::from(verdict.remaining));
    // Whole seconds, rounded up: at that second the window is really open.
    let reset =
        verdict.reset_at.timestamp() + i64::from(verdict.reset_at.timestamp_subsec_nanos() > 0);
    put("x-ratelimit-reset", reset);
    put(
        "x-ratelimit-daily-remaining",
        verdict.daily_remaining.map_or(0, i64::from),
    );
}

fn too_many(wait: std::time::Duration) -> Error {
    Error::new(Kind::RateLimited, "RATE_LIMITED", "too many requests").retry_after(wait)
}
