//! The shipped rules over examples, and properties of every outcome.

use proptest::prelude::*;

use super::{Assessment, Band, Effect, RuleBook, Status, Subject};

const CODES: [&str; 7] = [
    "US_FEDERAL",
    "US_STATE_NY",
    "EU_GDPR",
    "EU_PSD2",
    "UAE_CBUAE",
    "LATAM_BR",
    "GONE_LAND",
];

fn subject(amount_minor: i64, currency: &str) -> Subject<'_> {
    Subject {
        payer_agent_id: "agent-a",
        payee_agent_id: Some("agent-b"),
        amount_minor,
        currency,
        tx_type: "vendor_payment",
        metadata: "{}",
        ..Subject::default()
    }
}

fn judge(codes: &[&str], subject: &Subject<'_>, earlier: i64) -> Assessment {
    let book = RuleBook::shipped().unwrap();
    let codes: Vec<String> = codes.iter().map(|code| (*code).to_owned()).collect();
    let bands = book.bands(&codes, subject).into_iter();
    let counts: Vec<(Band, i64)> = bands.map(|band| (band, earlier)).collect();
    book.assess(&codes, subject, &counts)
}

fn outcome(codes: &[&str], subject: &Subject<'_>, earlier: i64) -> (Status, bool) {
    let judged = judge(codes, subject, earlier);
    (judged.status, judged.needs_human)
}

/// How severe an outcome is.
fn severity(assessment: &Assessment) -> (Status, bool) {
    (assessment.status, assessment.needs_human)
}

#[test]
fn ten_thousand_dollars_are_flagged_under_us_federal() {
    let us = &["US_FEDERAL"][..];
    assert_eq!(
        outcome(us, &subject(999_999, "USD"), 0),
        (Status::Clear, false)
    );
    let judged = judge(us, &subject(1_000_000, "USD"), 0);
    assert_eq!(
        (
            severity(&judged),
            judged.confidence_percent,
            judged.findings.len()
        ),
        ((Status::Flagged, false), 99, 1)
    );
    assert_eq!(
        judged.findings[0].detail,
        "Payments of this size are reported under the Bank Secrecy Act: $10,000 or more"
    );
    // A currency the rule does not know cannot be called clear.
    assert_eq!(
        outcome(us, &subject(100, "XAF"), 0),
        (Status::Flagged, true)
    );
}

#[test]
fn several_payments_just_below_are_for_a_human() {
    let us = &["US_FEDERAL"][..];
    let below = subject(950_000, "USD");
    assert_eq!(outcome(us, &below, 1), (Status::Clear, false));
    assert_eq!(outcome(us, &below, 2), (Status::Flagged, true));
    // Only what is just below looks back.
    let book = RuleBook::shipped().unwrap();
    let us = ["US_FEDERAL".to_owned()];
    for (amount_minor, bands) in [(849_999, 0), (850_000, 1), (999_999, 1), (1_000_000, 0)] {
        assert_eq!(
            book.bands(&us, &subject(amount_minor, "USD")).len(),
            bands,
            "{amount_minor}"
        );
    }
}

#[test]
fn sanctioned_names_block_and_similar_ones_are_for_a_human() {
    let us = &["US_FEDERAL"][..];
    let to = |name| Subject {
        payee_agent_id: Some(name),
        ..subject(100, "USD")
    };
    for name in ["garantex-europe", "Garantex Europe", "GARANTEX_EUROPE"] {
        assert_eq!(
            outcome(us, &to(name), 0),
            (Status::Blocked, false),
            "{name}"
        );
    }
    assert_eq!(
        outcome(us, &to("garantex-europe-2"), 0),
        (Status::Flagged, true)
    );
    let described = Subject {
        description: Some("for Hydra Market"),
        ..subject(100, "USD")
    };
    assert_eq!(outcome(us, &described, 0), (Status::Flagged, true));
    assert_eq!(
        outcome(us, &subject(100, "IRR"), 0),
        (Status::Blocked, false)
    );
}

#[test]
fn texts_are_looked_at() {
    let gdpr = &["EU_GDPR"][..];
    for (text, found) in [
        ("invoice for ada@example.com", true),
        ("a@b.co.", true),
        ("@handle and a@b", false),
        ("5 @ 3.50", false),
        ("é@example.com", false),
        ("", false),
    ] {
        let described = Subject {
            description: Some(text),
            ..subject(100, "USD")
        };
        let status = judge(gdpr, &described, 0).status;
        assert_eq!(status != Status::Clear, found, "{text}");
    }
    let bet = Subject {
        category: Some("Online Betting"),
        ..subject(100, "AED")
    };
    assert_eq!(outcome(&["UAE_DIFC"], &bet, 0), (Status::Blocked, false));
}

#[test]
fn no_spelling_of_json_hides_an_address() {
    for (metadata, found) in [
        (r#"{"m":"a@b.com"}"#, true),
        (r#"{"m":"a\u0040b.com"}"#, true),
        (r#"{"m":{"\u0061@b\u002Ecom":1e400}}"#, true),
        (r#"{"m":"\ud800 a\u0040b.com"}"#, true),
        (r#"{"m":"a\\u0040b.com"}"#, false),
        (r#"{"m":"\n@b.com"}"#, false),
        (r#"{"m":"a","n":"@b.com"}"#, false),
    ] {
        let kept = Subject {
            metadata,
            ..subject(100, "USD")
        };
        let status = judge(&["EU_GDPR"], &kept, 0).status;
        assert_eq!(status == Status::Flagged, found, "{metadata}");
    }
}

#[test]
fn a_jurisdiction_without_rules_is_never_clear() {
    assert_eq!(
        outcome(&["GONE_LAND"], &subject(100, "USD"), 0),
        (Status::Flagged, true)
    );
}

fn codes() -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(CODES.to_vec(), 1..=CODES.len())
}

fn currency() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec!["USD", "EUR", "AED", "BRL", "IRR", "XAF"])
}

proptest! {
    #[test]
    fn every_outcome_agrees_with_its_findings(
        codes in codes(), currency in currency(), amount in 1_i64..20_000_000, earlier in 0_i64..5, text in "\\PC{0,24}",
    ) {
        let subject = Subject { description: Some(&text), ..subject(amount, currency) };
        let judged = judge(&codes, &subject, earlier);
        prop_assert_eq!(judged.status == Status::Clear, judged.findings.is_empty());
        prop_assert_eq!(judged.needs_human, judged.confidence_percent < 80);
        prop_assert!(!(judged.needs_human && judged.status == Status::Blocked));
        let sure_block = judged.findings.iter().any(|f| f.effect == Effect::Block && f.confidence_percent >= 80);
        prop_assert_eq!(judged.status == Status::Blocked, sure_block);
        prop_assert!(judged.findings.iter().all(|f| codes.contains(&f.jurisdiction.as_str())));
        prop_assert_eq!(judge(&codes, &subject, earlier), judged);
    }

    #[test]
    fn more_jurisdictions_and_more_payments_are_never_milder(
        all in codes(), currency in currency(), amount in 1_i64..20_000_000, earlier in 0_i64..5,
    ) {
        let subject = subject(amount, currency);
        let whole = severity(&judge(&all, &subject, earlier));
        for code in &all {
            prop_assert!(severity(&judge(&[code], &subject, earlier)) <= whole);
        }
        prop_assert!(severity(&judge(&all, &subject, earlier + 1)) >= whole);
    }

    #[test]
    fn at_the_threshold_it_is_never_clear(currency in proptest::sample::select(vec!["USD", "EUR", "GBP", "XAF"]), amount in 1_350_000_i64..) {
        prop_assert_ne!(judge(&["US_FEDERAL"], &subject(amount, currency), 0).status, Status::Clear);
    }
}
