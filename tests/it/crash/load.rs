//! Clients that pay, act on what is held, and move money in and out; and the book of what they were told.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::request::{self, Held, Kind, Request, Transfer, Wanted};

/// Clients that pay at once; every other one sends a key with its requests.
pub(super) const CLIENTS: usize = 8;

/// The payments API of the running program.
#[derive(Clone)]
pub(super) struct Door {
    base: String,
    key: String,
    http: reqwest::Client,
}

enum Answer {
    /// The transaction, or the balance of a wallet.
    Given(String),
    /// 503: it may have been done or not.
    Unavailable,
    /// The program is gone.
    Gone,
}

/// What became of a request: what it was answered, or nothing.
pub(super) struct Told {
    request: Request,
    id: Option<String>,
}

impl Door {
    pub(super) fn of(credentials: &Value) -> Self {
        let of = |name: &str| credentials["pulse"][name].as_str().unwrap().to_owned();
        Self {
            base: of("base_url"),
            key: of("api_key"),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        let request = self.http.get(format!("{}{path}", self.base));
        let reply = request.bearer_auth(&self.key).send().await.unwrap();
        let status = reply.status();
        let text = reply.text().await.unwrap();
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Registers an endpoint of webhooks.
    pub(super) async fn register(&self, hook: &Value) {
        let (status, reply) = self.post("/webhooks", hook, None).await.unwrap();
        assert_eq!(status, 201, "{reply}");
    }

    async fn post(
        &self,
        path: &str,
        body: &Value,
        key: Option<&str>,
    ) -> reqwest::Result<(u16, Value)> {
        let request = self.http.post(format!("{}{path}", self.base));
        let mut request = request
            .bearer_auth(&self.key)
            .header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let reply = request.body(body.to_string()).send().await?;
        let status = reply.status().as_u16();
        let text = reply.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap()))
    }

    async fn ask(&self, request: &Request) -> Answer {
        let (path, body) = (request.path(), request.body());
        match self.post(&path, &body, request.key()).await {
            Err(_) => Answer::Gone,
            Ok((503, _)) => Answer::Unavailable,
            Ok((status, reply)) => Answer::Given(request.told(status, &reply)),
        }
    }

    /// Asks until it serves again; whether it does.
    async fn is_back(&self) -> bool {
        loop {
            let request = self.http.get(format!("{}/wallets", self.base));
            match request.bearer_auth(&self.key).send().await {
                Err(_) => return false,
                Ok(reply) if reply.status() == 200 => return true,
                Ok(_) => {}
            }
        }
    }
}

/// The clients of a cycle.
pub(super) struct Clients {
    running: JoinSet<()>,
    stop: CancellationToken,
}

impl Clients {
    /// Lets them pay until they are stopped or the program is gone, and tell of every request.
    pub(super) fn start(door: &Door, cycle: u64) -> (Self, mpsc::UnboundedReceiver<Told>) {
        let (tell, told) = mpsc::unbounded_channel();
        let (mut running, stop) = (JoinSet::new(), CancellationToken::new());
        for client in 0..CLIENTS {
            let name = format!("crash-{cycle}-{client}");
            let is_keyed = client % 2 == 0;
            // A cycle is short: each client begins elsewhere, each time.
            let first = client * request::ROUND + usize::try_from(cycle).unwrap();
            running.spawn(pay(
                door.clone(),
                (name, first),
                is_keyed,
                stop.clone(),
                tell.clone(),
            ));
        }
        (Self { running, stop }, told)
    }

    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    pub(super) async fn join(&mut self) {
        while let Some(client) = self.running.join_next().await {
            client.unwrap();
        }
    }
}

async fn pay(
    door: Door,
    (name, first): (String, usize),
    is_keyed: bool,
    stop: CancellationToken,
    tell: mpsc::UnboundedSender<Told>,
) {
    let mut held = None;
    for number in first.. {
        if stop.is_cancelled() {
            return;
        }
        let request = Request {
            reference: format!("{name}-{number}"),
            is_keyed,
            kind: request::next(number, &mut held),
        };
        let answer = door.ask(&request).await;
        let goes_on = match &answer {
            Answer::Given(_) => true,
            Answer::Unavailable => door.is_back().await,
            Answer::Gone => false,
        };
        let id = match answer {
            Answer::Given(id) => Some(id),
            Answer::Unavailable | Answer::Gone => None,
        };
        if let (Kind::Pay(Wanted::Held), Some(id)) = (&request.kind, &id) {
            let (reference, id) = (request.reference.clone(), id.clone());
            held = Some(Held { reference, id });
        }
        if tell.send(Told { request, id }).is_err() || !goes_on {
            return;
        }
    }
}

/// A payment that was acknowledged.
pub(super) struct Known {
    pub(super) id: String,
    /// What it is in the store; two where nobody was told what came of the last request about it.
    pub(super) statuses: Vec<&'static str>,
}

/// Transfers that were acknowledged, and those that may have happened or not.
#[derive(Clone, Copy, Default)]
pub(super) struct Moved {
    pub(super) acknowledged: i64,
    pub(super) lost: i64,
}

/// What all clients were told.
#[derive(Default)]
pub(super) struct Book {
    /// By reference.
    pub(super) acknowledged: HashMap<String, Known>,
    /// References of payments without an answer and without a key.
    pub(super) lost: HashSet<String>,
    pub(super) moved: HashMap<Transfer, Moved>,
    /// How many answers came only when they were asked for again.
    pub(super) repeated: usize,
    unanswered: Vec<Request>,
}

impl Book {
    /// The reference of the payment it was about, when it was acknowledged.
    pub(super) fn keep(&mut self, told: Told) -> Option<String> {
        let Told { request, id } = told;
        match id {
            Some(id) => return self.acknowledge(request, id),
            None if request.key().is_some() => self.unanswered.push(request),
            None => self.lose(request),
        }
        None
    }

    /// Sends the requests that have a key and no answer again, twice: the second answer is the first. Their references.
    pub(super) async fn repeat(&mut self, door: &Door) -> Vec<String> {
        let mut references = Vec::new();
        for request in std::mem::take(&mut self.unanswered) {
            let (Answer::Given(id), Answer::Given(again)) =
                (door.ask(&request).await, door.ask(&request).await)
            else {
                panic!("{} was not answered again", request.reference);
            };
            assert_eq!(id, again);
            self.repeated += 1;
            references.extend(self.acknowledge(request, id));
        }
        references
    }

    fn acknowledge(&mut self, request: Request, id: String) -> Option<String> {
        let (reference, status) = match request.kind {
            Kind::Pay(wanted) => {
                let reference = request.reference;
                let known = Known {
                    id,
                    statuses: Vec::new(),
                };
                let before = self.acknowledged.insert(reference.clone(), known);
                assert!(before.is_none(), "told twice");
                (reference, wanted.statuses().1)
            }
            Kind::Act(verb, held) => (held.reference, verb.statuses().1),
            Kind::Transfer(transfer) => {
                self.moved.entry(transfer).or_default().acknowledged += 1;
                return None;
            }
        };
        self.known(&reference).statuses = vec![status];
        Some(reference)
    }

    fn lose(&mut self, request: Request) {
        match request.kind {
            Kind::Pay(_) => _ = self.lost.insert(request.reference),
            Kind::Act(verb, held) => {
                let known = self.known(&held.reference);
                known.statuses.push(verb.statuses().1);
            }
            Kind::Transfer(transfer) => self.moved.entry(transfer).or_default().lost += 1,
        }
    }

    fn known(&mut self, reference: &str) -> &mut Known {
        let known = self.acknowledged.get_mut(reference);
        known.expect("it was acknowledged")
    }
}
