//! A slow reading of the grammar of path templates: the text is taken apart with `split`, one rule after the other.

use percent_encoding::percent_decode_str;
use pulpo_gateway::template::{Segment, Template};

/// A template as the reference reads it. Segments are `*`, `**`, or a literal behind a `=`.
#[derive(Debug, PartialEq)]
pub(crate) struct Parsed {
    /// Segments from left to right.
    pub(crate) segments: Vec<String>,
    /// Field, first segment, segment behind the last, and whether the value may span several.
    pub(crate) variables: Vec<(String, usize, usize, bool)>,
    /// The verb, decoded.
    pub(crate) verb: Option<String>,
}

/// What the gateway read, in the reference's words.
pub(crate) fn of(template: &Template) -> Parsed {
    let segment = |segment: &Segment| match segment {
        Segment::Literal(text) => format!("={text}"),
        Segment::One => "*".to_owned(),
        Segment::Rest => "**".to_owned(),
    };
    let variables = template.variables().iter().map(|variable| {
        let segments = &variable.segments;
        (
            variable.field.to_string(),
            segments.start,
            segments.end,
            variable.is_multi,
        )
    });
    Parsed {
        segments: template.segments().iter().map(segment).collect(),
        variables: variables.collect(),
        verb: template.verb().map(str::to_owned),
    }
}

/// Reads a template; `None` where it is not one.
pub(crate) fn parse(text: &str) -> Option<Parsed> {
    let mut parsed = Parsed {
        segments: Vec::new(),
        variables: Vec::new(),
        verb: None,
    };
    if text.len() > 2048 || !text.starts_with('/') {
        return None;
    }
    if text == "/" {
        return Some(parsed);
    }
    let mut text = text.strip_suffix('/').unwrap_or(text).to_owned();
    let tail = text.rfind(['/', '}']).map_or(0, |at| at + 1);
    if let Some(colon) = text[tail..].rfind(':') {
        parsed.verb = Some(literal(&text[tail + colon + 1..]).filter(|verb| !verb.is_empty())?);
        text.truncate(tail + colon);
    }
    for part in outer_split(text.strip_prefix('/')?)? {
        let first = parsed.segments.len();
        let Some(inside) = part.strip_prefix('{') else {
            parsed.segments.push(segment(&part)?);
            continue;
        };
        let inside = inside.strip_suffix('}')?;
        let (field, pattern) = inside.split_once('=').unwrap_or((inside, "*"));
        if !field.split('.').all(is_identifier) {
            return None;
        }
        for part in pattern.split('/') {
            parsed.segments.push(segment(part)?);
        }
        let last = parsed.segments.len();
        let is_multi = last - first > 1 || parsed.segments.last().is_some_and(|s| s == "**");
        parsed
            .variables
            .push((field.to_owned(), first, last, is_multi));
    }
    let is_rest_early = parsed.segments.iter().rev().skip(1).any(|s| s == "**");
    let is_bound_twice = parsed.variables.iter().enumerate().any(|(n, (one, ..))| {
        let others = parsed.variables.iter().skip(n + 1);
        others.into_iter().any(|(other, ..)| {
            one == other
                || one.starts_with(&format!("{other}."))
                || other.starts_with(&format!("{one}."))
        })
    });
    (!is_rest_early && !is_bound_twice && parsed.segments.len() <= 64).then_some(parsed)
}

/// Splits at the slashes outside braces. `None` where braces do not pair up or nest.
fn outer_split(text: &str) -> Option<Vec<String>> {
    let mut parts = vec![String::new()];
    let mut is_inside = false;
    for c in text.chars() {
        match c {
            '/' if !is_inside => {
                parts.push(String::new());
                continue;
            }
            '{' | '}' if is_inside == (c == '{') => return None,
            '{' | '}' => is_inside = !is_inside,
            _ => {}
        }
        parts.last_mut()?.push(c);
    }
    (!is_inside).then_some(parts)
}

fn segment(text: &str) -> Option<String> {
    if text == "*" || text == "**" {
        return Some(text.to_owned());
    }
    let decoded = literal(text)?;
    (!matches!(decoded.as_str(), "" | "." | "..")).then(|| format!("={decoded}"))
}

fn literal(text: &str) -> Option<String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()+,;=:@%".contains(c);
    if !text.chars().all(is_allowed) || !is_whole(text) {
        return None;
    }
    Some(percent_decode_str(text).decode_utf8().ok()?.into_owned())
}

/// Whether every `%` has its two digits.
pub(crate) fn is_whole(text: &str) -> bool {
    let mut parts = text.split('%');
    parts.next();
    parts.all(|part| {
        let digits = part.bytes().take(2);
        digits.filter(u8::is_ascii_hexdigit).count() == 2
    })
}

fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
