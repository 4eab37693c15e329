//! From the parts of an HTTP request to the bytes of a request message, by the rule of one `google.api.http` binding.
//!
//! What it promises:
//!
//! - Everything that can be known about a binding is checked when the surface is built: [`Binder::compile`] refuses path
//!   variables, bodies and headers that name no field or one that cannot be filled from there.
//! - On the wire the body comes first, then query parameters, then headers, then the values of the path. A later scalar
//!   replaces an earlier one, so what the path says always holds.
//! - A field has one way in: what path, body or header fill is not a query parameter too.
//! - A parameter that is not known is an error that names it, or is ignored where the surface is lenient. A value that
//!   does not fit its field, and a single field given twice, are errors everywhere.
//!
//! `compile` checks rules and makes the tables, `names` lists the query parameters of a message, `query` reads them, `form`
//! reads forms by the same names, `fault` says what can be wrong.

mod compile;
mod fault;
mod form;
mod names;
mod query;

use http::{HeaderMap, HeaderName};

use crate::{
    codec::{Codec, FieldPath, MessageId},
    router::Captures,
    template::Template,
};

pub use fault::{BindFault, ParameterProblem, Place, RequestFault};
pub use names::{MAX_QUERY_DEPTH, MAX_QUERY_NAMES};
pub use query::MAX_QUERY_PARAMETERS;

use names::Parameter;

pub(crate) use form::{FileField, FormBinder, FormFields};

/// The parts of a `google.api.HttpRule` that decide where fields come from.
#[derive(Debug, Clone, Copy)]
pub struct BindRule<'a> {
    /// The path template.
    pub template: &'a Template,
    /// `body` of the rule: empty, `*` or a field.
    pub body: &'a str,
    /// `response_body` of the rule: empty or a field.
    pub response_body: &'a str,
    /// Whether a query parameter that is not known is an error.
    pub is_strict: bool,
    /// Whether the request is a stream of messages. What each holds then comes in a body or in frames, whatever the rule
    /// says of a body; one without is a WebSocket's, whose handshake is a GET.
    pub is_streaming: bool,
}

/// What the body of a request fills.
#[derive(Debug)]
pub enum Body {
    /// Nothing; the request has no body.
    None,
    /// The whole message.
    Message(MessageId),
    /// This field of it.
    Field(FieldPath),
}

impl Body {
    /// Whether the request has no body.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// A header that fills a field.
#[derive(Debug)]
pub struct HeaderBinding {
    /// The header.
    pub name: HeaderName,
    /// The field, at the top level of the request.
    pub field: FieldPath,
}

/// A field filled from the path.
#[derive(Debug)]
struct PathBinding {
    name: Box<str>,
    field: FieldPath,
}

/// The compiled binding of one route.
#[derive(Debug)]
pub struct Binder {
    /// By the index of the template's variable.
    path: Vec<PathBinding>,
    body: Body,
    response_body: Option<FieldPath>,
    headers: Vec<HeaderBinding>,
    query: names::Names,
    is_strict: bool,
}

impl Binder {
    /// What the body fills.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The field of the response that is the body of the reply; the whole response where it is `None`.
    pub fn response_body(&self) -> Option<&FieldPath> {
        self.response_body.as_ref()
    }

    /// The fields that query parameters fill, each by its name.
    pub(crate) fn query_fields(&self) -> impl Iterator<Item = &FieldPath> {
        self.query.fields()
    }

    /// The headers that fill fields.
    pub fn headers(&self) -> &[HeaderBinding] {
        &self.headers
    }

    /// Writes a whole request: body, query, headers and path, in the order in which the later wins.
    ///
    /// `body` is the JSON text, or `None` where the request has none; `query` is the text behind the `?`.
    ///
    /// # Errors
    /// The first part that does not fit. `out` is then to be thrown away.
    pub fn write(
        &self,
        codec: &Codec,
        body: Option<&[u8]>,
        query: Option<&str>,
        headers: &HeaderMap,
        captures: &Captures<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), RequestFault> {
        if let Some(json) = body {
            self.write_body(codec, json, out)?;
        }
        self.write_query(codec, query.unwrap_or_default(), out)?;
        self.write_headers(codec, headers, out)?;
        self.write_path(codec, captures, out)
    }

    /// Writes the body. A route without a body takes nothing from one.
    ///
    /// # Errors
    /// [`RequestFault::Body`] where the JSON does not fit.
    pub fn write_body(
        &self,
        codec: &Codec,
        json: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), RequestFault> {
        match &self.body {
            Body::None => Ok(()),
            Body::Message(message) => codec.read_json(*message, json, out),
            Body::Field(field) => codec.read_field_json(field, json, out),
        }
        .map_err(RequestFault::Body)
    }

    /// Writes the query parameters.
    ///
    /// # Errors
    /// The first parameter that does not fit, or their number.
    pub fn write_query(
        &self,
        codec: &Codec,
        query: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), RequestFault> {
        let source = query::Source {
            names: &self.query,
            place: Place::Query,
            is_strict: self.is_strict,
        };
        source.write(codec, query, out)
    }

    /// Writes the fields that headers fill. A header that is missing writes nothing, one that is repeated fills a
    /// repeated field.
    ///
    /// # Errors
    /// The first header that does not fit.
    pub fn write_headers(
        &self,
        codec: &Codec,
        headers: &HeaderMap,
        out: &mut Vec<u8>,
    ) -> Result<(), RequestFault> {
        for HeaderBinding { name, field } in &self.headers {
            let fail = |problem| {
                Err(RequestFault::parameter(
                    Place::Header,
                    name.as_str(),
                    problem,
                ))
            };
            let mut is_first = true;
            for value in headers.get_all(name) {
                if !is_first && !field.is_repeated() {
                    return fail(ParameterProblem::Twice);
                }
                is_first = false;
                let Ok(text) = str::from_utf8(value.as_bytes()) else {
                    return fail(ParameterProblem::Utf8);
                };
                codec
                    .read_text(field, text, out)
                    .or_else(|fault| fail(ParameterProblem::Value(fault)))?;
            }
        }
        Ok(())
    }

    /// Writes the values of the path.
    ///
    /// # Errors
    /// The first value that does not fit its field.
    pub fn write_path(
        &self,
        codec: &Codec,
        captures: &Captures<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), RequestFault> {
        // Captures come from the template that was compiled, so there is a binding for each.
        for (PathBinding { name, field }, value) in self.path.iter().zip(captures.values()) {
            codec.read_text(field, &value, out).map_err(|fault| {
                RequestFault::parameter(Place::Path, name, ParameterProblem::Value(fault))
            })?;
        }
        Ok(())
    }
}
