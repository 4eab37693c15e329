//! The compliance precheck: rules as data, one pure function over them, and predictions that are kept.
//!
//! What is promised: a payment whose policy asks for it is held against the rules of the policy's jurisdictions in its own
//! transaction, and what was found is stored with it. What the rules do not cover is for a human, never clear. `rules`
//! and `reading` hold the book, `evaluate` judges, `predictions` stores and reads.

mod evaluate;
mod predictions;
mod reading;
mod rules;

#[cfg(test)]
mod evaluate_tests;

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::{decision::PolicySnapshot, request::Payment};

pub use evaluate::{Assessment, Band, ComplianceVerdict, Finding, Status, Subject};
pub use predictions::{Prediction, PredictionRow, count_earlier, store_all};
pub use rules::{Effect, RuleBook};

/// A precheck to be made.
pub(super) struct Check<'a> {
    jurisdictions: &'a [String],
    pub(super) subject: Subject<'a>,
    /// What has to be counted for it.
    pub(super) bands: Vec<Band>,
}

impl<'a> Check<'a> {
    /// The precheck of a payment if its policy asks for it, for at least one jurisdiction.
    pub(super) fn new(
        book: &RuleBook,
        policy: Option<&'a PolicySnapshot>,
        subject: Subject<'a>,
    ) -> Option<Self> {
        let policy = policy.filter(|policy| policy.asks_for_precheck())?;
        let jurisdictions = policy.compliance_jurisdictions.as_slice();
        Some(Self {
            jurisdictions,
            bands: book.bands(jurisdictions, &subject),
            subject,
        })
    }

    /// Judges. `counts` are those of the bands, in their order.
    pub(super) fn assess(&self, book: &RuleBook, counts: &[i64]) -> Assessment {
        let bands = self.bands.iter().cloned();
        let counts: Vec<_> = bands.zip(counts.iter().copied()).collect();
        book.assess(self.jurisdictions, &self.subject, &counts)
    }

    /// Judges, and says so for the record; `counting` is how long the counts took.
    pub(super) fn predict(
        &self,
        book: &RuleBook,
        counts: &[i64],
        counting: Duration,
    ) -> Prediction {
        let started = Instant::now();
        let assessment = self.assess(book, counts);
        let elapsed = started.elapsed() + counting;
        Prediction {
            agent_id: self.subject.payer_agent_id.to_owned(),
            jurisdictions: self.jurisdictions.to_vec(),
            rules_version: book.version.clone(),
            assessment,
            processing_time_us: i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX),
        }
    }
}

/// Without the names of the organisations, which a payment does not know.
impl<'a> From<&'a Payment> for Subject<'a> {
    fn from(payment: &'a Payment) -> Self {
        let payee = payment.payee.as_ref();
        Self {
            payer_agent_id: &payment.agent_id,
            payee_agent_id: payee.map(|payee| payee.agent_id.as_str()),
            payee_org_id: payee.and_then(|payee| payee.other_org_id.as_deref()),
            payer_org_name: None,
            payee_org_name: None,
            amount_minor: payment.amount_minor,
            currency: &payment.currency,
            tx_type: &payment.tx_type,
            category: payment.category.as_deref(),
            description: payment.description.as_deref(),
            reference_id: payment.reference_id.as_deref(),
            metadata: &payment.metadata,
        }
    }
}

/// The start of a window.
fn since(now: DateTime<Utc>, window_hours: u32) -> DateTime<Utc> {
    now - TimeDelta::hours(i64::from(window_hours))
}

impl Assessment {
    /// The fact for the decision on the payment.
    pub fn verdict(&self) -> ComplianceVerdict {
        let detail = || {
            let findings = self.findings.iter();
            findings
                .map(|finding| finding.detail.as_str())
                .collect::<Vec<_>>()
                .join("; ")
        };
        match (self.status, self.needs_human) {
            (Status::Blocked, _) => ComplianceVerdict::Blocked { detail: detail() },
            (_, true) => ComplianceVerdict::Review { detail: detail() },
            (Status::Flagged, false) => ComplianceVerdict::Flagged,
            (Status::Clear, false) => ComplianceVerdict::Clear,
        }
    }
}
