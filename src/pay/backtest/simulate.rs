//! Payments one after the other through the decision, with windows that roll along.

use std::collections::{BTreeMap, HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};

use crate::proto::pulpo::pay::v1 as pb;

use super::{
    super::{
        compliance::{Check, ComplianceVerdict, RuleBook, Subject},
        decision::{self, Counterparty, Facts, POLICY_PASS, PolicySnapshot, Reason, Verdict},
        time::timestamp,
    },
    CHANGES_MAX, Past,
};

/// How far back windows reach.
pub(super) const REACH: TimeDelta = TimeDelta::days(30);

/// How many payments were decided how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) approved: i64,
    pub(super) review: i64,
    pub(super) denied: i64,
    pub(super) approved_minor: i128,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) payments: i64,
    pub(super) simulated: Counts,
    pub(super) actual: Counts,
    pub(super) reasons: BTreeMap<&'static str, i64>,
    pub(super) changed: i64,
    pub(super) changes: Vec<pb::BacktestChange>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decided {
    Approved,
    Review,
    Denied,
}

impl Decided {
    fn word(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Review => "pending_human_review",
            Self::Denied => "denied",
        }
    }
}

/// A rolling window: its payments and their sum.
#[derive(Debug, Default)]
struct Window {
    payments: VecDeque<(DateTime<Utc>, i64)>,
    sum_minor: i128,
}

impl Window {
    fn push(&mut self, at: DateTime<Utc>, amount_minor: i64) {
        self.payments.push_back((at, amount_minor));
        self.sum_minor += i128::from(amount_minor);
    }

    /// What it holds after `start`.
    fn sum_after(&mut self, start: DateTime<Utc>) -> i64 {
        while let Some((at, amount_minor)) = self.payments.front().copied()
            && at <= start
        {
            self.payments.pop_front();
            self.sum_minor -= i128::from(amount_minor);
        }
        i64::try_from(self.sum_minor).unwrap_or(i64::MAX)
    }

    fn count_after(&mut self, start: DateTime<Utc>) -> i64 {
        self.sum_after(start);
        i64::try_from(self.payments.len()).unwrap_or(i64::MAX)
    }
}

/// The windows of an agent in a currency.
#[derive(Debug, Default)]
struct Agent {
    day: Window,
    month: Window,
    /// Those that a rule counts, by the place of the rule.
    bands: HashMap<usize, Window>,
}

/// A run over the past.
pub(super) struct Simulation<'a> {
    rules: &'a RuleBook,
    policy: &'a PolicySnapshot,
    start: DateTime<Utc>,
    agents: HashMap<String, Agent>,
    tally: Tally,
}

impl<'a> Simulation<'a> {
    pub(super) fn new(
        rules: &'a RuleBook,
        policy: &'a PolicySnapshot,
        start: DateTime<Utc>,
    ) -> Self {
        Self {
            rules,
            policy,
            start,
            agents: HashMap::new(),
            tally: Tally::default(),
        }
    }

    pub(super) fn end(self) -> Tally {
        self.tally
    }

    /// The next payment.
    pub(super) fn pass(&mut self, past: &Past) {
        if past.created_at < self.start {
            if past.is_counted {
                self.count(past);
            }
            return;
        }
        let verdict = self.decide(past);
        let (simulated, reason_code) = match &verdict {
            Verdict::Approved => (Decided::Approved, POLICY_PASS),
            Verdict::Review { .. } => (Decided::Review, Reason::HumanRequired.code()),
            Verdict::Denied { reason, .. } => (Decided::Denied, reason.code()),
        };
        if simulated == Decided::Approved {
            self.count(past);
        }
        self.note(past, simulated, reason_code);
    }

    fn decide(&mut self, past: &Past) -> Verdict {
        let compliance = self.precheck(past);
        // A policy lets one currency through, so only that one has windows.
        let (day_start, month_start) = decision::window_starts(past.created_at);
        let sums = match self.agents.get_mut(&past.requesting_agent_id) {
            Some(agent) => (
                agent.day.sum_after(day_start),
                agent.month.sum_after(month_start),
            ),
            None => (0, 0),
        };
        decision::decide(&Facts {
            policy: Some(self.policy),
            payer_agent_id: &past.requesting_agent_id,
            amount_minor: past.amount_minor,
            currency: &past.currency,
            daily_sum_minor: sums.0,
            monthly_sum_minor: sums.1,
            counterparty: past
                .counterparty_agent_id
                .as_deref()
                .map(|agent_id| Counterparty {
                    agent_id,
                    receiver_policy: None,
                    is_closed: false,
                }),
            category: past.category.as_deref(),
            available_minor: Some(i64::MAX),
            compliance,
            is_human_approved: false,
            is_escrow_over: false,
        })
    }

    fn precheck(&mut self, past: &Past) -> Option<ComplianceVerdict> {
        let check = Check::new(self.rules, Some(self.policy), Subject::from(past))?;
        let mut agent = self.agents.get_mut(&past.requesting_agent_id);
        let counts: Vec<i64> = check
            .bands
            .iter()
            .map(|band| {
                let since = past.created_at - TimeDelta::hours(i64::from(band.window_hours));
                let window = agent
                    .as_mut()
                    .and_then(|agent| agent.bands.get_mut(&band.rule));
                window.map_or(0, |window| window.count_after(since))
            })
            .collect();
        Some(check.assess(self.rules, &counts).verdict())
    }

    /// Counts an approved payment in its agent's windows.
    fn count(&mut self, past: &Past) {
        if past.currency != self.policy.currency {
            return;
        }
        let check = Check::new(self.rules, Some(self.policy), Subject::from(past));
        let agent = self
            .agents
            .entry(past.requesting_agent_id.clone())
            .or_default();
        agent.day.push(past.created_at, past.amount_minor);
        agent.month.push(past.created_at, past.amount_minor);
        for band in check.iter().flat_map(|check| &check.bands) {
            let window = agent.bands.entry(band.rule).or_default();
            window.push(past.created_at, past.amount_minor);
        }
    }

    fn note(&mut self, past: &Past, simulated: Decided, reason_code: &'static str) {
        let actual = match past.status.as_str() {
            "pending_human_review" => Decided::Review,
            _ if past.is_counted => Decided::Approved,
            _ => Decided::Denied,
        };
        let tally = &mut self.tally;
        tally.payments += 1;
        *tally.reasons.entry(reason_code).or_default() += 1;
        for (counts, decided) in [
            (&mut tally.simulated, simulated),
            (&mut tally.actual, actual),
        ] {
            match decided {
                Decided::Approved => {
                    counts.approved += 1;
                    counts.approved_minor += i128::from(past.amount_minor);
                }
                Decided::Review => counts.review += 1,
                Decided::Denied => counts.denied += 1,
            }
        }
        if simulated == actual {
            return;
        }
        tally.changed += 1;
        if tally.changes.len() < CHANGES_MAX {
            tally.changes.push(pb::BacktestChange {
                transaction_id: past.id.clone(),
                created_at: Some(timestamp(past.created_at)),
                actual: actual.word().to_owned(),
                simulated: simulated.word().to_owned(),
                reason_code: reason_code.to_owned(),
            });
        }
    }
}

impl<'a> From<&'a Past> for Subject<'a> {
    fn from(past: &'a Past) -> Self {
        Self {
            payer_agent_id: &past.requesting_agent_id,
            payee_agent_id: past.counterparty_agent_id.as_deref(),
            payee_org_id: past.counterparty_org_id.as_deref(),
            amount_minor: past.amount_minor,
            currency: &past.currency,
            tx_type: &past.tx_type,
            category: past.category.as_deref(),
            description: past.description.as_deref(),
            reference_id: past.reference_id.as_deref(),
            metadata: past.metadata.as_deref().unwrap_or("{}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(400) + TimeDelta::minutes(minutes)
    }

    proptest! {
        /// Against sums made anew for every payment.
        #[test]
        fn windows_are_what_plain_sums_say(
            payments in prop::collection::vec((0..3_u8, 0..4_000_i64, 1..500_i64, any::<bool>()), 0..60),
        ) {
            let policy = PolicySnapshot {
                max_daily_minor: Some(1_000),
                max_monthly_minor: Some(2_500),
                currency: "USD".to_owned(),
                ..PolicySnapshot::default()
            };
            let rules = RuleBook::shipped().unwrap();
            let start = at(30_000);
            let mut simulation = Simulation::new(&rules, &policy, start);
            let mut approved: Vec<(u8, DateTime<Utc>, i64)> = Vec::new();
            let (mut minutes, mut expected) = (0, Counts::default());
            for (agent, wait, amount_minor, is_counted) in payments {
                minutes += wait;
                let past = Past {
                    requesting_agent_id: agent.to_string(),
                    amount_minor,
                    currency: "USD".to_owned(),
                    is_counted,
                    created_at: at(minutes),
                    ..Past::default()
                };
                let sum = |window: TimeDelta| -> i64 {
                    let inside = approved.iter().filter(|(of, when, _)| *of == agent && *when > past.created_at - window);
                    inside.map(|(_, _, amount)| amount).sum()
                };
                let passes = sum(TimeDelta::hours(24)) + amount_minor <= 1_000 && sum(REACH) + amount_minor <= 2_500;
                if past.created_at >= start {
                    if passes {
                        expected.approved += 1;
                        expected.approved_minor += i128::from(amount_minor);
                    } else {
                        expected.denied += 1;
                    }
                }
                if (past.created_at < start && is_counted) || (past.created_at >= start && passes) {
                    approved.push((agent, past.created_at, amount_minor));
                }
                simulation.pass(&past);
            }
            prop_assert_eq!(simulation.end().simulated, expected);
        }
    }
}
