//! Path templates of `google.api.http`, parsed once when a surface is built.
//!
//! The grammar is the one in the comment of `HttpRule` (`google/api/http.proto`):
//!
//! ```text
//! Template  = "/" Segments [ Verb ] ;
//! Segments  = Segment { "/" Segment } ;
//! Segment   = "*" | "**" | LITERAL | Variable ;
//! Variable  = "{" FieldPath [ "=" Segments ] "}" ;
//! FieldPath = IDENT { "." IDENT } ;
//! Verb      = ":" LITERAL ;
//! ```
//!
//! Three things go beyond it, each because servers need it: `/` alone is the root, one trailing slash is equal to none,
//! and a colon before the last segment is ordinary text. A LITERAL consists of the characters RFC 3986 allows in a
//! segment, without `*`; it is kept decoded, since it is compared with decoded segments.

use std::ops::Range;

use crate::percent;

/// The longest template in bytes.
pub const MAX_TEMPLATE_BYTES: usize = 2_048;

/// The most segments a template may have.
pub const MAX_TEMPLATE_SEGMENTS: usize = 64;

/// The template, and the path, without segments.
const ROOT: &str = "/";

/// One segment of a template.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// Exactly this text, percent-decoded.
    Literal(Box<str>),
    /// `*`: any one segment that is not empty.
    One,
    /// `**`: the rest of the path, which may be nothing.
    Rest,
}

/// A variable of a template: the field it fills and the segments it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The field path as written, for example `book.name`.
    pub field: Box<str>,
    /// The segments of the template, by index, that make up the value.
    pub segments: Range<usize>,
    /// Whether the value may span several segments, so that an escaped slash stays escaped in it.
    pub is_multi: bool,
}

/// A parsed path template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: Box<str>,
    segments: Vec<Segment>,
    variables: Vec<Variable>,
    verb: Option<Box<str>>,
}

/// What is wrong with a template, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {position}: {reason}")]
pub struct TemplateFault {
    /// Offset in the template, in bytes.
    pub position: usize,
    /// What is wrong there.
    pub reason: TemplateFaultReason,
}

/// The ways in which a template can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateFaultReason {
    /// The first character is not `/`.
    #[error("a path template starts with '/'")]
    NotAbsolute,
    /// Longer than [`MAX_TEMPLATE_BYTES`].
    #[error("a path template has at most {MAX_TEMPLATE_BYTES} bytes")]
    TooLong,
    /// More than [`MAX_TEMPLATE_SEGMENTS`].
    #[error("a path template has at most {MAX_TEMPLATE_SEGMENTS} segments")]
    TooManySegments,
    /// Nothing between two slashes.
    #[error("a segment is empty")]
    EmptySegment,
    /// `.` or `..`, which clients resolve before they send the path.
    #[error("a segment '.' or '..' never reaches a server")]
    DotSegment,
    /// A character the grammar has no place for.
    #[error("unexpected '{0}'")]
    Unexpected(char),
    /// A character that has to be percent-encoded in a literal.
    #[error("'{0}' has to be percent-encoded in a literal")]
    NotEncoded(char),
    /// A broken percent-escape in a literal.
    #[error("the literal '{0}' is not valid percent-encoding of UTF-8")]
    Escape(Box<str>),
    /// Something after `**`.
    #[error("'**' has to be the last segment")]
    AfterRest,
    /// A variable inside a variable.
    #[error("a variable must not contain another variable")]
    Nested,
    /// `{` without `}`.
    #[error("the variable is not closed by '}}'")]
    Unclosed,
    /// A field path that is not made of identifiers.
    #[error("a variable names a field: identifiers separated by dots")]
    FieldPath,
    /// Two variables that fill the same field, or a field and a part of it.
    #[error("the field '{0}' is bound already")]
    BoundTwice(Box<str>),
    /// A colon with nothing after it.
    #[error("a verb is empty")]
    EmptyVerb,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// The first place at which the text leaves the grammar.
    pub fn parse(text: &str) -> Result<Self, TemplateFault> {
        if text.len() > MAX_TEMPLATE_BYTES {
            return Err(fault(MAX_TEMPLATE_BYTES, TemplateFaultReason::TooLong));
        }
        Parser::new(text).run()
    }

    /// The template as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The segments from left to right, those of variables in their place. Empty for the root.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The variables from left to right. A capture refers to them by index.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// The verb, percent-decoded and without its colon.
    pub fn verb(&self) -> Option<&str> {
        self.verb.as_deref()
    }
}

struct Parser<'a> {
    text: &'a str,
    /// End of the segments: the colon of the verb, or the end of the text without its trailing slash.
    end: usize,
    at: usize,
    segments: Vec<Segment>,
    variables: Vec<Variable>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            end: text.len(),
            at: 0,
            segments: Vec::new(),
            variables: Vec::new(),
        }
    }

    fn run(mut self) -> Result<Template, TemplateFault> {
        if self.peek() != Some('/') {
            return Err(fault(0, TemplateFaultReason::NotAbsolute));
        }
        let verb = self.cut_verb()?;
        self.at = 1;
        if self.text != ROOT {
            self.segments()?;
        }
        Ok(Template {
            text: self.text.into(),
            segments: self.segments,
            variables: self.variables,
            verb,
        })
    }

    fn segments(&mut self) -> Result<(), TemplateFault> {
        loop {
            if self.peek() == Some('{') {
                self.variable()?;
            } else {
                self.segment()?;
            }
            match self.peek() {
                Some('/') => self.at += 1,
                Some(other) => return Err(fault(self.at, TemplateFaultReason::Unexpected(other))),
                None => return Ok(()),
            }
        }
    }

    /// Sets the trailing slash and the verb aside. The verb starts at the last colon behind the last slash and the last
    /// brace, as in grpc-gateway and Envoy.
    fn cut_verb(&mut self) -> Result<Option<Box<str>>, TemplateFault> {
        if self.end > 1 && self.text.ends_with('/') {
            self.end -= 1;
        }
        let body = self.text.get(..self.end).unwrap_or_default();
        let tail = body.rfind(['/', '}']).map_or(0, |at| at + 1);
        let Some(colon) = body
            .get(tail..)
            .and_then(|text| text.rfind(':'))
            .map(|at| tail + at)
        else {
            return Ok(None);
        };
        let verb = body.get(colon + 1..).unwrap_or_default();
        if verb.is_empty() {
            return Err(fault(colon, TemplateFaultReason::EmptyVerb));
        }
        self.end = colon;
        literal(verb, colon + 1).map(Some)
    }

    /// `*`, `**` or a literal.
    fn segment(&mut self) -> Result<(), TemplateFault> {
        let start = self.at;
        let rest = self.rest();
        let width = rest.find(['/', '{', '}', '*']).unwrap_or(rest.len());
        if width == 0 {
            return match (rest.starts_with("**"), self.peek()) {
                (true, _) => self.push(start, 2, Segment::Rest),
                (false, Some('*')) => self.push(start, 1, Segment::One),
                (false, Some('/') | None) => Err(fault(start, TemplateFaultReason::EmptySegment)),
                (false, Some(other)) => Err(fault(start, TemplateFaultReason::Unexpected(other))),
            };
        }
        let decoded = literal(rest.get(..width).unwrap_or_default(), start)?;
        if matches!(&*decoded, "." | "..") {
            return Err(fault(start, TemplateFaultReason::DotSegment));
        }
        self.push(start, width, Segment::Literal(decoded))
    }

    /// `{field.path}` or `{field.path=segments}`.
    fn variable(&mut self) -> Result<(), TemplateFault> {
        let opened_at = self.at;
        self.at += 1;
        let field = self.field_path()?;
        let first = self.segments.len();
        match self.peek() {
            Some('}') => self.push(self.at, 0, Segment::One)?,
            Some('=') => {
                self.at += 1;
                self.variable_segments(opened_at)?;
            }
            Some(other) => return Err(fault(self.at, TemplateFaultReason::Unexpected(other))),
            None => return Err(fault(opened_at, TemplateFaultReason::Unclosed)),
        }
        self.at += 1;
        let segments = first..self.segments.len();
        let is_multi = segments.len() > 1 || self.segments.last() == Some(&Segment::Rest);
        self.variables.push(Variable {
            field,
            segments,
            is_multi,
        });
        Ok(())
    }

    /// The segments of a variable up to its closing brace, which is left to be read.
    fn variable_segments(&mut self, opened_at: usize) -> Result<(), TemplateFault> {
        loop {
            match self.peek() {
                Some('{') => return Err(fault(self.at, TemplateFaultReason::Nested)),
                Some('}') => return Err(fault(self.at, TemplateFaultReason::EmptySegment)),
                None => return Err(fault(opened_at, TemplateFaultReason::Unclosed)),
                Some(_) => self.segment()?,
            }
            match self.peek() {
                Some('/') => self.at += 1,
                Some('}') => return Ok(()),
                Some('{') => return Err(fault(self.at, TemplateFaultReason::Nested)),
                Some(other) => return Err(fault(self.at, TemplateFaultReason::Unexpected(other))),
                None => return Err(fault(opened_at, TemplateFaultReason::Unclosed)),
            }
        }
    }

    fn field_path(&mut self) -> Result<Box<str>, TemplateFault> {
        let start = self.at;
        let rest = self.rest();
        let width = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.')))
            .unwrap_or(rest.len());
        let field = rest.get(..width).unwrap_or_default();
        if !field.split('.').all(is_identifier) {
            return Err(fault(start, TemplateFaultReason::FieldPath));
        }
        let bound = self
            .variables
            .iter()
            .any(|other| overlap(&other.field, field));
        if bound {
            return Err(fault(start, TemplateFaultReason::BoundTwice(field.into())));
        }
        self.at += width;
        Ok(field.into())
    }

    fn push(&mut self, start: usize, width: usize, segment: Segment) -> Result<(), TemplateFault> {
        if self.segments.last() == Some(&Segment::Rest) {
            return Err(fault(start, TemplateFaultReason::AfterRest));
        }
        if self.segments.len() == MAX_TEMPLATE_SEGMENTS {
            return Err(fault(start, TemplateFaultReason::TooManySegments));
        }
        self.segments.push(segment);
        self.at += width;
        Ok(())
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..self.end).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }
}

fn fault(position: usize, reason: TemplateFaultReason) -> TemplateFault {
    TemplateFault { position, reason }
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether one field path is the other or leads to it.
fn overlap(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() <= other.len() {
        (one, other)
    } else {
        (other, one)
    };
    long.strip_prefix(short)
        .is_some_and(|tail| tail.is_empty() || tail.starts_with('.'))
}

/// Checks the characters of a literal and decodes it.
fn literal(text: &str, start: usize) -> Result<Box<str>, TemplateFault> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()+,;=:@%".contains(c);
    if let Some((at, c)) = text.char_indices().find(|(_, c)| !is_allowed(*c)) {
        let reason = match c {
            '*' | '{' | '}' => TemplateFaultReason::Unexpected(c),
            _ => TemplateFaultReason::NotEncoded(c),
        };
        return Err(fault(start + at, reason));
    }
    percent::check(text).map_err(|_| fault(start, TemplateFaultReason::Escape(text.into())))?;
    Ok(percent::decode(text).into())
}
