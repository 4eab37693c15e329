//! The reasons of decisions, as the contract names them.

/// Why a payment was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No active policy applies.
    NoPolicy,
    /// The amount is not positive.
    InvalidAmount,
    /// Above the limit per payment.
    AmountExceedsLimit,
    /// The policy is in another currency.
    CurrencyMismatch,
    /// Above the limit of 24 hours.
    DailyLimitExceeded,
    /// Above the limit of 30 days.
    MonthlyLimitExceeded,
    /// The receiver is blocked, or its wallet is closed.
    CounterpartyBlocked,
    /// The receiver is not on the list of approved ones.
    CounterpartyNotApproved,
    /// The receiving organisation blocks the payer.
    ReceiverCounterpartyBlocked,
    /// The category is not on the list.
    CategoryNotAllowed,
    /// The wallet is missing or does not cover the amount.
    InsufficientFunds,
    /// A human has to approve.
    HumanRequired,
    /// A human did not approve.
    HumanDenied,
    /// No human answered in time.
    EscalationTimeout,
    /// The compliance check did not pass.
    ComplianceDenied,
    /// The escrow asked for would be over.
    EscrowExpired,
}

impl Reason {
    /// The `reason_code` of the contract.
    pub fn code(self) -> &'static str {
        match self {
            Reason::NoPolicy => "no_policy",
            Reason::InvalidAmount => "invalid_amount",
            Reason::AmountExceedsLimit => "amount_exceeds_limit",
            Reason::CurrencyMismatch => "currency_mismatch",
            Reason::DailyLimitExceeded => "daily_limit_exceeded",
            Reason::MonthlyLimitExceeded => "monthly_limit_exceeded",
            Reason::CounterpartyBlocked => "counterparty_blocked",
            Reason::CounterpartyNotApproved => "counterparty_not_approved",
            Reason::ReceiverCounterpartyBlocked => "receiver_counterparty_blocked",
            Reason::CategoryNotAllowed => "category_not_allowed",
            Reason::InsufficientFunds => "insufficient_funds",
            Reason::HumanRequired => "human_required",
            Reason::HumanDenied => "human_denied",
            Reason::EscalationTimeout => "escalation_timeout",
            Reason::ComplianceDenied => "compliance_denied",
            Reason::EscrowExpired => "escrow_expired",
        }
    }
}

/// The `reason_code` of an approval.
pub const POLICY_PASS: &str = "policy_pass";
