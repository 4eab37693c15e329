//! Reads a query string (`application/x-www-form-urlencoded`) into the fields its names lead to.

use std::collections::HashSet;

use smallvec::SmallVec;

use super::{
    Parameter, ParameterProblem, Place, RequestFault,
    names::{MapValue, Names, Shape},
};
use crate::{
    codec::{Codec, is_number},
    percent,
};

/// The most parameters one query may have.
pub const MAX_QUERY_PARAMETERS: usize = 1_000;

/// What has been given so far.
#[derive(Default)]
pub(super) struct Given {
    singles: SmallVec<[usize; 16]>,
    keys: HashSet<(usize, String)>,
    /// Oneof and member.
    choices: SmallVec<[(usize, u32); 4]>,
}

impl Given {
    /// Refuses what contradicts something given before: on the wire the later would silently win.
    fn add(&mut self, parameter: &Parameter, key: Option<&str>) -> Result<(), ParameterProblem> {
        let number = parameter.number;
        let is_new = match (parameter.shape, key) {
            (Shape::Single, _) if self.singles.contains(&number) => false,
            (Shape::Single, _) => {
                self.singles.push(number);
                true
            }
            (Shape::Map(_), Some(key)) => self.keys.insert((number, key.to_owned())),
            (Shape::List | Shape::Map(_), _) => true,
        };
        if !is_new {
            return Err(ParameterProblem::Twice);
        }
        for choice in &parameter.choices {
            match self
                .choices
                .iter()
                .find(|(oneof, _)| *oneof == choice.oneof)
            {
                Some((_, member)) if *member != choice.member => {
                    return Err(ParameterProblem::OneofConflict {
                        oneof: choice.name.to_string(),
                    });
                }
                Some(_) => {}
                None => self.choices.push((choice.oneof, choice.member)),
            }
        }
        Ok(())
    }
}

/// Where parameters come from and which there are.
#[derive(Clone, Copy)]
pub(super) struct Source<'n> {
    pub(super) names: &'n Names,
    pub(super) place: Place,
    pub(super) is_strict: bool,
}

impl Source<'_> {
    /// Writes all of a query string or of a form.
    pub(super) fn write(
        self,
        codec: &Codec,
        query: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), RequestFault> {
        let mut given = Given::default();
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        for (index, pair) in pairs.enumerate() {
            if index == MAX_QUERY_PARAMETERS {
                return Err(RequestFault::TooManyParameters {
                    limit: MAX_QUERY_PARAMETERS,
                });
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = percent::decode_form(name);
            // A name that is no text is known only where it is a map's, and then its key must not be taken as it was sent.
            let value = decoded.as_ref().and_then(|_| percent::decode_form(value));
            let name = decoded.as_deref().unwrap_or(name);
            // What is unknown is ignored unread where the surface is lenient.
            self.one(codec, &mut given, name, value.as_deref(), out)?;
        }
        Ok(())
    }

    /// Writes one parameter; a value that is none is not UTF-8.
    pub(super) fn one(
        self,
        codec: &Codec,
        given: &mut Given,
        name: &str,
        value: Option<&str>,
        out: &mut Vec<u8>,
    ) -> Result<(), RequestFault> {
        let fail = |problem| RequestFault::parameter(self.place, name, problem);
        let Some((parameter, key)) = find(self.names, name) else {
            return match self.is_strict {
                true => Err(fail(ParameterProblem::Unknown)),
                false => Ok(()),
            };
        };
        let value = value.ok_or_else(|| fail(ParameterProblem::Utf8))?;
        given.add(parameter, key).map_err(fail)?;
        match (parameter.shape, key) {
            (Shape::Map(kind), Some(key)) => {
                codec.read_field_json(&parameter.field, &entry(kind, key, value), out)
            }
            (Shape::Single | Shape::List, None) => codec.read_text(&parameter.field, value, out),
            (Shape::Map(_), None) | (Shape::Single | Shape::List, Some(_)) => {
                return Err(fail(ParameterProblem::Key));
            }
        }
        .map_err(|fault| fail(ParameterProblem::Value(fault)))
    }
}

/// The parameter of a name, and the key if the name is `map[key]`.
fn find<'n, 't>(names: &'n Names, name: &'t str) -> Option<(&'n Parameter, Option<&'t str>)> {
    if let Some(parameter) = names.find(name) {
        return Some((parameter, None));
    }
    let (field, key) = name.strip_suffix(']')?.split_once('[')?;
    Some((names.find(field)?, Some(key)))
}

/// One entry of a map as JSON, which is how the codec reads maps.
fn entry(kind: MapValue, key: &str, value: &str) -> Vec<u8> {
    let is_bare = match kind {
        MapValue::Bool => matches!(value, "true" | "false"),
        // What is a number goes through as one, for enums and decimals; names, `NaN` and the rest are text.
        MapValue::Number => is_number(value.as_bytes()),
        MapValue::Text => false,
    };
    let mut json = Vec::with_capacity(key.len() + value.len() + 8);
    json.push(b'{');
    push_string(key, &mut json);
    json.push(b':');
    if is_bare {
        json.extend_from_slice(value.as_bytes());
    } else {
        push_string(value, &mut json);
    }
    json.push(b'}');
    json
}

/// A JSON string (RFC 8259, section 7).
fn push_string(text: &str, json: &mut Vec<u8>) {
    json.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => json.extend([b'\\', byte]),
            0x00..=0x1F => json.extend(format!("\\u{byte:04x}").bytes()),
            _ => json.push(byte),
        }
    }
    json.push(b'"');
}
