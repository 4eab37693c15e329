//! The decision against a reference that is written down the other way round: every fault of a payment is looked for on its
//! own, and the first in the document's order of steps decides. Slow, plain, and with nothing in common but the facts.

use std::{cell::RefCell, collections::BTreeSet};

use proptest::{prelude::*, test_runner::TestRunner};

use super::{
    compliance::ComplianceVerdict,
    decision::{Counterparty, Facts, POLICY_PASS, PolicySnapshot, Verdict, decide},
};

/// The reason codes of the document in the order of the steps that give them. What a human or the end of the wait says
/// (`human_denied`, `escalation_timeout`) is decided later, see `review`.
const STEPS: [&str; 14] = [
    "no_policy",
    "invalid_amount",
    "amount_exceeds_limit",
    "currency_mismatch",
    "daily_limit_exceeded",
    "monthly_limit_exceeded",
    "counterparty_blocked",
    "counterparty_not_approved",
    "receiver_counterparty_blocked",
    "category_not_allowed",
    "insufficient_funds",
    "human_required",
    "compliance_denied",
    "escrow_expired",
];

/// The steps that find what a payment takes gone. Nobody forbids it there.
const MEANS: [&str; 2] = ["insufficient_funds", "escrow_expired"];

/// Facts that own what they say.
#[derive(Clone, Debug)]
struct Case {
    policy: Option<PolicySnapshot>,
    receiver_policy: Option<PolicySnapshot>,
    payee: Option<String>,
    is_closed: bool,
    payer: String,
    amount_minor: i64,
    currency: String,
    daily_sum_minor: i64,
    monthly_sum_minor: i64,
    category: Option<String>,
    available_minor: Option<i64>,
    compliance: Option<ComplianceVerdict>,
    is_human_approved: bool,
    is_escrow_over: bool,
}

impl Case {
    fn facts(&self) -> Facts<'_> {
        Facts {
            policy: self.policy.as_ref(),
            payer_agent_id: &self.payer,
            amount_minor: self.amount_minor,
            currency: &self.currency,
            daily_sum_minor: self.daily_sum_minor,
            monthly_sum_minor: self.monthly_sum_minor,
            counterparty: self.payee.as_deref().map(|agent_id| Counterparty {
                agent_id,
                receiver_policy: self.receiver_policy.as_ref(),
                is_closed: self.is_closed,
            }),
            category: self.category.as_deref(),
            available_minor: self.available_minor,
            compliance: self.compliance.clone(),
            is_human_approved: self.is_human_approved,
            is_escrow_over: self.is_escrow_over,
        }
    }

    /// Whether this step finds a fault, whatever the others find.
    fn is_wrong(&self, policy: &PolicySnapshot, code: &str) -> bool {
        let amount = i128::from(self.amount_minor);
        let over = |sum: i64, limit: Option<i64>| match limit {
            None => false,
            Some(limit) => i128::from(sum) + amount > i128::from(limit),
        };
        let is_listed = |list: &Vec<String>, name: &Option<String>| match name {
            None => false,
            Some(name) => list.contains(name),
        };
        let checked = policy.compliance_precheck && !policy.compliance_jurisdictions.is_empty();
        match code {
            "no_policy" => false,
            "invalid_amount" => amount < 1,
            "amount_exceeds_limit" => over(0, policy.max_per_transaction_minor),
            "currency_mismatch" => policy.currency != self.currency,
            "daily_limit_exceeded" => over(self.daily_sum_minor, policy.max_daily_minor),
            "monthly_limit_exceeded" => over(self.monthly_sum_minor, policy.max_monthly_minor),
            "counterparty_blocked" => is_listed(&policy.blocked_counterparties, &self.payee),
            "counterparty_not_approved" => {
                !policy.approved_counterparties.is_empty()
                    && !is_listed(&policy.approved_counterparties, &self.payee)
            }
            // A receiver that exists only.
            "receiver_counterparty_blocked" => match (&self.payee, &self.receiver_policy) {
                (Some(_), Some(theirs)) => theirs.blocked_counterparties.contains(&self.payer),
                _ => false,
            },
            "category_not_allowed" => {
                !policy.allowed_categories.is_empty()
                    && !is_listed(&policy.allowed_categories, &self.category)
            }
            "insufficient_funds" => match self.available_minor {
                None => true,
                Some(available) => i128::from(available) < amount,
            },
            "human_required" => {
                !self.is_human_approved && over(0, policy.require_human_above_minor)
            }
            "compliance_denied" => {
                checked
                    && matches!(
                        self.compliance,
                        None | Some(ComplianceVerdict::Blocked { .. })
                    )
            }
            "escrow_expired" => self.is_escrow_over,
            other => unreachable!("{other}"),
        }
    }

    /// The reason code of the document, and which kind of answer it is.
    fn expected(&self) -> (&'static str, &'static str) {
        let Some(policy) = &self.policy else {
            return ("denied", "no_policy");
        };
        // What a human approved is denied by what forbids it first, and then fails for want of means.
        let (forbids, lacks): (Vec<&str>, Vec<&str>) = match self.is_human_approved {
            true => STEPS.into_iter().partition(|code| !MEANS.contains(code)),
            false => (STEPS.to_vec(), Vec::new()),
        };
        let lacks = ["category_not_allowed"].into_iter().chain(lacks);
        let mut forbids = forbids.into_iter();
        let denied = forbids.find_map(|code| self.answer(policy, code, !self.is_human_approved));
        denied
            .or_else(|| {
                let mut lacks = lacks.filter(|_| self.is_human_approved);
                lacks.find_map(|code| self.answer(policy, code, true))
            })
            .map_or(("approved", POLICY_PASS), |(answer, code)| {
                let has_failed = denied.is_none() && self.is_human_approved;
                (if has_failed { "failed" } else { answer }, code)
            })
    }

    /// What a step answers, if it finds a fault.
    fn answer(
        &self,
        policy: &PolicySnapshot,
        code: &'static str,
        asks_for_wallet: bool,
    ) -> Option<(&'static str, &'static str)> {
        // The receiver's wallet is a matter of the fifth step, too, after both policies.
        let is_closed = self.payee.is_some() && self.is_closed;
        if code == "category_not_allowed" && is_closed && asks_for_wallet {
            return Some(("denied", "counterparty_blocked"));
        }
        // A precheck that is not sure wants a human, at its own step.
        let unsure = matches!(self.compliance, Some(ComplianceVerdict::Review { .. }));
        let checked = policy.compliance_precheck && !policy.compliance_jurisdictions.is_empty();
        if code == "compliance_denied" && checked && unsure && !self.is_human_approved {
            return Some(("pending_human_review", "human_required"));
        }
        self.is_wrong(policy, code).then_some(match code {
            "human_required" => ("pending_human_review", code),
            _ => ("denied", code),
        })
    }
}

fn told(verdict: &Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Approved => ("approved", POLICY_PASS),
        Verdict::Review { .. } => ("pending_human_review", "human_required"),
        Verdict::Denied { reason, .. } => ("denied", reason.code()),
        Verdict::Failed { reason, .. } => ("failed", reason.code()),
    }
}

fn agent() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["agent-a", "agent-b", "agent-c", "Agent-A"]).prop_map(str::to_owned)
}

/// Mostly empty: what is seldom wrong lets the later steps decide.
fn list(of: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = Vec<String>> {
    let some = prop::collection::vec(of, 1..4);
    prop_oneof![4 => Just(Vec::new()), 1 => some]
}

/// Mostly wide, and near the amounts.
fn limit() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![2 => Just(None), 3 => (500..2_000_i64).prop_map(Some), 1 => (1..1_000_i64).prop_map(Some),
        1 => Just(Some(i64::MAX))]
}

fn sum() -> impl Strategy<Value = i64> {
    prop_oneof![4 => Just(0), 2 => 0..1_500_i64, 1 => Just(i64::MAX)]
}

fn currency() -> impl Strategy<Value = String> {
    prop_oneof![9 => Just("USD"), 1 => Just("EUR")].prop_map(str::to_owned)
}

fn category() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["operations", "travel", "Operations"]).prop_map(str::to_owned)
}

/// Of the payer's agent, its organisation or one above: whose it is changes nothing about what it says.
fn policy() -> impl Strategy<Value = PolicySnapshot> {
    let owner = (
        prop::sample::select(vec!["org_own", "org_parent", "org_grandparent"]),
        prop::option::of(agent()),
    );
    let limits = (limit(), limit(), limit(), limit(), currency());
    let lists = (list(agent()), list(agent()), list(category()));
    let codes = list(Just("US_FEDERAL".to_owned()));
    (owner, limits, lists, any::<bool>(), codes).prop_map(
        |((org_id, agent_id), limits, lists, compliance_precheck, compliance_jurisdictions)| {
            PolicySnapshot {
                id: "pol_1".to_owned(),
                org_id: org_id.to_owned(),
                policy_name: "Any".to_owned(),
                agent_id,
                max_per_transaction_minor: limits.0,
                max_daily_minor: limits.1,
                max_monthly_minor: limits.2,
                require_human_above_minor: limits.3,
                currency: limits.4,
                approved_counterparties: lists.0,
                blocked_counterparties: lists.1,
                allowed_categories: lists.2,
                compliance_precheck,
                compliance_jurisdictions,
                version_id: 0,
            }
        },
    )
}

fn verdict() -> impl Strategy<Value = Option<ComplianceVerdict>> {
    let detail = || "Found".to_owned();
    prop_oneof![
        Just(None),
        Just(Some(ComplianceVerdict::Clear)),
        Just(Some(ComplianceVerdict::Flagged)),
        Just(Some(ComplianceVerdict::Review { detail: detail() })),
        Just(Some(ComplianceVerdict::Blocked { detail: detail() })),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let policies = (
        prop::option::weighted(0.95, policy()),
        prop::option::of(policy()),
    );
    let parties = (
        prop::option::weighted(0.8, agent()),
        prop::bool::weighted(0.1),
        agent(),
    );
    let amount = prop_oneof![20 => 1..1_000_i64, 1 => -5..1_i64, 1 => Just(i64::MAX)];
    let available =
        prop_oneof![1 => Just(None), 1 => (0..1_000_i64).prop_map(Some), 6 => Just(Some(i64::MAX))];
    let rest = (
        prop::option::of(category()),
        available,
        verdict(),
        any::<bool>(),
        prop::bool::weighted(0.1),
    );
    (
        policies,
        parties,
        (amount, currency()),
        (sum(), sum()),
        rest,
    )
        .prop_map(|(policies, parties, amount, sums, rest)| Case {
            policy: policies.0,
            receiver_policy: policies.1,
            payee: parties.0,
            is_closed: parties.1,
            payer: parties.2,
            amount_minor: amount.0,
            currency: amount.1,
            daily_sum_minor: sums.0,
            monthly_sum_minor: sums.1,
            category: rest.0,
            available_minor: rest.1,
            compliance: rest.2,
            is_human_approved: rest.3,
            is_escrow_over: rest.4,
        })
}

#[test]
fn every_snapshot_is_decided_as_the_reference_says_and_every_reason_is_given() {
    const CASES: u32 = 20_000;
    let given = RefCell::new(BTreeSet::new());
    let mut runner = TestRunner::new(ProptestConfig::with_cases(CASES));
    let compared = runner.run(&case(), |case| {
        let verdict = decide(&case.facts());
        let (decision, code) = told(&verdict);
        prop_assert_eq!((decision, code), case.expected());
        if let Verdict::Review { detail }
        | Verdict::Denied { detail, .. }
        | Verdict::Failed { detail, .. } = &verdict
        {
            prop_assert!(!detail.is_empty());
        }
        given.borrow_mut().insert(code);
        Ok(())
    });
    compared.unwrap();
    let every: BTreeSet<_> = STEPS.into_iter().chain([POLICY_PASS]).collect();
    assert_eq!(given.into_inner(), every);
}
