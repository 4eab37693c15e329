//! Path templates of `google.api.http` as OpenAPI writes paths.
//!
//! OpenAPI knows one kind of variable: a whole segment in braces. So
//! - `{name=shelves/*}` becomes `shelves/{name}`: the text around the wildcard stands in the path, and the parameter is
//!   the part a client chooses;
//! - `{name=shelves/*/books/*}` becomes `shelves/{name_1}/books/{name_2}`;
//! - a wildcard without a variable becomes `{segment_1}`;
//! - `**`, which takes the rest of the path with its slashes, is a parameter marked `x-multi-segment`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::template::{Segment, Template};

/// What RFC 3986 lets stand in a segment, but for the sub-delimiters that a tool may take for its own.
const IN_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// A path and its parameters, from left to right.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Path {
    pieces: Vec<Piece>,
    verb: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Parameter(PathParameter),
}

/// One variable segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PathParameter {
    /// Unique in its path.
    pub(super) name: String,
    /// The field as the template names it; nothing for a wildcard without a variable.
    pub(super) field: Option<String>,
    /// Whether the parameter is all of the field's value.
    pub(super) is_whole: bool,
    /// Whether it takes the rest of the path.
    pub(super) is_rest: bool,
}

impl Path {
    /// `printed` gives the surface's name of a field path.
    pub(super) fn new(template: &Template, printed: impl Fn(&str) -> String) -> Self {
        let mut pieces = Vec::new();
        let mut unbound = 0;
        for (index, segment) in template.segments().iter().enumerate() {
            if let Segment::Literal(text) = segment {
                let text = utf8_percent_encode(text, IN_SEGMENT).to_string();
                pieces.push(Piece::Text(text));
                continue;
            }
            let is_rest = *segment == Segment::Rest;
            let variable = template
                .variables()
                .iter()
                .find(|variable| variable.segments.contains(&index));
            let Some(variable) = variable else {
                unbound += 1;
                pieces.push(Piece::Parameter(PathParameter {
                    name: format!("segment_{unbound}"),
                    field: None,
                    is_whole: false,
                    is_rest,
                }));
                continue;
            };
            let wildcards: Vec<usize> = variable
                .segments
                .clone()
                .filter(|&at| !matches!(template.segments().get(at), Some(Segment::Literal(_))))
                .collect();
            let mut name = printed(&variable.field);
            if wildcards.len() > 1 {
                let place = wildcards.iter().position(|&at| at == index).unwrap_or(0);
                name = format!("{name}_{}", place + 1);
            }
            pieces.push(Piece::Parameter(PathParameter {
                name,
                field: Some(variable.field.to_string()),
                is_whole: variable.segments.len() == 1,
                is_rest,
            }));
        }
        let verb = template.verb().map_or_else(String::new, |verb| {
            format!(":{}", utf8_percent_encode(verb, IN_SEGMENT))
        });
        Self { pieces, verb }
    }

    /// The path as OpenAPI writes it.
    pub(super) fn text(&self) -> String {
        self.written(|parameter| &parameter.name)
    }

    /// The path without its parameters' names: two paths of one shape may not stand beside each other.
    pub(super) fn shape(&self) -> String {
        self.written(|_| "")
    }

    fn written<'p>(&'p self, name: impl Fn(&'p PathParameter) -> &'p str) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            text.push('/');
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Parameter(parameter) => {
                    text.push('{');
                    text.push_str(name(parameter));
                    text.push('}');
                }
            }
        }
        if text.is_empty() {
            text.push('/');
        }
        text + &self.verb
    }

    pub(super) fn parameters(&self) -> impl Iterator<Item = &PathParameter> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Parameter(parameter) => Some(parameter),
            Piece::Text(_) => None,
        })
    }

    /// Gives the parameters the names those of another path of the same shape have.
    pub(super) fn rename(&mut self, names: &[String]) {
        let parameters = self.pieces.iter_mut().filter_map(|piece| match piece {
            Piece::Parameter(parameter) => Some(parameter),
            Piece::Text(_) => None,
        });
        for (parameter, name) in parameters.zip(names) {
            parameter.name.clone_from(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(template: &str) -> String {
        let template = Template::parse(template).unwrap();
        Path::new(&template, |field| field.replace("_id", "Id")).text()
    }

    #[test]
    fn templates_are_written_as_openapi_has_them() {
        assert_eq!(path("/"), "/");
        assert_eq!(path("/v1/{wallet_id}"), "/v1/{walletId}");
        assert_eq!(path("/v1/{name=shelves/*}:move"), "/v1/shelves/{name}:move");
        assert_eq!(
            path("/v1/{name=shelves/*/books/*}"),
            "/v1/shelves/{name_1}/books/{name_2}"
        );
        assert_eq!(path("/v1/*/{path=**}"), "/v1/{segment_1}/{path}");
        assert_eq!(path("/v1/a%7Bb"), "/v1/a%7Bb");
    }
}
