//! Simulations against sums made anew for every decision.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::{
    super::{
        compliance::RuleBook,
        decision::{PolicySnapshot, Reason},
        reports::Period,
    },
    past::Past,
    simulate::{Counts, REACH, Simulation},
};

const DAILY: i64 = 1_000;
const MONTHLY: i64 = 2_500;
const HUMAN_ABOVE: i64 = 300;

fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(400) + TimeDelta::minutes(minutes)
}

fn period() -> Period {
    Period {
        start: at(30_000),
        end: at(90_000),
    }
}

/// What became of a payment. Answers come at the twentieth second of a minute and refunds at the fortieth, so that
/// nothing comes at the instant of a request.
fn past(place: usize, requested: (u8, i64, i64), fate: u8, minutes: i64) -> Past {
    let (agent, requested_at, amount_minor) = requested;
    let created_at = at(requested_at);
    let answered_at = created_at + TimeDelta::minutes(minutes) + TimeDelta::seconds(20);
    let (status, counted_at, answered, is_refunded) = match fate {
        0 => ("denied", None, None, false),
        1 => ("settled", Some(created_at), None, false),
        2 => ("refunded", Some(created_at), None, true),
        3 => ("settled", Some(answered_at), Some("policy_pass"), false),
        4 => ("refunded", Some(answered_at), Some("policy_pass"), true),
        5 => ("denied", None, Some(Reason::HumanDenied.code()), false),
        6 => ("denied", None, Some("monthly_limit_exceeded"), false),
        _ => ("pending_human_review", None, None, false),
    };
    let back = TimeDelta::minutes(2 * minutes) + TimeDelta::seconds(40);
    Past {
        id: place.to_string(),
        requesting_agent_id: agent.to_string(),
        amount_minor,
        currency: "USD".to_owned(),
        status: status.to_owned(),
        created_at,
        counted_at,
        refunded_at: is_refunded.then_some(created_at + back),
        answered_at: answered.map(|_| answered_at),
        answered_reason: answered.map(str::to_owned),
        ..Past::default()
    }
}

/// A payment that was approved.
struct Approved {
    agent_id: String,
    counted_at: DateTime<Utc>,
    amount_minor: i64,
    back_at: Option<DateTime<Utc>>,
}

/// The same, slowly.
#[derive(Default)]
struct Slow {
    approved: Vec<Approved>,
    counts: Counts,
}

impl Slow {
    fn sum(&self, past: &Past, now: DateTime<Utc>, window: TimeDelta) -> i64 {
        let counts = |one: &&Approved| {
            one.agent_id == past.requesting_agent_id
                && one.counted_at <= now
                && one.counted_at > now - window
                && one.back_at.is_none_or(|back_at| back_at > now)
        };
        let approved = self.approved.iter().filter(counts);
        approved.map(|one| one.amount_minor).sum()
    }

    fn approve(&mut self, past: &Past, counted_at: DateTime<Utc>) {
        self.approved.push(Approved {
            agent_id: past.requesting_agent_id.clone(),
            counted_at,
            amount_minor: past.amount_minor,
            back_at: past.refunded_at,
        });
    }

    fn decide(&mut self, past: &Past, now: DateTime<Utc>, is_human_approved: bool) {
        let fits = |sum: i64, limit: i64| sum + past.amount_minor <= limit;
        let is_within = fits(self.sum(past, now, TimeDelta::hours(24)), DAILY)
            && fits(self.sum(past, now, REACH), MONTHLY);
        if !is_within {
            self.counts.denied += 1;
        } else if past.amount_minor > HUMAN_ABOVE && !is_human_approved {
            self.counts.review += 1;
        } else {
            self.counts.approved += 1;
            self.counts.approved_minor += i128::from(past.amount_minor);
            self.approve(past, now);
        }
    }

    /// Requests and answers in the order of their times.
    fn run(pasts: &[Past]) -> Counts {
        let mut slow = Self::default();
        let mut events: Vec<(DateTime<Utc>, usize, bool)> = Vec::new();
        for (place, past) in pasts.iter().enumerate() {
            if past.created_at < period().start {
                if let Some(counted_at) = past.counted_at {
                    slow.approve(past, counted_at);
                }
                continue;
            }
            events.push((past.created_at, place, false));
            let answered_at = past.answered_at.filter(|at| *at < period().end);
            events.extend(answered_at.map(|at| (at, place, true)));
        }
        events.sort();
        let mut waits = vec![false; pasts.len()];
        for (now, place, is_answer) in events {
            let past = &pasts[place];
            if !is_answer {
                let before = slow.counts.review;
                slow.decide(past, now, false);
                waits[place] = slow.counts.review > before;
            } else if waits[place] {
                slow.counts.review -= 1;
                match past.answered_reason.as_deref() {
                    Some("human_denied") => slow.counts.denied += 1,
                    _ => slow.decide(past, now, true),
                }
            }
        }
        slow.counts
    }
}

proptest! {
    #[test]
    fn windows_are_what_plain_sums_say(
        payments in prop::collection::vec((0..3_u8, 0..4_000_i64, 1..500_i64, 0..8_u8, 0..4_000_i64), 0..60),
    ) {
        let mut minutes = 0;
        let pasts: Vec<Past> = payments
            .into_iter()
            .enumerate()
            .map(|(place, (agent, wait, amount_minor, fate, later))| {
                minutes += wait;
                past(place, (agent, minutes, amount_minor), fate, later)
            })
            .filter(|past| past.created_at < period().end)
            .collect();
        let policy = PolicySnapshot {
            max_daily_minor: Some(DAILY),
            max_monthly_minor: Some(MONTHLY),
            require_human_above_minor: Some(HUMAN_ABOVE),
            currency: "USD".to_owned(),
            ..PolicySnapshot::default()
        };
        let rules = RuleBook::shipped().unwrap();
        let mut simulation = Simulation::new(&rules, &policy, period());
        for past in &pasts {
            simulation.pass(past.clone());
        }
        let tally = simulation.end();
        prop_assert_eq!(tally.simulated, Slow::run(&pasts));
        let changed = i64::try_from(tally.changes.len()).unwrap();
        prop_assert_eq!(tally.changed, changed);
    }
}
