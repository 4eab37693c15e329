//! The rules over one payment: values in, an assessment out.
//!
//! More findings never make an assessment milder: clear, flagged, flagged and to be seen by a human, blocked.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{
    super::money,
    reading::letters,
    rules::{Effect, Rule, RuleBook, Test},
};

/// Findings that are less sure than this are for a human to judge.
const HUMAN_BELOW_PERCENT: u8 = 80;
/// How sure it is to judge what the rules do not cover.
const UNKNOWN_PERCENT: u8 = 50;

/// What the rules look at.
#[derive(Clone, Debug, Default)]
pub struct Subject<'a> {
    /// The paying agent.
    pub payer_agent_id: &'a str,
    /// The receiving agent.
    pub payee_agent_id: Option<&'a str>,
    /// The receiving organisation, when it is another one.
    pub payee_org_id: Option<&'a str>,
    /// What the paying organisation is called.
    pub payer_org_name: Option<&'a str>,
    /// What the receiving organisation is called, when it is another one.
    pub payee_org_name: Option<&'a str>,
    /// The amount.
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: &'a str,
    /// As requested.
    pub tx_type: &'a str,
    /// As requested.
    pub category: Option<&'a str>,
    /// As requested.
    pub description: Option<&'a str>,
    /// As requested.
    pub reference_id: Option<&'a str>,
    /// As requested, as JSON.
    pub metadata: &'a str,
}

/// Earlier payments a rule wants counted: those of the payer in the payment's currency within the window, of at least
/// `from_minor` and less than `below_minor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Band {
    /// The place of the rule in the book.
    pub rule: usize,
    /// The smallest amount.
    pub from_minor: i64,
    /// The amount they stay below.
    pub below_minor: i64,
    /// How far back.
    pub window_hours: u32,
}

/// The verdict in the document's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Nothing was found.
    Clear,
    /// Something was found that lets the payment pass.
    Flagged,
    /// Something was found that does not.
    Blocked,
}

impl Status {
    /// As the document writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Flagged => "flagged",
            Self::Blocked => "blocked",
        }
    }
}

/// What the compliance precheck says of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ComplianceVerdict {
    /// Nothing was found.
    Clear,
    /// Something was found that lets the payment pass.
    Flagged,
    /// Something was found that is not sure enough to do without a human.
    Review {
        /// For people.
        detail: String,
    },
    /// Something was found that does not let it pass.
    Blocked {
        /// For people.
        detail: String,
    },
}

/// What one rule found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule.
    pub rule: String,
    /// The jurisdiction of the policy under which it applies.
    pub jurisdiction: String,
    /// What follows.
    pub effect: Effect,
    /// How sure it is.
    pub confidence_percent: u8,
    /// For people.
    pub detail: String,
}

/// The outcome of all rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// The verdict.
    pub status: Status,
    /// How sure it is: of the surest block, or else of the least sure finding; 100 without findings.
    pub confidence_percent: u8,
    /// Whether a human has to judge, because the confidence is too low.
    pub needs_human: bool,
    /// By rule, in the order of the book.
    pub findings: Vec<Finding>,
}

impl RuleBook {
    /// What has to be counted before [`RuleBook::assess`]; nothing for most payments.
    pub fn bands(&self, jurisdictions: &[String], subject: &Subject<'_>) -> Vec<Band> {
        let mut bands = Vec::new();
        for (place, rule) in self.rules.iter().enumerate() {
            if let Test::Structuring {
                amounts,
                margin_percent,
                window_hours,
                ..
            } = &rule.test
                && rule.applies(jurisdictions).is_some()
                && let Some(below_minor) = amounts.get(subject.currency).copied()
            {
                let margin = i128::from(below_minor) * i128::from(*margin_percent) / 100;
                let from_minor = below_minor - i64::try_from(margin).unwrap_or(below_minor);
                if (from_minor..below_minor).contains(&subject.amount_minor) {
                    bands.push(Band {
                        rule: place,
                        from_minor,
                        below_minor,
                        window_hours: *window_hours,
                    });
                }
            }
        }
        bands
    }

    /// Judges a payment under the jurisdictions of a policy. `counts` holds how many earlier payments each of
    /// [`RuleBook::bands`] has.
    pub fn assess(
        &self,
        jurisdictions: &[String],
        subject: &Subject<'_>,
        counts: &[(Band, i64)],
    ) -> Assessment {
        let mut findings = Vec::new();
        for (place, rule) in self.rules.iter().enumerate() {
            if let Some(jurisdiction) = rule.applies(jurisdictions) {
                let count = counts.iter().find(|(band, _)| band.rule == place);
                if let Some((confidence_percent, detail)) = rule.look(subject, count) {
                    findings.push(Finding {
                        rule: rule.id.clone(),
                        jurisdiction: jurisdiction.to_owned(),
                        effect: rule.effect,
                        confidence_percent,
                        detail,
                    });
                }
            }
        }
        // Of a jurisdiction that lost its rules nothing is known, which is not the same as nothing found.
        for code in jurisdictions.iter().filter(|code| !self.has_rules(code)) {
            findings.push(Finding {
                rule: "no_rules".to_owned(),
                jurisdiction: code.clone(),
                effect: Effect::Flag,
                confidence_percent: UNKNOWN_PERCENT,
                detail: format!("There are no rules for {code}"),
            });
        }
        conclude(findings)
    }
}

fn conclude(findings: Vec<Finding>) -> Assessment {
    let sure_block = findings
        .iter()
        .filter(|f| f.effect == Effect::Block && f.confidence_percent >= HUMAN_BELOW_PERCENT)
        .map(|f| f.confidence_percent)
        .max();
    let least = findings.iter().map(|f| f.confidence_percent).min();
    let (status, confidence_percent) = match (sure_block, least) {
        (Some(confidence), _) => (Status::Blocked, confidence),
        (None, Some(confidence)) => (Status::Flagged, confidence),
        (None, None) => (Status::Clear, 100),
    };
    Assessment {
        status,
        confidence_percent,
        needs_human: confidence_percent < HUMAN_BELOW_PERCENT,
        findings,
    }
}

impl Rule {
    /// The first of the jurisdictions it is about.
    fn applies<'j>(&self, jurisdictions: &'j [String]) -> Option<&'j str> {
        let is_own = |code: &&String| self.jurisdictions.iter().any(|own| own.covers(code));
        jurisdictions.iter().find(is_own).map(String::as_str)
    }

    /// How sure the finding is, and what it says; none when the rule is content.
    fn look(&self, subject: &Subject<'_>, count: Option<&(Band, i64)>) -> Option<(u8, String)> {
        let found = |said: String| {
            Some((
                self.confidence_percent,
                format!("{}: {said}", self.description),
            ))
        };
        let currency = subject.currency;
        match &self.test {
            Test::Threshold { amounts } => match amounts.get(currency) {
                Some(limit) if subject.amount_minor >= *limit => {
                    found(format!("{} or more", money::display(currency, *limit)))
                }
                Some(_) => None,
                None => Some((
                    UNKNOWN_PERCENT,
                    format!("{}: not known for {currency}", self.description),
                )),
            },
            Test::Structuring {
                count: least,
                window_hours,
                ..
            } => {
                let (band, earlier) = count?;
                let all = earlier.saturating_add(1);
                (all >= i64::from(*least)).then_some(())?;
                let below = money::display(currency, band.below_minor);
                found(format!(
                    "{all} payments just below {below} within {window_hours} hours"
                ))
            }
            Test::Parties {
                names,
                partial_confidence_percent,
            } => self.look_for_parties(subject, names, *partial_confidence_percent),
            Test::Currencies { allowed, denied } => {
                let is_in = |list: &[String]| list.iter().any(|one| one == currency);
                let is_wrong = is_in(denied) || (!allowed.is_empty() && !is_in(allowed));
                is_wrong.then_some(())?;
                found(currency.to_owned())
            }
            Test::Words { words } => {
                let texts = [
                    Some(subject.tx_type),
                    subject.category,
                    subject.description,
                    subject.reference_id,
                ];
                let text = texts
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join("\n")
                    .to_lowercase();
                let word = words.iter().find(|word| text.contains(word.as_str()))?;
                found(word.clone())
            }
            Test::PersonalData => {
                let texts = [subject.description, subject.reference_id];
                let is_found = texts.into_iter().flatten().any(has_address)
                    || has_address(&unescaped(subject.metadata));
                is_found.then_some(())?;
                found("an e-mail address".to_owned())
            }
        }
    }

    /// A whole id or organisation's name is a sure hit, a name inside one of them or a text an unsure one.
    fn look_for_parties(
        &self,
        subject: &Subject<'_>,
        names: &[String],
        partial: Option<u8>,
    ) -> Option<(u8, String)> {
        let parties = [
            Some(subject.payer_agent_id),
            subject.payee_agent_id,
            subject.payee_org_id,
            subject.payer_org_name,
            subject.payee_org_name,
        ];
        let parties: Vec<String> = parties.into_iter().flatten().map(letters).collect();
        if parties.iter().any(|party| names.contains(party)) {
            return Some((self.confidence_percent, self.description.clone()));
        }
        let partial = partial?;
        let texts = parties
            .into_iter()
            .chain(subject.description.map(letters))
            .chain(subject.reference_id.map(letters));
        let text = texts.collect::<Vec<_>>().join(" ");
        names
            .iter()
            .any(|name| text.contains(name.as_str()))
            .then(|| {
                (
                    partial.min(self.confidence_percent),
                    format!("{}: a name is similar", self.description),
                )
            })
    }
}

/// JSON text with what its escapes stand for, so that no spelling of a name or text hides what it says. Numbers stay as they
/// are, and quotes still part the texts. Half a surrogate pair stands for nothing that is looked for.
fn unescaped(json: &str) -> Cow<'_, str> {
    if !json.contains('\\') {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len());
    let mut chars = json.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        text.push(match chars.next() {
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok();
                code.and_then(char::from_u32)
                    .unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            Some('b' | 'f' | 'n' | 'r' | 't') | None => ' ',
            Some(own) => own,
        });
    }
    Cow::Owned(text)
}

/// Whether there is something like `name@host.tld`.
fn has_address(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
    text.match_indices('@').any(|(at, _)| {
        let before = text.get(..at).and_then(|t| t.chars().next_back());
        let host: String = text
            .get(at + 1..)
            .unwrap_or_default()
            .chars()
            .take(255)
            .take_while(|c| is_part(*c))
            .collect();
        let host = host.trim_end_matches('.');
        before.is_some_and(is_part)
            && host.rsplit_once('.').is_some_and(|(name, tld)| {
                !name.is_empty() && tld.len() >= 2 && tld.bytes().all(|b| b.is_ascii_alphabetic())
            })
    })
}
