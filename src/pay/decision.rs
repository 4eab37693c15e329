//! The authorisation of a payment as one pure function: facts in, verdict out.
//!
//! The order of the checks is part of the contract, and the first that fails decides. Money moves only on
//! [`Verdict::Approved`].

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use super::{compliance::ComplianceVerdict, money};

mod reason;

pub use reason::{POLICY_PASS, Reason};

/// What a policy says, as it is kept for the payments it decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicySnapshot {
    /// pol_…
    pub id: String,
    /// The organisation it belongs to; a parent's policy may decide.
    pub org_id: String,
    /// Its name.
    pub policy_name: String,
    /// The agent it binds; none for an organisation's default.
    pub agent_id: Option<String>,
    /// Most per payment.
    pub max_per_transaction_minor: Option<i64>,
    /// Most in any 24 hours.
    pub max_daily_minor: Option<i64>,
    /// Most in any 30 days.
    pub max_monthly_minor: Option<i64>,
    /// The only currency it lets through.
    pub currency: String,
    /// Payments strictly above need a human.
    pub require_human_above_minor: Option<i64>,
    /// If not empty, only these agents may be paid.
    pub approved_counterparties: Vec<String>,
    /// These agents may not be paid.
    pub blocked_counterparties: Vec<String>,
    /// If not empty, only these categories.
    pub allowed_categories: Vec<String>,
    /// Whether payments are checked for compliance.
    pub compliance_precheck: bool,
    /// The jurisdictions checked.
    pub compliance_jurisdictions: Vec<String>,
    /// The name of what it says; 0 for one that is only tried.
    #[serde(skip)]
    pub version_id: i64,
}

impl PolicySnapshot {
    /// Whether payments are held against rules: for at least one jurisdiction.
    pub fn asks_for_precheck(&self) -> bool {
        self.compliance_precheck && !self.compliance_jurisdictions.is_empty()
    }
}

/// The receiving side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterparty<'a> {
    /// The receiving agent.
    pub agent_id: &'a str,
    /// The policy of the receiving organisation, when it is another one and has a policy for the agent.
    pub receiver_policy: Option<&'a PolicySnapshot>,
    /// Whether its wallet exists and is closed.
    pub is_closed: bool,
}

/// Everything a decision depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The policy in force for the payer, if any.
    pub policy: Option<&'a PolicySnapshot>,
    /// The paying agent.
    pub payer_agent_id: &'a str,
    /// The amount; positive.
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: &'a str,
    /// What the payer committed in the last 24 hours in this currency, without this payment.
    pub daily_sum_minor: i64,
    /// The same over 30 days.
    pub monthly_sum_minor: i64,
    /// The receiving agent; none for a payment to the outside.
    pub counterparty: Option<Counterparty<'a>>,
    /// The category given.
    pub category: Option<&'a str>,
    /// What the payer's active wallet can spend; none without such a wallet.
    pub available_minor: Option<i64>,
    /// What the precheck found; none when it was not made.
    pub compliance: Option<ComplianceVerdict>,
    /// Whether a human approved it already, so that the human step is passed.
    pub is_human_approved: bool,
    /// Whether the escrow asked for would end at its beginning.
    pub is_escrow_over: bool,
}

/// The outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The money may move; the compliance status is `clear` or `flagged`.
    Approved,
    /// A human decides; no money moves and none is held meanwhile.
    Review {
        /// For people.
        detail: String,
    },
    /// No money moves.
    Denied {
        /// For machines.
        reason: Reason,
        /// For people.
        detail: String,
    },
    /// No money moves, though everything that forbids let it pass and a human approved it: what it takes is gone.
    Failed {
        /// For machines.
        reason: Reason,
        /// For people.
        detail: String,
    },
}

type Check = Result<(), (Reason, String)>;

/// The exclusive starts of the rolling windows of 24 hours and 30 days.
pub fn window_starts(now: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
    (now - Duration::hours(24), now - Duration::days(30))
}

/// Decides. The first check that fails, in this order, gives the reason.
///
/// What a human approved is denied by what forbids it, and only then fails for want of what it takes.
pub fn decide(facts: &Facts<'_>) -> Verdict {
    match checks(facts) {
        Ok(()) if facts.is_human_approved => match check_means(facts) {
            Ok(()) => Verdict::Approved,
            Err((reason, detail)) => Verdict::Failed { reason, detail },
        },
        Ok(()) => Verdict::Approved,
        Err((Reason::HumanRequired, detail)) => Verdict::Review { detail },
        Err((reason, detail)) => Verdict::Denied { reason, detail },
    }
}

fn checks(facts: &Facts<'_>) -> Check {
    let Some(policy) = facts.policy else {
        return Err((
            Reason::NoPolicy,
            format!(
                "No active spending policy applies to agent {}",
                facts.payer_agent_id
            ),
        ));
    };
    check_amount(facts, policy)?;
    check_window(
        facts,
        policy.max_daily_minor,
        facts.daily_sum_minor,
        Reason::DailyLimitExceeded,
        "Daily",
    )?;
    check_window(
        facts,
        policy.max_monthly_minor,
        facts.monthly_sum_minor,
        Reason::MonthlyLimitExceeded,
        "Monthly",
    )?;
    check_counterparty(facts, policy)?;
    if facts.is_human_approved {
        check_category(facts, policy)?;
        return check_compliance(facts, policy);
    }
    check_open(facts)?;
    check_category(facts, policy)?;
    check_funds(facts)?;
    check_human(facts, policy)?;
    check_compliance(facts, policy)?;
    check_escrow(facts)
}

/// Nobody forbids it, and it takes somewhere to come from and to go to.
fn check_means(facts: &Facts<'_>) -> Check {
    check_open(facts)?;
    check_funds(facts)?;
    check_escrow(facts)
}

fn check_amount(facts: &Facts<'_>, policy: &PolicySnapshot) -> Check {
    if facts.amount_minor <= 0 {
        return Err((
            Reason::InvalidAmount,
            "The amount is not positive".to_owned(),
        ));
    }
    if let Some(limit) = policy
        .max_per_transaction_minor
        .filter(|limit| facts.amount_minor > *limit)
    {
        let limit = money::display(&policy.currency, limit);
        return Err((
            Reason::AmountExceedsLimit,
            format!("Per-transaction limit of {limit} exceeded"),
        ));
    }
    if policy.currency != facts.currency {
        let detail = format!(
            "The policy allows {} only, the payment is in {}",
            policy.currency, facts.currency
        );
        return Err((Reason::CurrencyMismatch, detail));
    }
    Ok(())
}

/// A sum equal to the limit passes.
fn check_window(
    facts: &Facts<'_>,
    limit: Option<i64>,
    sum_minor: i64,
    reason: Reason,
    window: &str,
) -> Check {
    match limit {
        Some(limit)
            if i128::from(sum_minor) + i128::from(facts.amount_minor) > i128::from(limit) =>
        {
            Err((
                reason,
                format!(
                    "{window} spending limit of {} exceeded",
                    money::display(facts.currency, limit)
                ),
            ))
        }
        _ => Ok(()),
    }
}

/// Blocked before approved; the receiver's own policy last.
fn check_counterparty(facts: &Facts<'_>, policy: &PolicySnapshot) -> Check {
    let contains = |list: &[String], agent_id: &str| list.iter().any(|name| name == agent_id);
    let Some(counterparty) = &facts.counterparty else {
        if policy.approved_counterparties.is_empty() {
            return Ok(());
        }
        let detail =
            "The policy approves named counterparties only, and the payment names none".to_owned();
        return Err((Reason::CounterpartyNotApproved, detail));
    };
    let agent_id = counterparty.agent_id;
    if contains(&policy.blocked_counterparties, agent_id) {
        return Err((
            Reason::CounterpartyBlocked,
            format!("Counterparty {agent_id} is blocked by the policy"),
        ));
    }
    if !policy.approved_counterparties.is_empty()
        && !contains(&policy.approved_counterparties, agent_id)
    {
        let detail =
            format!("Counterparty {agent_id} is not on the list of approved counterparties");
        return Err((Reason::CounterpartyNotApproved, detail));
    }
    if counterparty
        .receiver_policy
        .is_some_and(|p| contains(&p.blocked_counterparties, facts.payer_agent_id))
    {
        let detail = format!(
            "The receiving organization blocks payments from agent {}",
            facts.payer_agent_id
        );
        return Err((Reason::ReceiverCounterpartyBlocked, detail));
    }
    Ok(())
}

fn check_open(facts: &Facts<'_>) -> Check {
    match &facts.counterparty {
        Some(Counterparty {
            agent_id,
            is_closed: true,
            ..
        }) => Err((
            Reason::CounterpartyBlocked,
            format!("The wallet of counterparty {agent_id} is not active"),
        )),
        _ => Ok(()),
    }
}

fn check_category(facts: &Facts<'_>, policy: &PolicySnapshot) -> Check {
    if policy.allowed_categories.is_empty() {
        return Ok(());
    }
    match facts.category {
        Some(category)
            if policy
                .allowed_categories
                .iter()
                .any(|allowed| allowed == category) =>
        {
            Ok(())
        }
        Some(category) => Err((
            Reason::CategoryNotAllowed,
            format!("Category {category} is not allowed by the policy"),
        )),
        None => Err((
            Reason::CategoryNotAllowed,
            "The policy allows named categories only, and the payment names none".to_owned(),
        )),
    }
}

fn check_funds(facts: &Facts<'_>) -> Check {
    let (agent_id, currency) = (facts.payer_agent_id, facts.currency);
    match facts.available_minor {
        None => Err((
            Reason::InsufficientFunds,
            format!("Agent {agent_id} has no active {currency} wallet"),
        )),
        Some(available) if available < facts.amount_minor => Err((
            Reason::InsufficientFunds,
            format!(
                "The {currency} wallet of agent {agent_id} does not cover {}",
                money::display(currency, facts.amount_minor)
            ),
        )),
        Some(_) => Ok(()),
    }
}

fn check_human(facts: &Facts<'_>, policy: &PolicySnapshot) -> Check {
    match policy.require_human_above_minor {
        Some(threshold) if facts.amount_minor > threshold => Err((
            Reason::HumanRequired,
            format!(
                "Payments above {} need a human's approval",
                money::display(&policy.currency, threshold)
            ),
        )),
        _ => Ok(()),
    }
}

/// A precheck that is asked for and was not made denies.
fn check_compliance(facts: &Facts<'_>, policy: &PolicySnapshot) -> Check {
    if !policy.asks_for_precheck() {
        return Ok(());
    }
    match &facts.compliance {
        Some(ComplianceVerdict::Clear | ComplianceVerdict::Flagged) => Ok(()),
        Some(ComplianceVerdict::Review { .. }) if facts.is_human_approved => Ok(()),
        Some(ComplianceVerdict::Review { detail }) => Err((Reason::HumanRequired, detail.clone())),
        Some(ComplianceVerdict::Blocked { detail }) => {
            Err((Reason::ComplianceDenied, detail.clone()))
        }
        None => Err((
            Reason::ComplianceDenied,
            "The compliance precheck was not made".to_owned(),
        )),
    }
}

fn check_escrow(facts: &Facts<'_>) -> Check {
    if facts.is_escrow_over {
        return Err((
            Reason::EscrowExpired,
            "The escrow would have ended before it began".to_owned(),
        ));
    }
    Ok(())
}
