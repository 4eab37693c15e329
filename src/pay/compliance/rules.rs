//! The rule book: what a rule may say, the shipped rules, and those an operator adds.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, ensure};

use super::reading;

/// The shipped rules.
const SHIPPED: &str = include_str!("rules.toml");
/// The largest file of rules, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Every rule in force.
#[derive(Clone, Debug)]
pub struct RuleBook {
    /// Versions of the files it was read from, joined by `+`; stored with each prediction.
    pub version: String,
    /// The jurisdictions a policy may name.
    pub(super) jurisdictions: Vec<Jurisdiction>,
    /// In the order of the files.
    pub(super) rules: Vec<Rule>,
}

/// A jurisdiction, or a family of them whose codes have a beginning in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Jurisdiction {
    pub(super) code: Code,
    /// How long the rest of a family's code is; any length when absent.
    pub(super) suffix_chars: Option<usize>,
}

/// The code of a jurisdiction, or the beginning of a family's codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// This one.
    Exact(String),
    /// All that begin so; written with a star at the end.
    Family(String),
}

/// What follows when a rule applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The payment passes, and is marked.
    Flag,
    /// The payment is denied.
    Block,
}

impl Effect {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Block => "block",
        }
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) id: String,
    /// What it found, as a sentence without its end.
    pub(super) description: String,
    pub(super) jurisdictions: Vec<Code>,
    pub(super) effect: Effect,
    /// How sure a finding of it is.
    pub(super) confidence_percent: u8,
    pub(super) test: Test,
}

/// What a rule looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// At or above an amount. Payments in other currencies cannot be judged.
    Threshold {
        /// By currency, in minor units.
        amounts: BTreeMap<String, i64>,
    },
    /// Several payments within a window that are below an amount by no more than a margin.
    Structuring {
        /// By currency, in minor units.
        amounts: BTreeMap<String, i64>,
        /// How far below, in percent of the amount.
        margin_percent: u8,
        /// How many payments, the one in question included.
        count: u32,
        /// Within how many hours.
        window_hours: u32,
    },
    /// An agent whose id, or an organisation whose id or name is one of these, by letters and digits alone.
    Parties {
        /// In lower case, without anything else.
        names: Vec<String>,
        /// How sure it is when a name is only contained; not looked at when absent.
        partial_confidence_percent: Option<u8>,
    },
    /// A currency that is denied, or is not among those allowed when there are any.
    Currencies {
        allowed: Vec<String>,
        denied: Vec<String>,
    },
    /// One of these words in type, category, description or reference.
    Words {
        /// In lower case.
        words: Vec<String>,
    },
    /// An e-mail address in description, reference or metadata.
    PersonalData,
}

impl Code {
    /// Whether a policy's code is this one, or of this family.
    pub(super) fn covers(&self, code: &str) -> bool {
        match self {
            Self::Exact(own) => own == code,
            Self::Family(beginning) => code.starts_with(beginning) && code.len() > beginning.len(),
        }
    }
}

impl RuleBook {
    /// The shipped rules.
    ///
    /// # Errors
    /// None, as a test makes sure.
    pub fn shipped() -> Result<Self> {
        let (book, faults) = reading::read(None, "shipped rules", SHIPPED);
        ensure!(faults.is_empty(), "{}", faults.join("\n"));
        Ok(book)
    }

    /// The shipped rules, and those of a file. A rule with the id of a shipped one takes its place.
    ///
    /// # Errors
    /// A file that cannot be read; faults in it, every one named.
    pub fn load(file: Option<&Path>) -> Result<Self> {
        let shipped = Self::shipped()?;
        let Some(file) = file else {
            return Ok(shipped);
        };
        let name = file.display().to_string();
        let context = || format!("cannot read the compliance rules in {name}");
        let size = std::fs::metadata(file).with_context(context)?.len();
        ensure!(
            size <= FILE_BYTES_MAX,
            "the compliance rules in {name} must have at most {FILE_BYTES_MAX} bytes"
        );
        let text = std::fs::read_to_string(file).with_context(context)?;
        Self::extended(shipped, &name, &text)
    }

    /// The book with the rules of a text over its own.
    pub(super) fn extended(self, name: &str, text: &str) -> Result<Self> {
        let (book, faults) = reading::read(Some(self), name, text);
        ensure!(
            faults.is_empty(),
            "the compliance rules are not valid:\n  {}",
            faults.join("\n  ")
        );
        Ok(book)
    }

    /// Whether a policy may name this code.
    pub fn knows(&self, code: &str) -> bool {
        self.jurisdictions.iter().any(|known| known.is_named(code))
    }

    /// Whether the rule of this id looks for payments that stay below a threshold together.
    pub fn is_structuring(&self, id: &str) -> bool {
        let rule = self.rules.iter().find(|rule| rule.id == id);
        rule.is_some_and(|rule| matches!(rule.test, Test::Structuring { .. }))
    }

    /// Whether some rule looks at payments under this code.
    pub(super) fn has_rules(&self, code: &str) -> bool {
        let covers = |rule: &Rule| rule.jurisdictions.iter().any(|own| own.covers(code));
        self.knows(code) && self.rules.iter().any(covers)
    }
}

impl Jurisdiction {
    fn is_named(&self, code: &str) -> bool {
        let Code::Family(beginning) = &self.code else {
            return self.code.covers(code);
        };
        let is_suffix = |rest: &str| {
            let is_code = |b: u8| {
                b.is_ascii_uppercase()
                    || b == b'_'
                    || (b.is_ascii_digit() && self.suffix_chars.is_none())
            };
            !rest.is_empty() && rest.bytes().all(is_code)
        };
        code.strip_prefix(beginning.as_str()).is_some_and(|rest| {
            is_suffix(rest) && self.suffix_chars.is_none_or(|chars| rest.len() == chars)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_rules_are_valid_and_cover_every_jurisdiction() {
        let book = RuleBook::shipped().unwrap();
        for code in [
            "US_FEDERAL",
            "US_STATE_NY",
            "EU_GDPR",
            "EU_PSD2",
            "UAE_CBUAE",
            "LATAM_BR",
        ] {
            assert!(book.knows(code) && book.has_rules(code), "{code}");
        }
        for code in [
            "",
            "US",
            "US_STATE_",
            "US_STATE_NYC",
            "US_STATE_N1",
            "UAE_",
            "uae_x",
            "MARS",
            "EU_GDPR_",
        ] {
            assert!(!book.knows(code), "{code}");
        }
    }

    #[test]
    fn a_file_adds_and_replaces() {
        let text = r#"
            version = "mine"
            [[jurisdictions]]
            code = "UK_FCA"
            [[rules]]
            id = "uk_words"
            description = "The purpose is restricted"
            jurisdictions = ["UK_FCA", "LATAM_*"]
            kind = "words"
            effect = "block"
            confidence_percent = 90
            words = ["Arms"]
            [[rules]]
            id = "us_federal_large_payment"
            description = "Large"
            jurisdictions = ["US_FEDERAL"]
            kind = "threshold"
            effect = "flag"
            confidence_percent = 80
            amounts = { USD = "3000.50" }
        "#;
        let shipped = RuleBook::shipped().unwrap();
        let book = shipped.clone().extended("mine.toml", text).unwrap();
        assert_eq!(book.version, format!("{}+mine", shipped.version));
        assert!(book.knows("UK_FCA") && book.has_rules("UK_FCA") && !shipped.knows("UK_FCA"));
        assert_eq!(book.rules.len(), shipped.rules.len() + 1);
        let large = |rule: &&Rule| rule.id == "us_federal_large_payment";
        let amounts = BTreeMap::from([("USD".to_owned(), 300_050)]);
        assert_eq!(
            book.rules.iter().find(large).unwrap().test,
            Test::Threshold { amounts }
        );
    }

    #[test]
    fn every_fault_is_named() {
        let text = r#"
            version = ""
            colour = "red"
            [[jurisdictions]]
            code = "uk"
            [[jurisdictions]]
            code = "UK_EMPTY"
            [[rules]]
            id = "a"
            jurisdictions = ["MARS"]
            kind = "threshold"
            effect = "flag"
            confidence_percent = 101
            amounts = { usd = "1", USD = "1.001" }
            [[rules]]
            id = "b"
            description = "b"
            jurisdictions = ["EU_PSD2"]
            kind = "structuring"
            effect = "flag"
            confidence_percent = 70
            amounts = { EUR = "1" }
            words = ["x"]
            [[rules]]
            id = "b"
            description = "b"
            jurisdictions = []
            kind = "personal_data"
            effect = "explode"
            confidence_percent = 70
        "#;
        let error = RuleBook::shipped()
            .unwrap()
            .extended("x.toml", text)
            .unwrap_err();
        let error = format!("{error:#}");
        for part in [
            "version",
            "colour",
            "uk",
            "UK_EMPTY",
            "MARS",
            "description",
            "confidence_percent",
            "usd",
            "two decimals",
            "margin_percent",
            "count",
            "window_hours",
            "words",
            "explode",
        ] {
            assert!(error.contains(part), "{part} is not named in:\n{error}");
        }
        let broken = RuleBook::shipped()
            .unwrap()
            .extended("x.toml", "version = ")
            .unwrap_err();
        assert!(format!("{broken:#}").contains("x.toml"));
    }
}
