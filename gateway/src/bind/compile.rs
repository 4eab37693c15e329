//! Checks a rule against the messages it binds and works its tables out.

use http::HeaderName;
use prost_reflect::{FieldDescriptor, MessageDescriptor, ReflectMessage, Value};

use super::{BindFault, BindRule, Binder, Body, HeaderBinding, PathBinding, names::Names};
use crate::codec::{Codec, FieldPath, MessageId};

impl Binder {
    /// Compiles a rule for a method's request and response.
    ///
    /// # Errors
    /// Every fault of the rule, not only the first.
    pub fn compile(
        codec: &Codec,
        request: &MessageDescriptor,
        response: &MessageDescriptor,
        rule: &BindRule<'_>,
    ) -> Result<Self, Vec<BindFault>> {
        let input = Side::new(codec, request).map_err(|fault| vec![fault])?;
        let output = Side::new(codec, response).map_err(|fault| vec![fault])?;
        let mut faults = Vec::new();
        let mut kept = |fault| faults.push(fault);

        let mut path = Vec::new();
        for variable in rule.template.variables() {
            path.extend(input.path_binding(&variable.field).map_err(&mut kept));
        }
        let mut headers = Vec::new();
        for field in request.fields() {
            if let Some(header) = header_rule(&field) {
                headers.extend(input.header(&field, &header).map_err(&mut kept));
            }
        }
        let body = input
            .body(rule.body)
            .map_err(&mut kept)
            .unwrap_or(Body::None);
        let response_body = match rule.response_body {
            "" => None,
            name => output
                .top_level("response body", name)
                .map_err(&mut kept)
                .ok(),
        };
        if !faults.is_empty() {
            return Err(faults);
        }

        let mut taken: Vec<FieldPath> = path.iter().map(|binding| binding.field.clone()).collect();
        taken.extend(headers.iter().map(|binding| binding.field.clone()));
        let query = match &body {
            // All that the path leaves belongs to the body: nothing is left to give as a parameter.
            Body::Message(_) => Names::default(),
            Body::Field(field) => {
                taken.push(field.clone());
                Names::of_message(codec, input.id, request, &taken)
            }
            Body::None => Names::of_message(codec, input.id, request, &taken),
        };
        let body = match body {
            Body::None if rule.is_streaming => Body::Message(input.id),
            body => body,
        };
        Ok(Self {
            path,
            body,
            response_body,
            headers,
            query,
            is_strict: rule.is_strict,
        })
    }
}

/// The request or the response, as the codec knows it.
struct Side<'a> {
    codec: &'a Codec,
    id: MessageId,
}

impl<'a> Side<'a> {
    fn new(codec: &'a Codec, message: &MessageDescriptor) -> Result<Self, BindFault> {
        match codec.message(message.full_name()) {
            Some(id) => Ok(Self { codec, id }),
            None => Err(BindFault::UnknownMessage {
                message: message.full_name().to_owned(),
            }),
        }
    }

    fn field(&self, place: &'static str, path: &str) -> Result<FieldPath, BindFault> {
        let found = self.codec.field_path(self.id, path);
        found.map_err(|fault| BindFault::NoField {
            place,
            field: path.to_owned(),
            fault,
        })
    }

    fn path_binding(&self, path: &str) -> Result<PathBinding, BindFault> {
        let place = "path template";
        let field = self.field(place, path)?;
        if field.is_repeated() {
            return Err(BindFault::NotBindable {
                place,
                field: path.to_owned(),
                shape: "repeated",
            });
        }
        texts(place, path, &field)?;
        replaces(place, path, &field)?;
        Ok(PathBinding {
            name: path.into(),
            field,
        })
    }

    fn header(&self, declared: &FieldDescriptor, header: &str) -> Result<HeaderBinding, BindFault> {
        let place = "header rule";
        let Ok(name) = header.parse::<HeaderName>() else {
            return Err(BindFault::HeaderName {
                header: header.to_owned(),
                field: declared.name().to_owned(),
            });
        };
        let field = self.field(place, declared.name())?;
        texts(place, declared.name(), &field)?;
        replaces(place, declared.name(), &field)?;
        Ok(HeaderBinding { name, field })
    }

    fn body(&self, body: &str) -> Result<Body, BindFault> {
        match body {
            "" => Ok(Body::None),
            "*" => Ok(Body::Message(self.id)),
            name => self.top_level("body", name).map(Body::Field),
        }
    }

    fn top_level(&self, place: &'static str, name: &str) -> Result<FieldPath, BindFault> {
        if name.contains('.') {
            return Err(BindFault::NotTopLevel {
                place,
                field: name.to_owned(),
            });
        }
        self.field(place, name)
    }
}

/// Refuses a field that no text can fill.
fn texts(place: &'static str, path: &str, field: &FieldPath) -> Result<(), BindFault> {
    let shape = match field {
        _ if field.is_map() => "a map",
        _ if field.is_message() => "a message",
        _ => return Ok(()),
    };
    Err(BindFault::NotBindable {
        place,
        field: path.to_owned(),
        shape,
    })
}

/// Refuses a field mask where the body may give it too: what comes later on the wire has to replace what came before,
/// but the paths of a mask would be added to the body's.
fn replaces(place: &'static str, path: &str, field: &FieldPath) -> Result<(), BindFault> {
    if field.message_name() != Some("google.protobuf.FieldMask") {
        return Ok(());
    }
    Err(BindFault::NotBindable {
        place,
        field: path.to_owned(),
        shape: "a field mask",
    })
}

/// `header` of the field option `pulpo.options.v1.field`, where the pool knows the option and the field sets it.
fn header_rule(field: &FieldDescriptor) -> Option<String> {
    let option = field
        .parent_pool()
        .get_extension_by_name("pulpo.options.v1.field")?;
    let options = field.options();
    if option.containing_message() != options.descriptor() || !options.has_extension(&option) {
        return None;
    }
    let rule = options.get_extension(&option);
    match rule.as_message()?.get_field_by_name("header").as_deref() {
        Some(Value::String(header)) if !header.is_empty() => Some(header.clone()),
        _ => None,
    }
}
