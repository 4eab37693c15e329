//! The two data files.
//!
//! A request is one line: method, target, headers behind ` | `, and the body behind ` > `. A decision is three lines: its
//! number with the request, then what Envoy and this gateway answer. A body behind `hex:` is bytes.

use std::fmt;

/// One request.
pub(crate) struct Case {
    pub(crate) text: String,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
}

/// One difference, and the row of the README's table that decides it.
pub(crate) struct Decision {
    pub(crate) id: String,
    pub(crate) request: String,
    pub(crate) envoy: String,
    pub(crate) pulpo: String,
}

impl Decision {
    pub(crate) fn is_same(&self, found: &Decision) -> bool {
        self.envoy == found.envoy && self.pulpo == found.pulpo
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} {}\n  envoy {}\n  pulpo {}",
            self.id, self.request, self.envoy, self.pulpo
        )
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

pub(crate) fn requests(text: &str) -> Vec<Case> {
    let case = |line: &str| {
        let (head, body) = match line.split_once(" > ") {
            Some((head, body)) => (head, Some(bytes(body))),
            None => (line, None),
        };
        let mut parts = head.split(" | ");
        let (method, target) = parts.next().unwrap().split_once(' ').unwrap();
        let mut headers: Vec<(String, String)> = parts
            .map(|header| header.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        if body.is_some() && headers.iter().all(|(name, _)| name != "content-type") {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        Case {
            text: line.to_owned(),
            method: method.to_owned(),
            target: target.to_owned(),
            headers: headers
                .into_iter()
                .filter(|(_, value)| value != "none")
                .collect(),
            body,
        }
    };
    lines(text).map(case).collect()
}

fn bytes(body: &str) -> Vec<u8> {
    let Some(digits) = body.strip_prefix("hex:") else {
        return body.as_bytes().to_vec();
    };
    let digits: Vec<u32> = digits.chars().filter_map(|c| c.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap())
        .collect()
}

pub(crate) fn decisions(text: &str) -> Vec<Decision> {
    let lines: Vec<&str> = lines(text).collect();
    let decision = |lines: &[&str]| {
        let [head, envoy, pulpo] = lines else {
            panic!("a decision has three lines: {lines:?}")
        };
        let (id, request) = head.split_once(' ').unwrap();
        Decision {
            id: id.to_owned(),
            request: request.to_owned(),
            envoy: envoy.strip_prefix("  envoy ").unwrap().to_owned(),
            pulpo: pulpo.strip_prefix("  pulpo ").unwrap().to_owned(),
        }
    };
    lines.chunks(3).map(decision).collect()
}
