//! Payments one after the other through the decision, and at their instants what humans answered and what came back.
//!
//! The period is all there is: what was answered after its end still waits. What happens at the instant of a request is
//! taken to have happened before it.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};

use crate::proto::pulpo::pay::v1 as pb;

use super::{
    super::{
        compliance::{Check, ComplianceVerdict, RuleBook, Subject},
        decision::{self, Counterparty, Facts, POLICY_PASS, PolicySnapshot, Reason, Verdict},
        reports::Period,
        time::timestamp,
    },
    CHANGES_MAX, Past,
    past::Answer,
    window::Agent,
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
    /// The first of them, by the time and order of their requests.
    pub(super) changes: BTreeMap<(DateTime<Utc>, u64), pb::BacktestChange>,
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

/// A payment that passes, and its place among them.
#[derive(Debug)]
struct Passing {
    past: Past,
    place: u64,
}

/// What is still to come of a payment.
#[derive(Debug)]
enum Later {
    /// It counts; it was requested before the period.
    Counts(Passing),
    /// The wait for a human ends.
    Answered(Passing, Answer),
    /// It comes back to the payer.
    Back {
        agent_id: String,
        counted_at: DateTime<Utc>,
        amount_minor: i64,
    },
}

/// A run over the past.
pub(super) struct Simulation<'a> {
    rules: &'a RuleBook,
    policy: &'a PolicySnapshot,
    period: Period,
    agents: HashMap<String, Agent>,
    /// What is to come, by its time; of one time in the order in which it was known.
    later: BTreeMap<(DateTime<Utc>, u64), Later>,
    /// Numbers payments and what is to come of them.
    next: u64,
    tally: Tally,
}

impl<'a> Simulation<'a> {
    pub(super) fn new(rules: &'a RuleBook, policy: &'a PolicySnapshot, period: Period) -> Self {
        Self {
            rules,
            policy,
            period,
            agents: HashMap::new(),
            later: BTreeMap::new(),
            next: 0,
            tally: Tally::default(),
        }
    }

    /// Everything that was to come has come.
    pub(super) fn end(mut self) -> Tally {
        self.catch_up(self.period.end);
        self.tally
    }

    /// The next payment, in the order of the requests.
    pub(super) fn pass(&mut self, past: Past) {
        let at = past.created_at;
        self.catch_up(at);
        let place = self.number();
        let passing = Passing { past, place };
        if at < self.period.start {
            match passing.past.counted_at {
                Some(counted_at) if counted_at > at => {
                    self.put_off(counted_at, Later::Counts(passing));
                }
                Some(_) => self.count(&passing.past, at),
                None => {}
            }
            return;
        }
        let verdict = self.decide(&passing.past, at, false);
        match (&verdict, passing.past.answer(self.period.end)) {
            (Verdict::Review { .. }, Some((answered_at, answer))) => {
                self.put_off(answered_at, Later::Answered(passing, answer));
            }
            _ => self.conclude(&passing, &verdict, at),
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// What comes after the end does not come.
    fn put_off(&mut self, at: DateTime<Utc>, later: Later) {
        if at < self.period.end {
            let number = self.number();
            self.later.insert((at, number), later);
        }
    }

    /// What has come up to then.
    fn catch_up(&mut self, now: DateTime<Utc>) {
        while let Some(first) = self.later.first_entry()
            && first.key().0 <= now
        {
            let ((at, _), later) = first.remove_entry();
            match later {
                Later::Counts(passing) => self.count(&passing.past, at),
                Later::Answered(passing, Answer::Denied(reason)) => {
                    self.note(&passing, Decided::Denied, reason.code());
                }
                Later::Answered(passing, Answer::Approved) => {
                    let verdict = self.decide(&passing.past, at, true);
                    self.conclude(&passing, &verdict, at);
                }
                Later::Back {
                    agent_id,
                    counted_at,
                    amount_minor,
                } => {
                    if let Some(agent) = self.agents.get_mut(&agent_id) {
                        agent.day.take_back(counted_at, amount_minor);
                        agent.month.take_back(counted_at, amount_minor);
                    }
                }
            }
        }
    }

    /// What was decided of a payment, in the end as far as is known.
    fn conclude(&mut self, passing: &Passing, verdict: &Verdict, at: DateTime<Utc>) {
        let (simulated, reason_code) = match verdict {
            Verdict::Approved => (Decided::Approved, POLICY_PASS),
            Verdict::Review { .. } => (Decided::Review, Reason::HumanRequired.code()),
            Verdict::Denied { reason, .. } | Verdict::Failed { reason, .. } => {
                (Decided::Denied, reason.code())
            }
        };
        if simulated == Decided::Approved {
            self.count(&passing.past, at);
        }
        self.note(passing, simulated, reason_code);
    }

    fn decide(&mut self, past: &Past, at: DateTime<Utc>, is_human_approved: bool) -> Verdict {
        let compliance = self.precheck(past, at);
        // A policy lets one currency through, so only that one has windows.
        let (day_start, month_start) = decision::window_starts(at);
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
            is_human_approved,
            is_escrow_over: is_human_approved && past.is_escrow_over(at),
        })
    }

    fn precheck(&mut self, past: &Past, at: DateTime<Utc>) -> Option<ComplianceVerdict> {
        let check = Check::new(self.rules, Some(self.policy), Subject::from(past))?;
        let mut agent = self.agents.get_mut(&past.requesting_agent_id);
        let counts: Vec<i64> = check
            .bands
            .iter()
            .map(|band| {
                let since = at - TimeDelta::hours(i64::from(band.window_hours));
                let window = agent
                    .as_mut()
                    .and_then(|agent| agent.bands.get_mut(&band.rule));
                window.map_or(0, |window| window.count_after(since))
            })
            .collect();
        Some(check.assess(self.rules, &counts).verdict())
    }

    /// Counts an approved payment in its agent's windows, until it comes back.
    fn count(&mut self, past: &Past, at: DateTime<Utc>) {
        if past.currency != self.policy.currency {
            return;
        }
        let check = Check::new(self.rules, Some(self.policy), Subject::from(past));
        let agent = self
            .agents
            .entry(past.requesting_agent_id.clone())
            .or_default();
        agent.day.push(at, past.amount_minor);
        agent.month.push(at, past.amount_minor);
        for band in check.iter().flat_map(|check| &check.bands) {
            let window = agent.bands.entry(band.rule).or_default();
            window.push(at, past.amount_minor);
        }
        if let Some(refunded_at) = past.refunded_at {
            let back = Later::Back {
                agent_id: past.requesting_agent_id.clone(),
                counted_at: at,
                amount_minor: past.amount_minor,
            };
            self.put_off(refunded_at, back);
        }
    }

    fn note(&mut self, passing: &Passing, simulated: Decided, reason_code: &'static str) {
        let past = &passing.past;
        let waits = past.answered_at.is_some_and(|at| at >= self.period.end);
        let actual = match past.status.as_str() {
            "pending_human_review" => Decided::Review,
            _ if waits => Decided::Review,
            _ if past.counted_at.is_some() => Decided::Approved,
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
        let key = (past.created_at, passing.place);
        let is_full = tally.changes.len() >= CHANGES_MAX;
        let last = tally.changes.last_entry().filter(|_| is_full);
        match last {
            Some(last) if *last.key() < key => return,
            Some(last) => drop(last.remove()),
            None => {}
        }
        let change = pb::BacktestChange {
            transaction_id: past.id.clone(),
            created_at: Some(timestamp(past.created_at)),
            actual: actual.word().to_owned(),
            simulated: simulated.word().to_owned(),
            reason_code: reason_code.to_owned(),
        };
        tally.changes.insert(key, change);
    }
}
