//! Clients that pay, and the book of what they were told.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// Clients that pay at once; every other one sends a key with its requests.
pub(super) const CLIENTS: usize = 8;

/// The payments API of the running program.
#[derive(Clone)]
pub(super) struct Door {
    base: String,
    key: String,
    http: reqwest::Client,
}

/// A payment that a client asks for.
#[derive(Clone)]
pub(super) struct Request {
    /// Of this request alone; its key, too, when it has one.
    reference: String,
    is_keyed: bool,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Settled,
    Held,
    Denied,
}

enum Answer {
    /// The transaction.
    Given(String),
    /// 503: it may have been done or not.
    Unavailable,
    /// The program is gone.
    Gone,
}

/// What became of a request: its transaction, or no answer.
pub(super) struct Told {
    request: Request,
    id: Option<String>,
}

impl Kind {
    /// What is answered.
    fn answered(self) -> &'static str {
        match self {
            Self::Settled => "authorized",
            Self::Held => "escrow_held",
            Self::Denied => "denied",
        }
    }

    /// What is stored from then on.
    fn stored(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Held => "escrow_held",
            Self::Denied => "denied",
        }
    }
}

impl Request {
    fn body(&self) -> Value {
        let mut body = json!({
            "requesting_agent_id": "agent-treasury-ops",
            "counterparty_agent_id": "agent-vendor-pay",
            "amount": 1.00,
            "tx_type": "crash_test",
            "reference_id": self.reference,
        });
        match self.kind {
            Kind::Settled => {}
            Kind::Held => body["escrow_conditions"] = json!({}),
            // More than the policy lets through.
            Kind::Denied => body["amount"] = json!(10_000.01),
        }
        body
    }
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
        let key = request.is_keyed.then_some(request.reference.as_str());
        match self.post("/payments/request", &request.body(), key).await {
            Err(_) => Answer::Gone,
            Ok((503, _)) => Answer::Unavailable,
            Ok((status, reply)) => {
                assert_eq!(reply["status"], request.kind.answered(), "{status} {reply}");
                Answer::Given(reply["transaction_id"].as_str().unwrap().to_owned())
            }
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
            running.spawn(pay(
                door.clone(),
                name,
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
    name: String,
    is_keyed: bool,
    stop: CancellationToken,
    tell: mpsc::UnboundedSender<Told>,
) {
    for number in 0.. {
        if stop.is_cancelled() {
            return;
        }
        let request = Request {
            reference: format!("{name}-{number}"),
            is_keyed,
            kind: [Kind::Settled, Kind::Settled, Kind::Held, Kind::Denied][number % 4],
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
        if tell.send(Told { request, id }).is_err() || !goes_on {
            return;
        }
    }
}

/// What all clients were told.
#[derive(Default)]
pub(super) struct Book {
    /// By reference: the transaction, and its status in the store.
    pub(super) acknowledged: HashMap<String, (String, &'static str)>,
    /// References without an answer and without a key.
    pub(super) lost: HashSet<String>,
    /// How many answers came only when they were asked for again.
    pub(super) repeated: usize,
    unanswered: Vec<Request>,
}

impl Book {
    /// Its reference, when it was acknowledged.
    pub(super) fn keep(&mut self, told: Told) -> Option<String> {
        let Told { request, id } = told;
        match id {
            Some(id) => return Some(self.acknowledge(request, id)),
            None if request.is_keyed => self.unanswered.push(request),
            None => _ = self.lost.insert(request.reference),
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
            references.push(self.acknowledge(request, id));
        }
        references
    }

    fn acknowledge(&mut self, request: Request, id: String) -> String {
        let reference = request.reference;
        let known = (id, request.kind.stored());
        assert!(
            self.acknowledged.insert(reference.clone(), known).is_none(),
            "told twice"
        );
        reference
    }
}
