//! Reading files of rules: every fault is collected, so that one start names them all.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::{Table, Value};

use super::{
    super::money,
    rules::{Code, Effect, Jurisdiction, Rule, RuleBook, Test},
};

/// Most rules and most jurisdictions of all files together.
const RULES_MAX: usize = 1000;
/// Most entries of a list in a rule.
const LIST_MAX: usize = 10_000;
/// The longest window, in hours: 30 days.
const WINDOW_HOURS_MAX: u32 = 720;
/// Most payments a structuring rule counts.
const COUNT_MAX: u32 = 1000;
/// The shortest name that may be looked for inside others.
const NAME_CHARS_MIN: usize = 4;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JurisdictionText {
    code: String,
    suffix_chars: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Threshold,
    Structuring,
    Parties,
    Currencies,
    Words,
    PersonalData,
}

#[derive(Deserialize)]
struct RuleText {
    id: String,
    #[serde(default)]
    description: String,
    jurisdictions: Vec<String>,
    kind: Kind,
    effect: Effect,
    confidence_percent: u8,
    /// What only some kinds have.
    #[serde(flatten)]
    rest: Table,
}

/// Reads a file over a book; what is wrong comes beside the book, which must not be used then.
pub(super) fn read(base: Option<RuleBook>, name: &str, text: &str) -> (RuleBook, Vec<String>) {
    let mut faults = Vec::new();
    let mut book = base.unwrap_or(RuleBook {
        version: String::new(),
        jurisdictions: Vec::new(),
        rules: Vec::new(),
    });
    let mut table: Table = match text.parse() {
        Ok(table) => table,
        Err(error) => return (book, vec![format!("{name}: {error}")]),
    };
    match table.remove("version") {
        Some(Value::String(version)) if !version.trim().is_empty() && book.version.is_empty() => {
            book.version = version;
        }
        Some(Value::String(version)) if !version.trim().is_empty() => {
            book.version = format!("{}+{version}", book.version);
        }
        _ => faults.push("version: must be a text that is not empty".to_owned()),
    }
    let declared = list(&mut table, "jurisdictions", &mut faults);
    let rules = list(&mut table, "rules", &mut faults);
    faults.extend(table.keys().map(|key| format!("{key}: is not known")));
    for (i, value) in declared.into_iter().enumerate() {
        match jurisdiction(value) {
            Ok(new) if book.jurisdictions.contains(&new) => {}
            Ok(new) => book.jurisdictions.push(new),
            Err(fault) => faults.push(format!("jurisdictions[{i}]: {fault}")),
        }
    }
    let mut ids = BTreeSet::new();
    for (i, value) in rules.into_iter().enumerate() {
        let place = value.get("id").and_then(Value::as_str);
        let place = place.map_or(format!("rules[{i}]"), |id| format!("rules[{i}] ({id})"));
        if let Some(rule) = rule(&book, value, &place, &mut faults) {
            if !ids.insert(rule.id.clone()) {
                faults.push(format!("{place}: stands twice in the file"));
            }
            match book.rules.iter_mut().find(|known| known.id == rule.id) {
                Some(known) => *known = rule,
                None => book.rules.push(rule),
            }
        }
    }
    check(&book, &mut faults);
    let faults = faults
        .into_iter()
        .map(|fault| format!("{name}: {fault}"))
        .collect();
    (book, faults)
}

/// A book as a whole.
fn check(book: &RuleBook, faults: &mut Vec<String>) {
    if book.rules.len() > RULES_MAX || book.jurisdictions.len() > RULES_MAX {
        faults.push(format!(
            "must have at most {RULES_MAX} rules and jurisdictions"
        ));
    }
    // A jurisdiction without rules would let everything pass.
    for Jurisdiction { code, .. } in &book.jurisdictions {
        let covers = |own: &Code| match code {
            Code::Exact(code) => own.covers(code),
            Code::Family(_) => own == code,
        };
        if !book
            .rules
            .iter()
            .any(|rule| rule.jurisdictions.iter().any(covers))
        {
            faults.push(format!(
                "jurisdiction {}: no rule is about it",
                written(code)
            ));
        }
    }
}

fn written(code: &Code) -> String {
    match code {
        Code::Exact(code) => code.clone(),
        Code::Family(beginning) => format!("{beginning}*"),
    }
}

fn list(table: &mut Table, key: &str, faults: &mut Vec<String>) -> Vec<Value> {
    match table.remove(key) {
        None => Vec::new(),
        Some(Value::Array(values)) => values,
        Some(_) => {
            faults.push(format!("{key}: must be a list of tables"));
            Vec::new()
        }
    }
}

fn code(text: &str) -> Option<Code> {
    let is_code = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_uppercase())
            && text
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    match text.strip_suffix('*') {
        Some(beginning) if beginning.ends_with('_') && is_code(beginning) => {
            Some(Code::Family(beginning.to_owned()))
        }
        None if is_code(text) && !text.ends_with('_') => Some(Code::Exact(text.to_owned())),
        _ => None,
    }
}

fn jurisdiction(value: Value) -> Result<Jurisdiction, String> {
    let text: JurisdictionText = value
        .try_into()
        .map_err(|error: toml::de::Error| error.message().to_owned())?;
    let code = code(&text.code).ok_or_else(|| {
        format!(
            "code {} must be upper-case letters, digits and _, with * after a last _ for a family",
            text.code
        )
    })?;
    if text.suffix_chars.is_some() && matches!(code, Code::Exact(_)) {
        return Err(format!(
            "suffix_chars is for families, {} is none",
            text.code
        ));
    }
    Ok(Jurisdiction {
        code,
        suffix_chars: text.suffix_chars,
    })
}

fn rule(book: &RuleBook, value: Value, place: &str, faults: &mut Vec<String>) -> Option<Rule> {
    let text: RuleText = match value.try_into() {
        Ok(text) => text,
        Err(error) => {
            let error: toml::de::Error = error;
            faults.push(format!("{place}: {}", error.message()));
            return None;
        }
    };
    let mut found = Vec::new();
    for (field, value) in [("id", &text.id), ("description", &text.description)] {
        if value.trim().is_empty() || value.chars().count() > 255 {
            found.push(format!("{field} must have 1 to 255 characters"));
        }
    }
    if !(1..=100).contains(&text.confidence_percent) {
        found.push("confidence_percent must be 1 to 100".to_owned());
    }
    if text.jurisdictions.is_empty() {
        found.push("jurisdictions must not be empty".to_owned());
    }
    let known = |code: &Code| match code {
        Code::Exact(exact) => book.knows(exact),
        Code::Family(_) => book.jurisdictions.iter().any(|known| known.code == *code),
    };
    let mut jurisdictions = Vec::new();
    for text in &text.jurisdictions {
        match code(text).filter(known) {
            Some(code) => jurisdictions.push(code),
            None => found.push(format!("jurisdictions: {text} is not declared")),
        }
    }
    let mut members = Members {
        members: text.rest,
        faults: &mut found,
    };
    let test = members.test(&text.kind);
    members.finish();
    let is_valid = found.is_empty();
    faults.extend(found.into_iter().map(|fault| format!("{place}: {fault}")));
    is_valid.then_some(Rule {
        id: text.id,
        description: text.description,
        jurisdictions,
        effect: text.effect,
        confidence_percent: text.confidence_percent,
        test,
    })
}

/// The members that depend on the kind.
struct Members<'f> {
    members: Table,
    faults: &'f mut Vec<String>,
}

impl Members<'_> {
    fn test(&mut self, kind: &Kind) -> Test {
        match kind {
            Kind::Threshold => Test::Threshold {
                amounts: self.amounts(),
            },
            Kind::Structuring => Test::Structuring {
                amounts: self.amounts(),
                margin_percent: u8::try_from(self.number("margin_percent", 50)).unwrap_or(u8::MAX),
                count: self.number("count", COUNT_MAX),
                window_hours: self.number("window_hours", WINDOW_HOURS_MAX),
            },
            Kind::Parties => Test::Parties {
                names: self.names(),
                partial_confidence_percent: self
                    .members
                    .contains_key("partial_confidence_percent")
                    .then(|| {
                        u8::try_from(self.number("partial_confidence_percent", 100))
                            .unwrap_or(u8::MAX)
                    }),
            },
            Kind::Currencies => self.currencies(),
            Kind::Words => {
                let words = self.texts("words", true);
                Test::Words {
                    words: words.iter().map(|word| word.to_lowercase()).collect(),
                }
            }
            Kind::PersonalData => Test::PersonalData,
        }
    }

    /// What is left belongs to another kind, or to none.
    fn finish(self) {
        let left = self.members.keys();
        self.faults
            .extend(left.map(|key| format!("{key} does not belong to this kind of rule")));
    }

    fn number(&mut self, key: &str, max: u32) -> u32 {
        let given = self
            .members
            .remove(key)
            .as_ref()
            .and_then(Value::as_integer);
        let number = given
            .and_then(|n| u32::try_from(n).ok())
            .filter(|n| (1..=max).contains(n));
        number.unwrap_or_else(|| {
            self.faults
                .push(format!("{key} must be a whole number from 1 to {max}"));
            1
        })
    }

    fn amounts(&mut self) -> BTreeMap<String, i64> {
        let Some(Value::Table(given)) = self.members.remove("amounts") else {
            self.faults
                .push("amounts must be a table of currencies and amounts".to_owned());
            return BTreeMap::new();
        };
        if given.is_empty() {
            self.faults.push("amounts must not be empty".to_owned());
        }
        let mut amounts = BTreeMap::new();
        for (currency, amount) in given {
            self.currency("amounts", &currency);
            let text = amount.as_str().unwrap_or_default();
            match money::parse_amount(text) {
                Ok(minor) => {
                    amounts.insert(currency, minor);
                }
                Err(fault) => self
                    .faults
                    .push(format!("amounts.{currency} {fault}, as a text")),
            }
        }
        amounts
    }

    fn currency(&mut self, key: &str, currency: &str) {
        if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_uppercase()) {
            self.faults.push(format!(
                "{key}: {currency} must be three upper-case letters"
            ));
        }
    }

    fn currencies(&mut self) -> Test {
        let (allowed, denied) = (self.texts("allowed", false), self.texts("denied", false));
        for currency in allowed.iter().chain(&denied) {
            self.currency("allowed and denied", currency);
        }
        if allowed.is_empty() && denied.is_empty() {
            self.faults
                .push("allowed or denied must name currencies".to_owned());
        }
        Test::Currencies { allowed, denied }
    }

    fn names(&mut self) -> Vec<String> {
        let names: Vec<String> = self
            .texts("parties", true)
            .iter()
            .map(|name| letters(name))
            .collect();
        if names
            .iter()
            .any(|name| name.chars().count() < NAME_CHARS_MIN)
        {
            self.faults.push(format!(
                "parties must have at least {NAME_CHARS_MIN} letters and digits each"
            ));
        }
        names
    }

    fn texts(&mut self, key: &str, is_required: bool) -> Vec<String> {
        let given = match self.members.remove(key) {
            Some(Value::Array(values)) => values,
            None if !is_required => return Vec::new(),
            _ => Vec::new(),
        };
        let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.trim().is_empty());
        if given.is_empty() || given.len() > LIST_MAX || !given.iter().all(is_text) {
            self.faults
                .push(format!("{key} must be a list of 1 to {LIST_MAX} texts"));
        }
        given
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    }
}

/// A name by its letters and digits alone, in lower case.
pub(super) fn letters(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}
