//! What clients ask for, and what they must be told.

use serde_json::{Value, json};

/// After so many requests a client begins again.
pub(super) const ROUND: usize = 7;

/// What a client asks for.
#[derive(Clone)]
pub(super) struct Request {
    /// Of this request alone; its key, too, when it has one.
    pub(super) reference: String,
    pub(super) is_keyed: bool,
    pub(super) kind: Kind,
}

#[derive(Clone)]
pub(super) enum Kind {
    Pay(Wanted),
    /// Something is done about a payment in escrow.
    Act(Verb, Held),
    /// Money from outside, or to it.
    Transfer(Transfer),
}

/// What becomes of a payment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Settled,
    Held,
    Denied,
}

#[derive(Clone, Copy)]
pub(super) enum Verb {
    Release,
    Refund,
    Dispute,
}

/// A payment whose money is held.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) reference: String,
    pub(super) id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Transfer {
    Fund,
    Withdraw,
}

impl Wanted {
    /// What is answered, and what is stored from then on.
    pub(super) fn statuses(self) -> (&'static str, &'static str) {
        match self {
            Self::Settled => ("authorized", "settled"),
            Self::Held => ("escrow_held", "escrow_held"),
            Self::Denied => ("denied", "denied"),
        }
    }
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Refund => "refund",
            Self::Dispute => "dispute",
        }
    }

    /// The escrow's status in the answer, and the payment's in the store from then on.
    pub(super) fn statuses(self) -> (&'static str, &'static str) {
        match self {
            Self::Release => ("released", "settled"),
            Self::Refund => ("refunded", "refunded"),
            Self::Dispute => ("disputed", "disputed"),
        }
    }
}

impl Transfer {
    /// In routes and in the ledger.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Fund => "fund",
            Self::Withdraw => "withdraw",
        }
    }
}

impl Request {
    /// Disputes take no key.
    pub(super) fn key(&self) -> Option<&str> {
        let takes_key = !matches!(self.kind, Kind::Act(Verb::Dispute, _));
        (self.is_keyed && takes_key).then_some(&self.reference)
    }

    pub(super) fn path(&self) -> String {
        match &self.kind {
            Kind::Pay(_) => "/payments/request".to_owned(),
            Kind::Act(verb, held) => format!("/payments/{}/{}", held.id, verb.word()),
            Kind::Transfer(transfer) => format!("/wallets/agent-treasury-ops/{}", transfer.word()),
        }
    }

    pub(super) fn body(&self) -> Value {
        let wanted = match self.kind {
            Kind::Pay(wanted) => wanted,
            Kind::Act(..) => return json!({}),
            Kind::Transfer(_) => return json!({"amount": 1.00}),
        };
        let mut body = json!({
            "requesting_agent_id": "agent-treasury-ops",
            "counterparty_agent_id": "agent-vendor-pay",
            "amount": 1.00,
            "tx_type": "crash_test",
            "reference_id": self.reference,
        });
        match wanted {
            Wanted::Settled => {}
            Wanted::Held => body["escrow_conditions"] = json!({}),
            // More than the policy lets through.
            Wanted::Denied => body["amount"] = json!(10_000.01),
        }
        body
    }

    /// What a repetition must be answered, too: the transaction, or the balance.
    pub(super) fn told(&self, status: u16, reply: &Value) -> String {
        let (said, expected) = match &self.kind {
            Kind::Pay(wanted) => (&reply["status"], json!(wanted.statuses().0)),
            Kind::Act(verb, _) => (&reply["status"], json!(verb.statuses().0)),
            Kind::Transfer(_) => (&reply["amount"], json!(1.00)),
        };
        assert_eq!((status, said), (200, &expected), "{} {reply}", self.path());
        match &self.kind {
            Kind::Pay(_) => reply["transaction_id"].as_str().unwrap().to_owned(),
            Kind::Act(_, held) => held.id.clone(),
            Kind::Transfer(_) => reply["new_balance"].to_string(),
        }
    }
}

/// What a client asks for next. Of four payments in escrow one is left as it is.
pub(super) fn next(number: usize, held: &mut Option<Held>) -> Kind {
    let verb = [
        Some(Verb::Release),
        Some(Verb::Refund),
        Some(Verb::Dispute),
        None,
    ][number / ROUND % 4];
    match (number % ROUND, verb.zip(held.take())) {
        (2, Some((verb, held))) => Kind::Act(verb, held),
        (1, _) => Kind::Pay(Wanted::Held),
        (4, _) => Kind::Pay(Wanted::Denied),
        (5, _) => Kind::Transfer(Transfer::Fund),
        (6, _) => Kind::Transfer(Transfer::Withdraw),
        _ => Kind::Pay(Wanted::Settled),
    }
}
