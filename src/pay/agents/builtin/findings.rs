//! What a scan keeps of its findings, and how it says so.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};

use crate::error::{Error, Result};

use super::{
    super::super::{
        compliance::{Assessment, Finding, RuleBook, Status},
        money, time,
    },
    fields::Period,
    scan::PaymentRow,
};

/// Payments that are listed, the newest of those with findings.
const LISTED_MAX: usize = 100;
/// Patterns that are listed.
const PATTERNS_MAX: usize = 50;

/// What was found so far.
pub(super) struct Findings {
    output: Output,
    by_rule: BTreeMap<String, u64>,
    /// By payer, currency and rule.
    patterns: BTreeMap<(String, String, String), Pattern>,
    /// Oldest first.
    listed: VecDeque<Listed>,
}

/// The output of the agent.
#[derive(Serialize)]
struct Output {
    period: Value,
    jurisdictions: Vec<String>,
    rules_version: String,
    scanned: usize,
    is_partial: bool,
    clear: usize,
    flagged: usize,
    blocked: usize,
    needs_human: usize,
    by_rule: Vec<Value>,
    structuring: Vec<Structuring>,
    findings: Vec<Listed>,
}

/// Payments at which it was found that they and earlier ones stay below a threshold together.
struct Pattern {
    count: u64,
    total_minor: i128,
    first_at: DateTime<Utc>,
    last_at: DateTime<Utc>,
}

#[derive(Serialize)]
struct Structuring {
    agent_id: String,
    currency: String,
    rule: String,
    flagged_payments: u64,
    flagged_total: Option<Box<RawValue>>,
    first_at: String,
    last_at: String,
}

/// A payment with findings.
#[derive(Serialize)]
struct Listed {
    transaction_id: String,
    agent_id: String,
    amount: Option<Box<RawValue>>,
    currency: String,
    created_at: String,
    verdict: &'static str,
    needs_human: bool,
    confidence_percent: u8,
    findings: Vec<Finding>,
}

impl Findings {
    pub(super) fn new(period: Period, jurisdictions: Vec<String>, rules_version: &str) -> Self {
        let output = Output {
            period: period.json(),
            jurisdictions,
            rules_version: rules_version.to_owned(),
            scanned: 0,
            is_partial: false,
            clear: 0,
            flagged: 0,
            blocked: 0,
            needs_human: 0,
            by_rule: Vec::new(),
            structuring: Vec::new(),
            findings: Vec::new(),
        };
        Self {
            output,
            by_rule: BTreeMap::new(),
            patterns: BTreeMap::new(),
            listed: VecDeque::new(),
        }
    }

    pub(super) fn scanned(&self) -> usize {
        self.output.scanned
    }

    /// Adds what was found in a payment; they come oldest first.
    pub(super) fn add(&mut self, row: &PaymentRow, assessment: &Assessment, rules: &RuleBook) {
        self.output.scanned += 1;
        match assessment.status {
            Status::Clear => self.output.clear += 1,
            Status::Flagged => self.output.flagged += 1,
            Status::Blocked => self.output.blocked += 1,
        }
        self.output.needs_human += usize::from(assessment.needs_human);
        for finding in &assessment.findings {
            *self.by_rule.entry(finding.rule.clone()).or_default() += 1;
            if rules.is_structuring(&finding.rule) {
                self.extend(row, &finding.rule);
            }
        }
        if assessment.findings.is_empty() {
            return;
        }
        if self.listed.len() == LISTED_MAX {
            self.listed.pop_front();
        }
        self.listed.push_back(listed(row, assessment));
    }

    /// Adds a payment to the pattern it completes or goes on with.
    fn extend(&mut self, row: &PaymentRow, rule: &str) {
        let key = (
            row.requesting_agent_id.clone(),
            row.currency.clone(),
            rule.to_owned(),
        );
        let pattern = self.patterns.entry(key).or_insert(Pattern {
            count: 0,
            total_minor: 0,
            first_at: row.created_at,
            last_at: row.created_at,
        });
        pattern.count += 1;
        pattern.total_minor += i128::from(row.amount_minor);
        pattern.last_at = row.created_at;
    }

    /// All of it as JSON.
    pub(super) fn json(self, is_partial: bool) -> Result<String> {
        let mut by_rule: Vec<_> = self.by_rule.into_iter().collect();
        by_rule.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
        let by_rule = by_rule
            .into_iter()
            .map(|(rule, count)| json!({"rule": rule, "count": count}));
        let mut patterns: Vec<_> = self.patterns.into_iter().collect();
        patterns.sort_by(|(a, m), (b, n)| n.count.cmp(&m.count).then_with(|| a.cmp(b)));
        let output = Output {
            is_partial,
            by_rule: by_rule.collect(),
            structuring: patterns
                .into_iter()
                .take(PATTERNS_MAX)
                .map(structuring)
                .collect(),
            findings: self.listed.into_iter().rev().collect(),
            ..self.output
        };
        serde_json::to_string(&output).map_err(Error::internal)
    }
}

fn structuring(
    ((agent_id, currency, rule), pattern): ((String, String, String), Pattern),
) -> Structuring {
    // Ten thousand payments of at most ten trillion stay within 64 bits.
    let total = i64::try_from(pattern.total_minor).unwrap_or(i64::MAX);
    Structuring {
        agent_id,
        currency,
        rule,
        flagged_payments: pattern.count,
        flagged_total: amount(total),
        first_at: time::text(pattern.first_at),
        last_at: time::text(pattern.last_at),
    }
}

fn listed(row: &PaymentRow, assessment: &Assessment) -> Listed {
    Listed {
        transaction_id: row.id.clone(),
        agent_id: row.requesting_agent_id.clone(),
        amount: amount(row.amount_minor),
        currency: row.currency.clone(),
        created_at: time::text(row.created_at),
        verdict: assessment.status.word(),
        needs_human: assessment.needs_human,
        confidence_percent: assessment.confidence_percent,
        findings: assessment.findings.clone(),
    }
}

/// The amount as a JSON number, exactly.
fn amount(minor: i64) -> Option<Box<RawValue>> {
    RawValue::from_string(money::format_minor(minor)).ok()
}
