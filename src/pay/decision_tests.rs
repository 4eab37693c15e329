//! The authorisation rules, one by one and as properties.

use proptest::prelude::*;

use super::{
    compliance::ComplianceVerdict,
    decision::{Counterparty, Facts, PolicySnapshot, Reason, Verdict, decide},
};

fn policy() -> PolicySnapshot {
    PolicySnapshot {
        id: "pol_1".to_owned(),
        org_id: "org_a".to_owned(),
        policy_name: "Default".to_owned(),
        agent_id: None,
        max_per_transaction_minor: Some(1_000_000),
        max_daily_minor: Some(5_000_000),
        max_monthly_minor: Some(50_000_000),
        currency: "USD".to_owned(),
        require_human_above_minor: Some(900_000),
        approved_counterparties: Vec::new(),
        blocked_counterparties: Vec::new(),
        allowed_categories: Vec::new(),
        compliance_precheck: true,
        compliance_jurisdictions: Vec::new(),
        version_id: 0,
    }
}

fn facts(policy: &PolicySnapshot) -> Facts<'_> {
    Facts {
        policy: Some(policy),
        payer_agent_id: "agent-a",
        amount_minor: 250_000,
        currency: "USD",
        daily_sum_minor: 0,
        monthly_sum_minor: 0,
        counterparty: Some(Counterparty {
            agent_id: "agent-b",
            receiver_policy: None,
            is_closed: false,
        }),
        category: Some("operations"),
        available_minor: Some(5_000_000),
        compliance: None,
        is_human_approved: false,
        is_escrow_over: false,
    }
}

fn denied(facts: &Facts<'_>) -> (Reason, String) {
    match decide(facts) {
        Verdict::Denied { reason, detail } => (reason, detail),
        Verdict::Review { detail } => (Reason::HumanRequired, detail),
        other => panic!("{other:?}: {facts:?}"),
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn what_equals_a_limit_passes() {
    let mut policy = policy();
    policy.require_human_above_minor = Some(1_000_000);
    let at_limits = Facts {
        amount_minor: 1_000_000,
        daily_sum_minor: 4_000_000,
        monthly_sum_minor: 49_000_000,
        ..facts(&policy)
    };
    assert_eq!(decide(&at_limits), Verdict::Approved);
    let daily = denied(&Facts {
        daily_sum_minor: 4_000_001,
        ..at_limits.clone()
    });
    assert_eq!(
        daily,
        (
            Reason::DailyLimitExceeded,
            "Daily spending limit of $50,000 exceeded".to_owned()
        )
    );
    let monthly = denied(&Facts {
        monthly_sum_minor: 49_000_001,
        ..at_limits.clone()
    });
    assert_eq!(
        monthly,
        (
            Reason::MonthlyLimitExceeded,
            "Monthly spending limit of $500,000 exceeded".to_owned()
        )
    );
    let single = denied(&Facts {
        amount_minor: 1_000_001,
        ..at_limits
    });
    assert_eq!(
        single,
        (
            Reason::AmountExceedsLimit,
            "Per-transaction limit of $10,000 exceeded".to_owned()
        )
    );
}

#[test]
fn no_limits_no_denial() {
    let mut policy = policy();
    policy.max_per_transaction_minor = None;
    policy.max_daily_minor = None;
    policy.max_monthly_minor = None;
    policy.require_human_above_minor = None;
    let huge = Facts {
        amount_minor: i64::MAX,
        daily_sum_minor: i64::MAX,
        monthly_sum_minor: i64::MAX,
        available_minor: Some(i64::MAX),
        ..facts(&policy)
    };
    assert_eq!(decide(&huge), Verdict::Approved);
}

#[test]
fn counterparties() {
    let mut policy = policy();
    policy.blocked_counterparties = names(&["agent-b"]);
    policy.approved_counterparties = names(&["agent-b"]);
    assert_eq!(denied(&facts(&policy)).0, Reason::CounterpartyBlocked);
    policy.blocked_counterparties.clear();
    assert_eq!(decide(&facts(&policy)), Verdict::Approved);
    policy.approved_counterparties = names(&["agent-c"]);
    assert_eq!(denied(&facts(&policy)).0, Reason::CounterpartyNotApproved);
    assert_eq!(
        denied(&Facts {
            counterparty: None,
            ..facts(&policy)
        })
        .0,
        Reason::CounterpartyNotApproved
    );

    let (own, mut receiver) = (
        super::decision_tests::policy(),
        super::decision_tests::policy(),
    );
    receiver.blocked_counterparties = names(&["agent-a"]);
    let mut across = facts(&own);
    across.counterparty = Some(Counterparty {
        agent_id: "agent-b",
        receiver_policy: Some(&receiver),
        is_closed: false,
    });
    assert_eq!(denied(&across).0, Reason::ReceiverCounterpartyBlocked);
    across.counterparty = Some(Counterparty {
        agent_id: "agent-b",
        receiver_policy: None,
        is_closed: true,
    });
    assert_eq!(denied(&across).0, Reason::CounterpartyBlocked);
}

#[test]
fn categories() {
    let mut policy = policy();
    policy.allowed_categories = names(&["treasury"]);
    assert_eq!(denied(&facts(&policy)).0, Reason::CategoryNotAllowed);
    assert_eq!(
        denied(&Facts {
            category: None,
            ..facts(&policy)
        })
        .0,
        Reason::CategoryNotAllowed
    );
    assert_eq!(
        decide(&Facts {
            category: Some("treasury"),
            ..facts(&policy)
        }),
        Verdict::Approved
    );
}

#[test]
fn what_a_human_the_precheck_and_escrow_ask_for() {
    let mut policy = policy();
    let above = Facts {
        amount_minor: 900_001,
        ..facts(&policy)
    };
    let detail = "Payments above $9,000 need a human's approval".to_owned();
    assert_eq!(decide(&above), Verdict::Review { detail });
    let approved = Facts {
        is_human_approved: true,
        ..above
    };
    assert_eq!(decide(&approved), Verdict::Approved);
    assert_eq!(
        denied(&Facts {
            daily_sum_minor: 5_000_000,
            ..approved
        })
        .0,
        Reason::DailyLimitExceeded
    );
    assert_eq!(
        decide(&Facts {
            amount_minor: 900_000,
            ..facts(&policy)
        }),
        Verdict::Approved
    );
    assert_eq!(
        denied(&Facts {
            is_escrow_over: true,
            ..facts(&policy)
        })
        .0,
        Reason::EscrowExpired
    );
    policy.compliance_jurisdictions = names(&["US_FEDERAL", "EU_GDPR"]);
    let (reason, detail) = denied(&facts(&policy));
    assert_eq!(reason, Reason::ComplianceDenied);
    assert_eq!(detail, "The compliance precheck was not made");
    let with = |compliance| Facts {
        compliance: Some(compliance),
        ..facts(&policy)
    };
    for passes in [ComplianceVerdict::Clear, ComplianceVerdict::Flagged] {
        assert_eq!(decide(&with(passes)), Verdict::Approved);
    }
    let detail = "Large".to_owned();
    let blocked = ComplianceVerdict::Blocked {
        detail: detail.clone(),
    };
    assert_eq!(
        denied(&with(blocked)),
        (Reason::ComplianceDenied, detail.clone())
    );
    let review = ComplianceVerdict::Review {
        detail: detail.clone(),
    };
    assert_eq!(denied(&with(review)), (Reason::HumanRequired, detail));
    policy.compliance_precheck = false;
    assert_eq!(decide(&facts(&policy)), Verdict::Approved);
}

#[test]
fn what_a_human_approved_fails_for_want_of_what_it_takes() {
    let mut policy = policy();
    policy.compliance_jurisdictions = names(&["US_FEDERAL"]);
    let [mut closed, mut poor, mut late] = [(); 3].map(|()| facts(&policy));
    closed.counterparty.as_mut().unwrap().is_closed = true;
    poor.available_minor = Some(249_999);
    late.is_escrow_over = true;
    for (mut lacking, wanted) in [
        (closed, Reason::CounterpartyBlocked),
        (poor, Reason::InsufficientFunds),
        (late, Reason::EscrowExpired),
    ] {
        lacking.compliance = Some(ComplianceVerdict::Clear);
        assert_eq!(denied(&lacking).0, wanted);
        lacking.is_human_approved = true;
        assert!(matches!(decide(&lacking), Verdict::Failed { reason, .. } if reason == wanted));
        // What forbids it counts before.
        lacking.compliance = None;
        assert_eq!(denied(&lacking).0, Reason::ComplianceDenied);
    }
}

/// Everything that can be wrong, in the order of the contract.
#[derive(Clone, Copy, Debug)]
struct Wrong([bool; 12]);

const ORDER: [Reason; 12] = [
    Reason::NoPolicy,
    Reason::AmountExceedsLimit,
    Reason::CurrencyMismatch,
    Reason::DailyLimitExceeded,
    Reason::MonthlyLimitExceeded,
    Reason::CounterpartyBlocked,
    Reason::ReceiverCounterpartyBlocked,
    Reason::CategoryNotAllowed,
    Reason::InsufficientFunds,
    Reason::HumanRequired,
    Reason::ComplianceDenied,
    Reason::EscrowExpired,
];

fn verdict(wrong: Wrong) -> Verdict {
    let [
        no_policy,
        single,
        currency,
        daily,
        monthly,
        blocked,
        receiver,
        category,
        funds,
        human,
        compliance,
        escrow,
    ] = wrong.0;
    let (mut policy, mut receiver_policy) = (policy(), policy());
    policy.max_per_transaction_minor = Some(if single { 1 } else { 1_000_000 });
    policy.blocked_counterparties = if blocked {
        names(&["agent-b"])
    } else {
        Vec::new()
    };
    receiver_policy.blocked_counterparties = if receiver {
        names(&["agent-a"])
    } else {
        Vec::new()
    };
    policy.allowed_categories = if category {
        names(&["other"])
    } else {
        Vec::new()
    };
    policy.require_human_above_minor = human.then_some(1);
    policy.compliance_jurisdictions = if compliance {
        names(&["US_FEDERAL"])
    } else {
        Vec::new()
    };
    let mut facts = facts(&policy);
    facts.currency = if currency { "EUR" } else { "USD" };
    facts.daily_sum_minor = if daily { 5_000_000 } else { 0 };
    facts.monthly_sum_minor = if monthly { 50_000_000 } else { 0 };
    facts.counterparty = Some(Counterparty {
        agent_id: "agent-b",
        receiver_policy: Some(&receiver_policy),
        is_closed: false,
    });
    facts.available_minor = if funds { None } else { Some(250_000) };
    facts.is_escrow_over = escrow;
    if no_policy {
        facts.policy = None;
    }
    decide(&facts)
}

proptest! {
    #[test]
    fn the_first_fault_decides(wrong in any::<[bool; 12]>()) {
        let expected = wrong.iter().position(|is_wrong| *is_wrong).map(|i| ORDER[i]);
        match (verdict(Wrong(wrong)), expected) {
            (Verdict::Approved, None) => {}
            (Verdict::Review { detail }, Some(Reason::HumanRequired)) => prop_assert!(!detail.is_empty()),
            (Verdict::Denied { reason, detail }, Some(expected)) => {
                prop_assert!(reason != Reason::HumanRequired);
                prop_assert_eq!(reason, expected);
                prop_assert!(!detail.is_empty());
            }
            (verdict, expected) => prop_assert!(false, "{verdict:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn an_approval_is_within_every_limit(
        amount_minor in 1..2_000_000_i64,
        daily_sum_minor in 0..6_000_000_i64,
        monthly_sum_minor in 0..60_000_000_i64,
        available_minor in proptest::option::of(0..2_000_000_i64),
    ) {
        let policy = policy();
        let facts = Facts { amount_minor, daily_sum_minor, monthly_sum_minor, available_minor, ..facts(&policy) };
        let within = amount_minor <= 900_000
            && daily_sum_minor + amount_minor <= 5_000_000
            && monthly_sum_minor + amount_minor <= 50_000_000
            && available_minor.is_some_and(|available| available >= amount_minor);
        prop_assert_eq!(decide(&facts) == Verdict::Approved, within);
    }

    #[test]
    fn payments_one_after_the_other_never_pass_a_limit_or_the_balance(amounts in proptest::collection::vec(1..2_000_000_i64, 1..60)) {
        let policy = policy();
        let (mut spent, mut available) = (0, 7_000_000);
        for amount_minor in amounts {
            let facts = Facts {
                amount_minor,
                daily_sum_minor: spent,
                monthly_sum_minor: spent,
                available_minor: Some(available),
                ..facts(&policy)
            };
            if decide(&facts) == Verdict::Approved {
                spent += amount_minor;
                available -= amount_minor;
            }
            prop_assert!(spent <= 5_000_000 && available >= 0);
            prop_assert_eq!(spent + available, 7_000_000);
        }
    }
}
