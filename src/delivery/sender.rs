//! One attempt: open the secrets, sign, send, and say what follows from the answer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderMap;
use serde_json::{Map, Value};

use super::{
    Egress, Profile,
    egress::{Answer, Exchange, Outgoing, RESPONSE_BYTES_MAX},
    endpoints::{self, EndpointRow},
    history::{self, Sent},
    queue::{Attempt, Claimed, ENDPOINT_DISABLED, Next},
    signature::{self, Message},
    tally::Ended,
};
use crate::{clock::Clock, db::Db, error::Result, ids, secrets::Secrets};

/// Opened secrets that are kept in memory; when there are more, they are forgotten and opened anew.
const SECRETS_MAX: usize = 10_000;
/// How long a delivery waits when its secret could not be opened, which is not its endpoint's fault.
const SECRET_PAUSE: TimeDelta = TimeDelta::seconds(60);
/// The longest text of an error that is kept, in characters.
const ERROR_CHARS_MAX: usize = 500;

/// Signing secrets by what is sealed of them, for endpoints that are sent to often.
type OpenedSecrets = Arc<Mutex<HashMap<Vec<u8>, Arc<[u8]>>>>;

/// Sends deliveries; cheap to clone.
#[derive(Clone)]
pub struct Sender {
    pub(super) db: Db,
    pub(super) clock: Clock,
    secrets: Secrets,
    egress: Egress,
    profiles: Arc<[&'static Profile]>,
    opened: OpenedSecrets,
}

/// A delivery that was sent at once.
#[derive(Clone, Debug)]
pub struct Sending {
    /// dlv_…
    pub delivery_id: String,
    /// Whether it was answered with 2xx.
    pub is_delivered: bool,
    /// The status of the answer.
    pub response_status: Option<i32>,
    /// How long it took.
    pub duration_ms: i64,
}

/// What an attempt needs to know of its endpoint.
#[derive(Clone, Copy)]
struct Target<'a> {
    org_id: &'a str,
    id: &'a str,
    url: &'a str,
    secret: &'a Vec<u8>,
    previous_secret: Option<&'a Vec<u8>>,
    previous_valid_until: Option<DateTime<Utc>>,
}

impl<'a> From<&'a EndpointRow> for Target<'a> {
    fn from(row: &'a EndpointRow) -> Self {
        Self {
            org_id: &row.org_id,
            id: &row.id,
            url: &row.url,
            secret: &row.secret,
            previous_secret: row.previous_secret.as_ref(),
            previous_valid_until: row.previous_valid_until,
        }
    }
}

impl<'a> From<&'a Claimed> for Target<'a> {
    fn from(claimed: &'a Claimed) -> Self {
        Self {
            org_id: &claimed.org_id,
            id: &claimed.endpoint_id,
            url: &claimed.url,
            secret: &claimed.secret,
            previous_secret: claimed.previous_secret.as_ref(),
            previous_valid_until: claimed.previous_valid_until,
        }
    }
}

/// What an attempt is, beside its endpoint.
struct Parcel<'a> {
    delivery_id: &'a str,
    event_id: &'a str,
    event_type: &'a str,
    retry_count: i32,
    body: &'a str,
}

/// An attempt and how it ended for the endpoint; not at all, when nothing was sent.
pub(super) struct Ending {
    pub(super) attempt: Attempt,
    pub(super) ended: Option<Ended>,
    pub(super) failures_max: u32,
}

impl Sender {
    /// A sender for these APIs.
    pub fn new(
        db: Db,
        clock: Clock,
        secrets: Secrets,
        egress: Egress,
        profiles: &[&'static Profile],
    ) -> Self {
        Self {
            db,
            clock,
            secrets,
            egress,
            profiles: profiles.into(),
            opened: Arc::default(),
        }
    }

    /// The client it sends with.
    pub fn egress(&self) -> &Egress {
        &self.egress
    }

    /// Sends one message to an endpoint at once, whatever its status, keeps it in the history, and repeats nothing. It
    /// counts neither for nor against the endpoint.
    ///
    /// # Errors
    /// The secret cannot be opened, or the attempt not kept; a target that fails is no error.
    pub async fn send_now(
        &self,
        profile: &'static Profile,
        endpoint: &EndpointRow,
        event_id: &str,
        event_type: &str,
        body: &str,
    ) -> Result<Sending> {
        let at = self.clock.now();
        let id = new_id();
        let target = Target::from(endpoint);
        let opened = self.secrets_of(target, at).await?;
        let parcel = Parcel {
            delivery_id: &id,
            event_id,
            event_type,
            retry_count: 0,
            body,
        };
        let (headers, exchange) = self
            .exchange(profile, target.url, &parcel, &opened, at)
            .await;
        let (attempt, ended) = told(target, &id, at, &headers, &exchange);
        let is_delivered = ended == Ended::Well;
        let sent = Sent {
            api: profile.api,
            event_id,
            event_type,
            body,
            is_delivered,
        };
        let mut conn = self.db.connection().await?;
        history::insert(&mut conn, &sent, &attempt, self.clock.now()).await?;
        Ok(Sending {
            delivery_id: id,
            is_delivered,
            response_status: attempt.response_status,
            duration_ms: attempt.duration_ms.unwrap_or_default(),
        })
    }

    /// Sends a delivery whose lease is held.
    pub(super) async fn send(&self, claimed: Claimed) -> Ending {
        let at = self.clock.now();
        let target = Target::from(&claimed);
        let Some(profile) = self.profiles.iter().find(|p| p.api == claimed.api) else {
            // Written by a newer version of the program.
            return unsent(&claimed, Next::GivenBack(at + SECRET_PAUSE), None, at);
        };
        if claimed.endpoint_status == endpoints::DISABLED {
            return unsent(&claimed, Next::Failed, Some(ENDPOINT_DISABLED), at);
        }
        let opened = match self.secrets_of(target, at).await {
            Ok(opened) => opened,
            Err(error) => {
                tracing::error!(%error, endpoint = claimed.endpoint_id, "the secret of an endpoint cannot be opened");
                return unsent(&claimed, Next::GivenBack(at + SECRET_PAUSE), None, at);
            }
        };
        let parcel = Parcel {
            delivery_id: &claimed.id,
            event_id: &claimed.event_id,
            event_type: &claimed.event_type,
            retry_count: claimed.attempts - 1,
            body: &claimed.body,
        };
        let (headers, exchange) = self
            .exchange(profile, target.url, &parcel, &opened, at)
            .await;
        let (mut attempt, ended) = told(target, &claimed.id, at, &headers, &exchange);
        attempt.token = claimed.token;
        attempt.next = match ended {
            Ended::Well => Next::Delivered,
            Ended::Gone => Next::Failed,
            Ended::Badly(_) => profile
                .next_attempt(claimed.attempts, self.clock.now())
                .map_or(Next::Failed, Next::Again),
        };
        Ending {
            attempt,
            ended: Some(ended),
            failures_max: profile.failures_max,
        }
    }

    async fn exchange(
        &self,
        profile: &Profile,
        url: &str,
        parcel: &Parcel<'_>,
        opened: &[Arc<[u8]>],
        at: DateTime<Utc>,
    ) -> (HeaderMap, Exchange) {
        let secrets: Vec<&[u8]> = opened.iter().map(AsRef::as_ref).collect();
        let headers = signature::headers(
            profile,
            &Message {
                delivery_id: parcel.delivery_id,
                event_id: parcel.event_id,
                event_type: parcel.event_type,
                retry_count: parcel.retry_count,
                at,
                body: parcel.body,
                secrets: &secrets,
            },
        );
        let outgoing = Outgoing {
            url: url.to_owned(),
            headers: headers.clone(),
            body: Bytes::copy_from_slice(parcel.body.as_bytes()),
            timeout: profile.timeout,
            awaits_body: false,
            response_bytes_max: RESPONSE_BYTES_MAX,
        };
        let exchange = self.egress.post(outgoing).await;
        metrics::histogram!("pulpo_delivery_duration_seconds", "api" => profile.api)
            .record(exchange.duration);
        (headers, exchange)
    }

    /// The secrets that sign now, the newest first.
    async fn secrets_of(&self, target: Target<'_>, now: DateTime<Utc>) -> Result<Vec<Arc<[u8]>>> {
        let is_valid = target.previous_valid_until.is_some_and(|until| now < until);
        let previous = target.previous_secret.filter(|_| is_valid);
        let mut secrets = Vec::with_capacity(2);
        for (sealed, is_newest) in [(Some(target.secret), true), (previous, false)] {
            let Some(sealed) = sealed else { continue };
            let known = {
                let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
                opened.get(sealed).cloned()
            };
            secrets.push(match known {
                Some(secret) => secret,
                None => self.open(target, sealed, is_newest).await?,
            });
        }
        Ok(secrets)
    }

    async fn open(&self, target: Target<'_>, sealed: &[u8], is_newest: bool) -> Result<Arc<[u8]>> {
        let mut conn = self.db.connection().await?;
        let Target { org_id, id, .. } = target;
        let secret = match is_newest {
            true => endpoints::open_secret(&mut conn, &self.secrets, org_id, id, sealed).await?,
            false => endpoints::open_previous(&mut conn, &self.secrets, org_id, id, sealed).await?,
        };
        let secret: Arc<[u8]> = secret.into();
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.len() >= SECRETS_MAX {
            opened.clear();
        }
        opened.insert(sealed.to_vec(), Arc::clone(&secret));
        Ok(secret)
    }
}

impl Claimed {
    /// Nothing was sent, as far as is known: as if it had not been taken.
    pub(super) fn given_back(&self, now: DateTime<Utc>) -> Ending {
        unsent(self, Next::GivenBack(now), None, now)
    }
}

fn unsent(claimed: &Claimed, next: Next, error: Option<&str>, at: DateTime<Utc>) -> Ending {
    Ending {
        attempt: Attempt {
            org_id: claimed.org_id.clone(),
            endpoint_id: claimed.endpoint_id.clone(),
            id: claimed.id.clone(),
            token: claimed.token,
            next,
            attempted_at: at,
            request_headers: None,
            response_status: None,
            response_body: None,
            duration_ms: None,
            error: error.map(str::to_owned),
        },
        ended: None,
        failures_max: u32::MAX,
    }
}

/// The attempt as it is kept, and how it ended for the endpoint. Any 2xx is well; a redirect is not followed, so it failed.
fn told(
    target: Target<'_>,
    id: &str,
    at: DateTime<Utc>,
    headers: &HeaderMap,
    exchange: &Exchange,
) -> (Attempt, Ended) {
    let cut = |text: &str| text.chars().take(ERROR_CHARS_MAX).collect::<String>();
    let ended = match &exchange.response {
        Ok(Answer {
            status: 200..=299, ..
        }) => Ended::Well,
        Ok(Answer { status: 410, .. }) => Ended::Gone,
        Ok(Answer { status, .. }) => Ended::Badly(format!("answered with {status}")),
        Err(error) => Ended::Badly(cut(error)),
    };
    let error = match &ended {
        Ended::Well => None,
        Ended::Gone => Some("answered with 410".to_owned()),
        Ended::Badly(error) => Some(error.clone()),
    };
    let answer = exchange.response.as_ref().ok();
    let headers: Map<String, Value> = headers
        .iter()
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                value.to_str().unwrap_or_default().into(),
            )
        })
        .collect();
    let attempt = Attempt {
        org_id: target.org_id.to_owned(),
        endpoint_id: target.id.to_owned(),
        id: id.to_owned(),
        token: 0,
        next: Next::Failed,
        attempted_at: at,
        request_headers: Some(Value::Object(headers)),
        response_status: answer.map(|answer| answer.status.into()),
        response_body: answer.map(|answer| answer.body.clone()),
        duration_ms: Some(millis(exchange.duration)),
        error,
    };
    (attempt, ended)
}

/// The id of a delivery that does not come out of the queue, in the form of those that do. Like them it tells the real time, so
/// that all of an endpoint sort in the order they were made.
fn new_id() -> String {
    format!(
        "dlv_{:014x}{}",
        Utc::now().timestamp_micros(),
        ids::secret("", 18)
    )
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
