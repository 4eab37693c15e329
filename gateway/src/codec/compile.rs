//! From descriptors to tables: runs once per surface.
//!
//! Every message reachable from the roots is compiled; when one of them is an Any, every message of the pool is, since any
//! of them may travel in it. Groups have no JSON form in proto3 and are left out, as unknown fields are.

use std::collections::HashMap;

use prost_reflect::{
    Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind as Declared,
    MessageDescriptor, ReflectMessage, Value,
};

use super::table::{DENSE_MAX, Enum, Field, Form, Kind, Message, Names, Shape, Tables, TagBytes};
use super::wire::SIZED;
use crate::profile::{Absent, Enums, Integers, JsonProfile, Names as PrintedNames, Unknown};

/// Deeper nesting than this could overflow a thread's stack.
const DEPTH_MAX: u32 = 200;

pub(super) fn compile(
    pool: &DescriptorPool,
    mut profile: JsonProfile,
    roots: impl IntoIterator<Item = MessageDescriptor>,
) -> Tables {
    profile.max_depth = profile.max_depth.min(DEPTH_MAX);
    let mut compiler = Compiler {
        tables: Tables {
            messages: Vec::new(),
            enums: Vec::new(),
            ids: HashMap::default(),
            safe_integers: profile.integers == Integers::SafeNumbers,
            ignores_enums: profile.unknown_enums == Unknown::Ignore,
            profile,
        },
        enum_ids: HashMap::new(),
        queue: Vec::new(),
    };
    for root in roots {
        compiler.message(&root);
    }
    compiler.drain();
    if compiler
        .tables
        .messages
        .iter()
        .any(|message| message.form == Form::Any)
    {
        for message in pool
            .all_messages()
            .filter(|message| !message.is_map_entry())
        {
            compiler.message(&message);
        }
        compiler.drain();
    }
    compiler.tables
}

struct Compiler {
    tables: Tables,
    enum_ids: HashMap<String, u32>,
    /// Messages that have an id and are not compiled yet: a queue, not recursion, as schemas may be nested at will.
    queue: Vec<(u32, MessageDescriptor)>,
}

impl Compiler {
    fn message(&mut self, descriptor: &MessageDescriptor) -> u32 {
        if let Some(&id) = self.tables.ids.get(descriptor.full_name()) {
            return id;
        }
        let id = self.tables.messages.len() as u32;
        self.tables.ids.insert(descriptor.full_name().into(), id);
        self.tables
            .messages
            .push(Message::placeholder(descriptor.full_name()));
        self.queue.push((id, descriptor.clone()));
        id
    }

    fn drain(&mut self) {
        while let Some((id, descriptor)) = self.queue.pop() {
            let message = self.compiled(&descriptor);
            self.tables.messages[id as usize] = message;
        }
    }

    fn compiled(&mut self, descriptor: &MessageDescriptor) -> Message {
        let oneofs: Vec<_> = descriptor
            .oneofs()
            .filter(|oneof| !oneof.is_synthetic())
            .collect();
        let mut fields: Vec<Field> = descriptor
            .fields()
            .filter(|field| !field.is_group())
            .map(|field| {
                let oneof = field
                    .containing_oneof()
                    .and_then(|oneof| oneofs.iter().position(|other| *other == oneof))
                    .map(|index| index as u32);
                self.field(&field, oneof)
            })
            .collect();
        fields.sort_by_key(|field| field.number);
        let mut message = Message::placeholder(descriptor.full_name());
        message.form = form(descriptor, &fields);
        message.names = names(&fields, descriptor);
        message.fills = fields.iter().any(|field| field.absent.is_some());
        message.oneofs = oneofs.iter().map(|oneof| oneof.name().into()).collect();
        message.fields = fields.into();
        message.index_numbers();
        message
    }

    fn field(&mut self, field: &FieldDescriptor, oneof: Option<u32>) -> Field {
        let (kind, shape) = self.kind_and_shape(field);
        let implicit = !field.supports_presence();
        let printed = match self.tables.profile.names {
            PrintedNames::Camel => field.json_name(),
            PrintedNames::Proto => field.name(),
        };
        let key = [&b","[..], &quoted(printed), b":"].concat();
        let wire_type = if shape == Shape::PackedList {
            SIZED
        } else {
            kind.wire_type()
        };
        let absent = self.absent(field, kind, shape, implicit, oneof);
        Field {
            number: field.number(),
            kind,
            shape,
            implicit,
            oneof,
            printed: printed.into(),
            proto_name: field.name().into(),
            absent: absent.map(|value| [&key[1..], value.as_slice()].concat().into()),
            key: key.into(),
            tag: TagBytes::new(field.number(), wire_type),
            wire_types: shape.wire_types(kind),
        }
    }

    fn kind_and_shape(&mut self, field: &FieldDescriptor) -> (Kind, Shape) {
        let declared = field.kind();
        if let (true, Some(entry)) = (field.is_map(), declared.as_message()) {
            let key = self.kind(&entry.map_entry_key_field());
            let value = self.kind(&entry.map_entry_value_field());
            // The entry itself is never looked up; any sized kind gives the right wire type.
            return (Kind::Bytes, Shape::Map { key, value });
        }
        let shape = match field.cardinality() {
            Cardinality::Repeated if field.is_packed() => Shape::PackedList,
            Cardinality::Repeated => Shape::List,
            _ => Shape::Single,
        };
        (self.kind(field), shape)
    }

    fn kind(&mut self, field: &FieldDescriptor) -> Kind {
        match field.kind() {
            Declared::Double => Kind::Double,
            Declared::Float => Kind::Float,
            Declared::Int32 => Kind::Int32,
            Declared::Int64 => Kind::Int64,
            Declared::Uint32 => Kind::Uint32,
            Declared::Uint64 => Kind::Uint64,
            Declared::Sint32 => Kind::Sint32,
            Declared::Sint64 => Kind::Sint64,
            Declared::Fixed32 => Kind::Fixed32,
            Declared::Fixed64 => Kind::Fixed64,
            Declared::Sfixed32 => Kind::Sfixed32,
            Declared::Sfixed64 => Kind::Sfixed64,
            Declared::Bool => Kind::Bool,
            Declared::String => Kind::String,
            Declared::Bytes => Kind::Bytes,
            Declared::Enum(descriptor) if descriptor.full_name() == "google.protobuf.NullValue" => {
                Kind::Null
            }
            Declared::Enum(descriptor) => Kind::Enum(self.enumeration(&descriptor)),
            Declared::Message(descriptor) => Kind::Message(self.message(&descriptor)),
        }
    }

    /// The value printed for an absent field. The field's own rule comes before the profile; oneof members have none.
    fn absent(
        &self,
        field: &FieldDescriptor,
        kind: Kind,
        shape: Shape,
        implicit: bool,
        oneof: Option<u32>,
    ) -> Option<Vec<u8>> {
        if oneof.is_some() {
            return None;
        }
        match absent_rule(field) {
            Some(Absent::Omit) => None,
            Some(Absent::Null) => Some(b"null".to_vec()),
            None if implicit && self.tables.profile.print_defaults => {
                Some(self.default_text(kind, shape))
            }
            None if implicit => None,
            None if self.tables.profile.absent == Absent::Null => Some(b"null".to_vec()),
            None => None,
        }
    }

    pub(super) fn default_text(&self, kind: Kind, shape: Shape) -> Vec<u8> {
        match shape {
            Shape::Single => default_text(&self.tables, kind),
            Shape::List | Shape::PackedList => b"[]".to_vec(),
            Shape::Map { .. } => b"{}".to_vec(),
        }
    }

    fn enumeration(&mut self, descriptor: &EnumDescriptor) -> u32 {
        if let Some(&id) = self.enum_ids.get(descriptor.full_name()) {
            return id;
        }
        let id = self.tables.enums.len() as u32;
        self.enum_ids.insert(descriptor.full_name().to_owned(), id);
        self.tables
            .enums
            .push(enumeration(descriptor, self.tables.profile.enums));
        id
    }
}

/// The printed default of a scalar.
pub(super) fn default_text(tables: &Tables, kind: Kind) -> Vec<u8> {
    match kind {
        Kind::String | Kind::Bytes => b"\"\"".to_vec(),
        Kind::Bool => b"false".to_vec(),
        Kind::Null | Kind::Message(_) => b"null".to_vec(),
        Kind::Enum(id) => tables.enumeration(id).printed(0).unwrap_or(b"0").to_vec(),
        Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64
            if tables.profile.integers == Integers::Strings =>
        {
            b"\"0\"".to_vec()
        }
        _ => b"0".to_vec(),
    }
}

fn enumeration(descriptor: &EnumDescriptor, printed: Enums) -> Enum {
    let prefix = screaming_snake(descriptor.name());
    let mut names: HashMap<Box<[u8]>, i32, _> = HashMap::default();
    let mut sparse: HashMap<i32, Box<[u8]>, _> = HashMap::default();
    // In the order of declaration: of several names for one number the first is printed.
    let declared = &descriptor.enum_descriptor_proto().value;
    for (name, number) in declared.iter().map(|value| (value.name(), value.number())) {
        let text = match printed {
            Enums::Names | Enums::Numbers => name.to_owned(),
            Enums::Lower => name.to_ascii_lowercase(),
            Enums::WithoutPrefix => without_prefix(name, &prefix).to_owned(),
            Enums::LowerWithoutPrefix => without_prefix(name, &prefix).to_ascii_lowercase(),
        };
        if printed != Enums::Numbers {
            sparse.entry(number).or_insert_with(|| quoted(&text).into());
        }
        names.entry(text.into_bytes().into()).or_insert(number);
    }
    for value in declared {
        names
            .entry(value.name().as_bytes().into())
            .or_insert(value.number());
    }
    let dense_end = sparse
        .keys()
        .filter(|&&number| (0..DENSE_MAX as i32).contains(&number))
        .max()
        .map(|max| max + 1);
    let dense = (0..dense_end.unwrap_or(0))
        .map(|number| sparse.remove(&number))
        .collect();
    Enum {
        names,
        dense,
        sparse,
    }
}

/// `STATUS_ACTIVE` without `STATUS_`, unless nothing or a digit would be left in front.
fn without_prefix<'n>(name: &'n str, prefix: &str) -> &'n str {
    match name
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
    {
        Some(rest) if rest.starts_with(|first: char| first.is_ascii_alphabetic()) => rest,
        _ => name,
    }
}

fn screaming_snake(name: &str) -> String {
    let mut text = String::new();
    let mut previous = '_';
    let mut rest = name.chars().peekable();
    while let Some(c) = rest.next() {
        let word_starts = c.is_ascii_uppercase()
            && previous != '_'
            && (!previous.is_ascii_uppercase()
                || rest.peek().is_some_and(char::is_ascii_lowercase));
        if word_starts {
            text.push('_');
        }
        text.push(c.to_ascii_uppercase());
        previous = c;
    }
    text
}

/// Printed names win over the other spelling where one field's JSON name is another's proto name.
fn names(fields: &[Field], descriptor: &MessageDescriptor) -> Names {
    let mut names = Names::default();
    for (index, field) in (0..).zip(fields) {
        names
            .entry(field.printed.as_bytes().into())
            .or_insert(index);
    }
    for (index, field) in (0..).zip(fields) {
        names
            .entry(field.proto_name.as_bytes().into())
            .or_insert(index);
        if let Some(declared) = descriptor.get_field(field.number) {
            names
                .entry(declared.json_name().as_bytes().into())
                .or_insert(index);
        }
    }
    names
}

/// Own JSON forms go by full name, and only where the fields are the ones the form needs.
fn form(descriptor: &MessageDescriptor, fields: &[Field]) -> Form {
    let message_at = |number: u32| match fields.iter().find(|field| field.number == number)?.kind {
        Kind::Message(id) => Some(id),
        _ => None,
    };
    let only = fields
        .first()
        .filter(|field| fields.len() == 1 && field.number == 1);
    match descriptor.full_name() {
        "google.protobuf.Empty" => Form::Empty,
        "google.protobuf.Any" => Form::Any,
        "google.protobuf.Timestamp" => Form::Timestamp,
        "google.protobuf.Duration" => Form::Duration,
        "google.protobuf.FieldMask" => Form::FieldMask,
        "google.protobuf.Struct"
            if only.is_some_and(|field| matches!(field.shape, Shape::Map { .. })) =>
        {
            Form::Struct
        }
        "google.protobuf.ListValue" if only.is_some_and(|field| field.shape == Shape::List) => {
            Form::List
        }
        "google.protobuf.Value" => match (message_at(5), message_at(6)) {
            (Some(structure), Some(list)) => Form::Value { structure, list },
            _ => Form::Plain,
        },
        "google.protobuf.DoubleValue" => Form::Wrapper(Kind::Double),
        "google.protobuf.FloatValue" => Form::Wrapper(Kind::Float),
        "google.protobuf.Int64Value" => Form::Wrapper(Kind::Int64),
        "google.protobuf.UInt64Value" => Form::Wrapper(Kind::Uint64),
        "google.protobuf.Int32Value" => Form::Wrapper(Kind::Int32),
        "google.protobuf.UInt32Value" => Form::Wrapper(Kind::Uint32),
        "google.protobuf.BoolValue" => Form::Wrapper(Kind::Bool),
        "google.protobuf.StringValue" => Form::Wrapper(Kind::String),
        "google.protobuf.BytesValue" => Form::Wrapper(Kind::Bytes),
        "pulpo.type.v1.Decimal" => Form::Decimal,
        "pulpo.type.v1.Json" => Form::Json,
        _ => Form::Plain,
    }
}

/// `absent` of the field option `pulpo.options.v1.field`, where the pool knows the option and the field sets it.
fn absent_rule(field: &FieldDescriptor) -> Option<Absent> {
    let option = field
        .parent_pool()
        .get_extension_by_name("pulpo.options.v1.field")?;
    let options = field.options();
    if option.containing_message() != options.descriptor() || !options.has_extension(&option) {
        return None;
    }
    let rule = options.get_extension(&option);
    match rule.as_message()?.get_field_by_name("absent").as_deref() {
        Some(Value::EnumNumber(1)) => Some(Absent::Omit),
        Some(Value::EnumNumber(2)) => Some(Absent::Null),
        _ => None,
    }
}

/// Names may be any text where `json_name` is set.
fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    super::print::string(text.as_bytes(), &mut out);
    out
}
