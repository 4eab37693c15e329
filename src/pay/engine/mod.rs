//! The heart: payments are decided and written in groups.
//!
//! What is promised:
//! - The requests of an organisation that wait are decided together, in the order of their arrival, each on what those
//!   before it left ([`book`]), and written in one transaction by statements over all of them. One that is alone goes at
//!   once.
//! - The rows of the wallets are locked first and in the order of their ids, the head of the ledger's chain last, so
//!   several replicas decide on what is true, and do not wait for each other in a circle.
//! - One request's fault is its own: it gets its error and the others their answers. If the database refuses a group
//!   before it was committed, each of its requests is tried alone.

pub(super) mod book;
mod group;

use std::{sync::Arc, time::Instant};

use crate::{
    app::App,
    clock::Clock,
    db::{Conn, Db, Plans},
    error::{Error, Kind, Result},
    idempotency::Keyed,
    identity::remembered::Unconfirmed,
    lanes::{self, Lanes, Work},
    proto::pulpo::pay::v1 as pb,
};

use super::request::Payment;
use book::Sources;

/// Most requests of a group: what a group holds locks for stays short.
const GROUP_MAX: usize = 128;

/// A well-formed request.
pub(super) struct Ask {
    pub(super) payment: Payment,
    pub(super) keyed: Option<Keyed>,
    /// The key it came with, when that is still to be confirmed.
    pub(super) unconfirmed: Option<Unconfirmed>,
    /// When it came in, for the measured time.
    pub(super) started: Instant,
}

type Answer = Result<pb::RequestPaymentResponse>;

/// Decides and writes groups.
pub(super) struct Engine {
    db: Db,
    clock: Clock,
    sources: Sources,
}

impl Engine {
    /// The engine of a process; a lane an organisation.
    pub(super) fn start(app: &App, sources: Sources) -> Arc<Lanes<Self>> {
        Lanes::new(Self {
            db: app.db.clone(),
            clock: app.clock.clone(),
            sources,
        })
    }

    /// Decides a group in one transaction. After an error nothing of it was committed, unless the database was lost.
    async fn together(&self, org_id: &str, asks: &[Ask]) -> Result<Vec<Answer>> {
        let now = self.clock.now();
        let sources = &self.sources;
        self.db
            .transaction_with(
                Plans::Kept,
                "pay_request_payments",
                async |conn: &mut Conn| group::decide(conn, sources, org_id, asks, now).await,
            )
            .await
    }

    /// Each request in a transaction of its own, until the database is gone.
    async fn alone(&self, org_id: &str, asks: &[Ask]) -> Vec<Answer> {
        let mut answers: Vec<Answer> = Vec::with_capacity(asks.len());
        for ask in asks {
            let lost = match answers.last() {
                Some(Err(error)) if error.kind == Kind::Unavailable => Some(error.repeated()),
                _ => None,
            };
            answers.push(match lost {
                Some(error) => Err(error),
                None => self
                    .together(org_id, std::slice::from_ref(ask))
                    .await
                    .and_then(only),
            });
        }
        answers
    }
}

fn only(mut answers: Vec<Answer>) -> Answer {
    answers.pop().unwrap_or_else(|| {
        Err(Error::internal(anyhow::anyhow!(
            "a request was decided without an answer"
        )))
    })
}

#[async_trait::async_trait]
impl Work for Engine {
    type Item = Ask;
    type Answer = Answer;

    const NAME: &str = "payments";

    fn group_max(&self) -> usize {
        GROUP_MAX
    }

    fn mark<'i>(&self, ask: &'i Ask) -> Option<&'i str> {
        ask.keyed.as_ref().map(Keyed::key)
    }

    async fn run(&self, org_id: &str, asks: Vec<Ask>) -> Vec<Answer> {
        match self.together(org_id, &asks).await {
            Ok(answers) => answers,
            Err(error) if asks.len() > 1 && error.kind != Kind::Unavailable => {
                tracing::warn!(%error, requests = asks.len(), "a group of payments was refused; each is tried alone");
                self.alone(org_id, &asks).await
            }
            Err(error) => lanes::to_all(error, asks.len()),
        }
    }
}
