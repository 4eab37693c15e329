//! The compiled form of the descriptors: everything a message needs is looked up by index, nothing by name but JSON keys.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::wire::{FIXED32, FIXED64, SIZED, VARINT};
use crate::profile::JsonProfile;

/// Keys come from the schema, never from a client, so a fixed seed cannot be attacked.
pub(super) type Names = HashMap<Box<[u8]>, u32, FixedState>;

/// "No field" in the dense index.
const NONE: u32 = u32::MAX;
/// Field numbers up to this are looked up in an array, higher ones by search.
pub(super) const DENSE_MAX: u32 = 1024;

pub(super) struct Tables {
    pub(super) messages: Vec<Message>,
    pub(super) enums: Vec<Enum>,
    pub(super) ids: HashMap<Box<str>, u32, FixedState>,
    pub(super) profile: JsonProfile,
    /// Whether 64-bit integers beyond what a double tells apart are refused.
    pub(super) safe_integers: bool,
    /// Whether names an enum does not have are left out.
    pub(super) ignores_enums: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    /// Index into `Tables::enums`.
    Enum(u32),
    /// `google.protobuf.NullValue`.
    Null,
    /// Index into `Tables::messages`.
    Message(u32),
}

impl Kind {
    pub(super) fn wire_type(self) -> u8 {
        match self {
            Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => FIXED64,
            Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => FIXED32,
            Kind::String | Kind::Bytes | Kind::Message(_) => SIZED,
            _ => VARINT,
        }
    }
}

/// The JSON form of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    Empty,
    Any,
    Timestamp,
    Duration,
    FieldMask,
    /// The map field is field 0.
    Struct,
    Value {
        structure: u32,
        list: u32,
    },
    /// The list field is field 0.
    List,
    Wrapper(Kind),
    Decimal,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Single,
    List,
    PackedList,
    Map { key: Kind, value: Kind },
}

impl Shape {
    /// One bit for each wire type a field of this shape may have; lists may be packed or not whatever is declared.
    pub(super) fn wire_types(self, kind: Kind) -> u8 {
        match self {
            Shape::Map { .. } => 1 << SIZED,
            Shape::Single => 1 << kind.wire_type(),
            Shape::List | Shape::PackedList => 1 << SIZED | 1 << kind.wire_type(),
        }
    }
}

/// A tag as it is written, ready to copy.
#[derive(Clone, Copy)]
pub(super) struct TagBytes {
    bytes: [u8; 5],
    length: u8,
}

impl TagBytes {
    pub(super) fn new(number: u32, wire_type: u8) -> Self {
        let mut tag = number << 3 | u32::from(wire_type);
        let (mut bytes, mut length) = ([0; 5], 0);
        while tag >= 0x80 {
            bytes[length] = tag as u8 | 0x80;
            tag >>= 7;
            length += 1;
        }
        bytes[length] = tag as u8;
        TagBytes {
            bytes,
            length: length as u8 + 1,
        }
    }

    #[inline(always)]
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        // Of most fields the tag is one byte, which needs no call to copy it.
        if self.length == 1 {
            out.push(self.bytes[0]);
        } else {
            out.extend_from_slice(self.as_slice());
        }
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

pub(super) struct Field {
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) shape: Shape,
    /// No presence of its own: the default value counts as absent.
    pub(super) implicit: bool,
    /// A real oneof, not the one that stands for `optional`.
    pub(super) oneof: Option<u32>,
    /// Name as printed.
    pub(super) printed: Box<str>,
    pub(super) proto_name: Box<str>,
    /// `,"name":`, as printed behind another member.
    pub(super) key: Box<[u8]>,
    pub(super) tag: TagBytes,
    /// One bit for each wire type the field may have.
    pub(super) wire_types: u8,
    /// What is printed when the field is absent, with its key.
    pub(super) absent: Option<Box<[u8]>>,
}

impl Field {
    /// Whether the wire type is one the field may have; any other makes it an unknown field.
    #[inline]
    pub(super) fn accepts(&self, wire_type: u8) -> bool {
        self.wire_types >> (wire_type & 7) & 1 == 1
    }

    /// The key of the first member.
    #[inline(always)]
    pub(super) fn first_key(&self) -> &[u8] {
        self.key.get(1..).unwrap_or_default()
    }

    /// `"name"`.
    #[inline(always)]
    pub(super) fn quoted_name(&self) -> &[u8] {
        match &*self.key {
            [_, name @ .., _] => name,
            _ => &[],
        }
    }
}

pub(super) struct Message {
    pub(super) name: Box<str>,
    pub(super) form: Form,
    /// In the order of their numbers.
    pub(super) fields: Box<[Field]>,
    pub(super) dense: Box<[u32]>,
    pub(super) names: Names,
    pub(super) oneofs: Box<[Box<str>]>,
    /// Whether any field is printed when absent.
    pub(super) fills: bool,
}

impl Message {
    pub(super) fn placeholder(name: &str) -> Self {
        Message {
            name: name.into(),
            form: Form::Plain,
            fields: Box::default(),
            dense: Box::default(),
            names: Names::default(),
            oneofs: Box::default(),
            fills: false,
        }
    }

    pub(super) fn index_numbers(&mut self) {
        let dense_end = self
            .fields
            .iter()
            .map(|field| field.number + 1)
            .filter(|&end| end <= DENSE_MAX + 1)
            .max();
        let mut dense = vec![NONE; dense_end.unwrap_or(0) as usize];
        for (index, field) in (0..).zip(&self.fields) {
            if let Some(slot) = dense.get_mut(field.number as usize) {
                *slot = index;
            }
        }
        self.dense = dense.into();
    }

    /// Index of the field with this number; `guess` is tried first.
    #[inline]
    pub(super) fn position(&self, number: u32, guess: usize) -> Option<usize> {
        if self
            .fields
            .get(guess)
            .is_some_and(|field| field.number == number)
        {
            return Some(guess);
        }
        match self.dense.get(number as usize) {
            Some(&NONE) => None,
            Some(&index) => Some(index as usize),
            None => self
                .fields
                .binary_search_by_key(&number, |field| field.number)
                .ok(),
        }
    }

    pub(super) fn field_named(&self, name: &[u8]) -> Option<usize> {
        self.names.get(name).map(|&index| index as usize)
    }
}

pub(super) struct Enum {
    /// Printed forms and proto names.
    pub(super) names: HashMap<Box<[u8]>, i32, FixedState>,
    /// Printed forms with quotes, from number 0 on.
    pub(super) dense: Box<[Option<Box<[u8]>>]>,
    pub(super) sparse: HashMap<i32, Box<[u8]>, FixedState>,
}

impl Enum {
    /// What is printed for a number; nothing when it has no name or numbers are printed.
    #[inline]
    pub(super) fn printed(&self, number: i32) -> Option<&[u8]> {
        match usize::try_from(number)
            .ok()
            .and_then(|index| self.dense.get(index))
        {
            Some(printed) => printed.as_deref(),
            None => self.sparse.get(&number).map(|printed| &**printed),
        }
    }
}

impl Tables {
    #[inline]
    pub(super) fn message(&self, id: u32) -> &Message {
        &self.messages[id as usize]
    }

    #[inline]
    pub(super) fn enumeration(&self, id: u32) -> &Enum {
        &self.enums[id as usize]
    }

    /// Whether `null` is a value of this kind rather than its absence.
    #[inline]
    pub(super) fn null_is_value(&self, kind: Kind) -> bool {
        match kind {
            Kind::Null => true,
            Kind::Message(id) => matches!(self.message(id).form, Form::Value { .. } | Form::Json),
            _ => false,
        }
    }

    /// The message an Any's type URL names.
    pub(super) fn resolve(&self, type_url: &[u8]) -> Option<u32> {
        let slash = memchr::memrchr(b'/', type_url)?;
        let name = std::str::from_utf8(type_url.get(slash + 1..)?).ok()?;
        self.ids.get(name).copied()
    }
}
