//! The model: what an organisation's wallets, policies and payments are supposed to be.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};

/// The agents; the last two have no wallet in the beginning, the last one may not be paid.
pub(super) const AGENTS: [&str; 5] = ["agent-a", "agent-b", "agent-c", "agent-d", "agent-e"];
pub(super) const BLOCKED: &str = "agent-e";
pub(super) const OPENING_MINOR: [i64; 3] = [60_000, 20_000, 5_000];

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Payment {
    pub(super) payer: &'static str,
    pub(super) payee: Option<&'static str>,
    pub(super) amount_minor: i64,
    pub(super) currency: &'static str,
    pub(super) category: Option<&'static str>,
}

/// What binds an agent.
pub(super) struct Policy {
    pub(super) per_transaction: i64,
    pub(super) daily: i64,
    pub(super) monthly: i64,
    pub(super) human_above: i64,
    pub(super) approved: &'static [&'static str],
    pub(super) blocked: &'static [&'static str],
    pub(super) categories: &'static [&'static str],
}

/// One agent has a policy of its own, the others the default.
pub(super) const OWN_POLICY_OF: &str = "agent-b";
pub(super) const OWN: Policy = Policy {
    per_transaction: 6_000,
    daily: 12_000,
    monthly: 15_000,
    human_above: i64::MAX,
    approved: &["agent-a"],
    blocked: &[],
    categories: &[],
};
pub(super) const DEFAULT: Policy = Policy {
    per_transaction: 10_000,
    daily: 25_000,
    monthly: 40_000,
    human_above: 9_000,
    approved: &[],
    blocked: &[BLOCKED],
    categories: &["ops", "it"],
};

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Wallet {
    pub(super) available_minor: i64,
    pub(super) sent_minor: i64,
    pub(super) received_minor: i64,
}

/// A stored payment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stored {
    pub(super) payer: String,
    pub(super) amount_minor: i64,
    pub(super) status: String,
}

/// A keyed payment that was answered.
pub(super) struct Answered {
    pub(super) key: u8,
    pub(super) payment: Payment,
    pub(super) at: DateTime<Utc>,
    pub(super) text: String,
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) wallets: BTreeMap<String, Wallet>,
    /// Oldest first.
    pub(super) stored: Vec<Stored>,
    /// Payer, amount and instant of everything settled.
    pub(super) settled: Vec<(&'static str, i64, DateTime<Utc>)>,
    pub(super) answered: Vec<Answered>,
}

impl Model {
    pub(super) fn spent(&self, payer: &str, now: DateTime<Utc>, window: Duration) -> i64 {
        let inside = self
            .settled
            .iter()
            .filter(|(agent, _, at)| *agent == payer && *at > now - window);
        inside.map(|(_, amount_minor, _)| amount_minor).sum()
    }

    /// The reason code, in the documented order of the checks.
    pub(super) fn decide(&self, payment: &Payment, now: DateTime<Utc>) -> &'static str {
        let policy = if payment.payer == OWN_POLICY_OF {
            OWN
        } else {
            DEFAULT
        };
        let amount = payment.amount_minor;
        let spent = |window| self.spent(payment.payer, now, window);
        let available = self
            .wallets
            .get(payment.payer)
            .filter(|_| payment.currency == "USD")
            .map_or(-1, |wallet| wallet.available_minor);
        let is_approved = |payee| policy.approved.is_empty() || policy.approved.contains(&payee);
        if amount > policy.per_transaction {
            "amount_exceeds_limit"
        } else if payment.currency != "USD" {
            "currency_mismatch"
        } else if spent(Duration::hours(24)) + amount > policy.daily {
            "daily_limit_exceeded"
        } else if spent(Duration::days(30)) + amount > policy.monthly {
            "monthly_limit_exceeded"
        } else if payment.payee.is_some_and(|p| policy.blocked.contains(&p)) {
            "counterparty_blocked"
        } else if !is_approved(payment.payee.unwrap_or_default()) {
            "counterparty_not_approved"
        } else if !policy.categories.is_empty()
            && !policy
                .categories
                .contains(&payment.category.unwrap_or_default())
        {
            "category_not_allowed"
        } else if available < amount {
            "insufficient_funds"
        } else if amount > policy.human_above {
            "human_required"
        } else {
            "policy_pass"
        }
    }

    /// Stores the payment with its outcome, and moves the money if it passed.
    pub(super) fn record(&mut self, payment: &Payment, reason: &str, now: DateTime<Utc>) {
        let passed = reason == "policy_pass";
        let status = match reason {
            "policy_pass" => "settled",
            "human_required" => "pending_human_review",
            _ => "denied",
        };
        self.stored.push(Stored {
            payer: payment.payer.to_owned(),
            amount_minor: payment.amount_minor,
            status: status.to_owned(),
        });
        if !passed {
            return;
        }
        self.settled
            .push((payment.payer, payment.amount_minor, now));
        let payer = self.wallets.entry(payment.payer.to_owned()).or_default();
        payer.available_minor -= payment.amount_minor;
        payer.sent_minor += payment.amount_minor;
        if let Some(payee) = payment.payee {
            let payee = self.wallets.entry(payee.to_owned()).or_default();
            payee.available_minor += payment.amount_minor;
            payee.received_minor += payment.amount_minor;
        }
    }
}
