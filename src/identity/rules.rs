//! What names, addresses and passwords may look like; pure rules that name the field they refuse.

use crate::error::{Error, Result, Violation};

/// Longest email address, RFC 5321.
const MAX_EMAIL_BYTES: usize = 254;
/// Longest part before the `@`, RFC 5321.
const MAX_LOCAL_BYTES: usize = 64;
/// Longest slug without its suffix.
const MAX_SLUG_CHARS: usize = 48;

/// Collects every violation of a request, so that one answer names them all.
#[derive(Debug, Default)]
pub struct Checks(Vec<Violation>);

impl Checks {
    /// Notes a violation unless the condition holds.
    pub fn require(&mut self, holds: bool, field: &str, description: impl Into<String>) {
        if !holds {
            self.0.push(Violation {
                field: field.to_owned(),
                description: description.into(),
            });
        }
    }

    /// The number of characters must be in the range; white space at the ends does not count.
    pub fn length(&mut self, text: &str, min: usize, max: usize, field: &str) {
        let count = text.trim().chars().count();
        self.require(
            (min..=max).contains(&count),
            field,
            format!("must have {min} to {max} characters"),
        );
    }

    /// The address in lower case; noted as a violation when it is none.
    pub fn email(&mut self, text: &str, field: &str) -> String {
        let email = text.trim().to_lowercase();
        self.require(is_email(&email), field, "must be a valid email address");
        email
    }

    /// The error that names every violation, if there was one.
    pub fn finish(self) -> Result<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Error::invalid_fields(self.0))
        }
    }
}

/// One `@`, a local part, and a dotted host name; what only a mail server can know is not asked.
pub fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let is_local = |c: char| !c.is_whitespace() && !c.is_control() && !"\"(),:;<>@[\\]".contains(c);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    text.len() <= MAX_EMAIL_BYTES
        && (1..=MAX_LOCAL_BYTES).contains(&local.len())
        && local.chars().all(is_local)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && domain.contains('.')
        && domain.split('.').all(is_label)
}

/// A name as it can stand in an address: lower-case ASCII letters and digits, words joined by hyphens.
pub fn slug_of(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars().flat_map(char::to_lowercase) {
        if slug.len() >= MAX_SLUG_CHARS {
            break;
        }
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if c != '\'' && !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() {
        "organization".to_owned()
    } else {
        slug.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses() {
        for good in [
            "user@example.com",
            "a.b+c@x-y.co",
            "ünï@exämple.de",
            "o'neil@example.org",
        ] {
            assert!(is_email(good), "{good}");
        }
        let long = format!("{}@example.com", "x".repeat(65));
        for bad in [
            "",
            "user",
            "@example.com",
            "user@",
            "user@host",
            "a@b..c",
            "a b@example.com",
            "a@@example.com",
            ".a@example.com",
            "a..b@example.com",
            "a@-x.com",
            "a@x-.com",
            "a@x.c m",
            "<a@example.com>",
            "a@example.com\0",
            &long,
        ] {
            assert!(!is_email(bad), "{bad:?}");
        }
    }

    #[test]
    fn slugs() {
        for (name, slug) in [
            ("My Team", "my-team"),
            ("  Jane Doe's Workspace ", "jane-does-workspace"),
            ("a -- b", "a-b"),
            ("日本", "organization"),
            ("", "organization"),
        ] {
            assert_eq!(slug_of(name), slug, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn a_slug_fits_an_address(name in ".{0,200}") {
            let slug = slug_of(&name);
            prop_assert!((1..=MAX_SLUG_CHARS).contains(&slug.len()));
            prop_assert!(slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            prop_assert!(!slug.starts_with('-') && !slug.ends_with('-') && !slug.contains("--"));
            prop_assert_eq!(slug_of(&slug), slug);
        }

        #[test]
        fn an_address_has_a_local_part_and_a_host(text in ".{0,60}") {
            if is_email(&text) {
                prop_assert!(text.contains('@') && text.contains('.') && !text.contains(' '));
            }
        }
    }

    #[test]
    fn every_violation_is_named() {
        let mut checks = Checks::default();
        checks.email("nobody", "email");
        checks.length(" a ", 2, 200, "name");
        checks.length("fine", 2, 200, "other");
        let fields: Vec<_> = match checks.finish() {
            Err(error) => error.violations.into_iter().map(|v| v.field).collect(),
            Ok(()) => Vec::new(),
        };
        assert_eq!(fields, ["email", "name"]);
    }
}
