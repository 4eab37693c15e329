//! Forms: fields are given by the names of query parameters, files by the name of the field that takes them.
//!
//! A file goes into a `pulpo.type.v1.File` with its name and media type, into a `google.api.HttpBody` with its media type, or
//! into a `bytes` field as it is.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use prost_reflect::{Kind, MessageDescriptor};

use super::{
    ParameterProblem, Place, RequestFault,
    names::{Choice, Names},
    query::{Given, MAX_QUERY_PARAMETERS, Source},
};
use crate::{
    codec::{Codec, FieldPath, MessageId},
    wire::put_bytes,
};

/// What a form fills: the request, or the field that is its body.
#[derive(Debug)]
pub(crate) struct FormBinder {
    names: Names,
    files: HashMap<Box<str>, FileField, RandomState>,
    /// The number of the request's field that the form is.
    within: Option<u32>,
    is_strict: bool,
}

/// A field that takes files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileField {
    number: u32,
    is_repeated: bool,
    kind: FileKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileKind {
    /// `pulpo.type.v1.File`: name 1, content_type 2, data 3.
    File,
    /// `google.api.HttpBody`: content_type 1, data 2.
    HttpBody,
    Bytes,
}

impl FormBinder {
    /// The form of an ordinary message. As in a JSON body, fields of the path may be given; the path wins.
    pub(crate) fn new(
        codec: &Codec,
        id: MessageId,
        message: &MessageDescriptor,
        is_strict: bool,
        within: Option<u32>,
    ) -> Self {
        let mut files = HashMap::default();
        for field in message.fields() {
            let kind = match field.kind() {
                Kind::Bytes => FileKind::Bytes,
                Kind::Message(m) if m.full_name() == "pulpo.type.v1.File" => FileKind::File,
                Kind::Message(m) if m.full_name() == "google.api.HttpBody" => FileKind::HttpBody,
                _ => continue,
            };
            if field.is_map() {
                continue;
            }
            let file = FileField {
                number: field.number(),
                is_repeated: field.is_list(),
                kind,
            };
            files.insert(field.name().into(), file);
            files.entry(field.json_name().into()).or_insert(file);
        }
        Self {
            names: Names::of_message(codec, id, message, &[]),
            files,
            within,
            is_strict,
        }
    }

    /// Whether any field takes a file.
    pub(crate) fn takes_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// Whether the field with this number takes one.
    pub(crate) fn takes_file(&self, number: u32) -> bool {
        self.files.values().any(|file| file.number == number)
    }

    /// The fields that texts fill, each by its name, with the oneofs on the way to it.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&FieldPath, &[Choice])> {
        self.names.fields_and_choices()
    }

    /// Whether a name that is not known is refused.
    pub(crate) fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// Writes a whole `application/x-www-form-urlencoded` body.
    pub(crate) fn write_urlencoded(
        &self,
        codec: &Codec,
        form: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), RequestFault> {
        let mut fields = Vec::new();
        self.source().write(codec, form, &mut fields)?;
        self.put(&fields, out);
        Ok(())
    }

    fn source(&self) -> Source<'_> {
        Source {
            names: &self.names,
            place: Place::Form,
            is_strict: self.is_strict,
        }
    }

    /// Writes what the form's message holds into the request.
    pub(crate) fn put(&self, fields: &[u8], out: &mut Vec<u8>) {
        match self.within {
            Some(number) if !fields.is_empty() => put_bytes(number, fields, out),
            Some(_) => {}
            None => out.extend_from_slice(fields),
        }
    }
}

/// What has come of one form, field by field.
#[derive(Default)]
pub(crate) struct FormFields {
    given: Given,
    files: Vec<u32>,
    count: usize,
}

impl FormFields {
    /// Writes a field given as text.
    pub(crate) fn field(
        &mut self,
        form: &FormBinder,
        codec: &Codec,
        name: &str,
        value: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), RequestFault> {
        self.count()?;
        let value = std::str::from_utf8(value).ok();
        form.source().one(codec, &mut self.given, name, value, out)
    }

    /// The field a file goes to. None where it is ignored; a second file for a field of one is refused.
    pub(crate) fn file(
        &mut self,
        form: &FormBinder,
        name: &str,
    ) -> Result<Option<FileField>, RequestFault> {
        self.count()?;
        let fail = |problem| Err(RequestFault::parameter(Place::Form, name, problem));
        let Some(&file) = form.files.get(name) else {
            let is_known = form.names.find(name).is_some();
            return match is_known || form.is_strict {
                true => fail(ParameterProblem::NoFile),
                false => Ok(None),
            };
        };
        if !file.is_repeated {
            if self.files.contains(&file.number) {
                return fail(ParameterProblem::Twice);
            }
            self.files.push(file.number);
        }
        Ok(Some(file))
    }

    fn count(&mut self) -> Result<(), RequestFault> {
        self.count += 1;
        if self.count > MAX_QUERY_PARAMETERS {
            return Err(RequestFault::TooManyParameters {
                limit: MAX_QUERY_PARAMETERS,
            });
        }
        Ok(())
    }
}

impl FileField {
    /// Writes a file, or a piece of one; only the first piece says its name and media type.
    pub(crate) fn put(
        self,
        name: Option<&str>,
        media_type: Option<&str>,
        data: &[u8],
        out: &mut Vec<u8>,
    ) {
        let (name, media_type) = (name.unwrap_or_default(), media_type.unwrap_or_default());
        let mut file = Vec::with_capacity(name.len() + media_type.len() + data.len() + 24);
        let mut put = |number, value: &[u8]| {
            if !value.is_empty() {
                put_bytes(number, value, &mut file);
            }
        };
        match self.kind {
            FileKind::File => {
                put(1, name.as_bytes());
                put(2, media_type.as_bytes());
                put(3, data);
            }
            FileKind::HttpBody => {
                put(1, media_type.as_bytes());
                put(2, data);
            }
            FileKind::Bytes => return put_bytes(self.number, data, out),
        }
        put_bytes(self.number, &file, out);
    }
}
