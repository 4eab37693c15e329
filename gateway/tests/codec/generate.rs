//! Random messages of any descriptor, made from a string of bytes so that a failing case shrinks.

use prost_reflect::prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

use crate::support::descriptor;

/// Choices taken from bytes; when they run out every choice is the first one, and messages end.
pub(crate) struct Choices<'b> {
    bytes: &'b [u8],
}

const ANY_TYPES: [&str; 8] = [
    "codec.test.Scalars",
    "codec.test.Choice",
    "codec.test.Maps",
    "google.protobuf.Timestamp",
    "google.protobuf.Value",
    "google.protobuf.Empty",
    "google.protobuf.Int64Value",
    "google.protobuf.Any",
];

const TEXTS: [&str; 10] = [
    "",
    "a",
    "héllo",
    "\"quoted\\\"",
    "line\nbreak\r\t",
    "\u{0}\u{1f}\u{7f}",
    "日本語 🐙",
    "exactly8",
    "</script>\u{2028}",
    "a longer text that needs more than one step of eight bytes, and a length of more than one byte: 0123456789012345678901234567890123456789",
];

impl<'b> Choices<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Choices { bytes }
    }

    pub(crate) fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((first, rest)) => {
                self.bytes = rest;
                *first
            }
            None => 0,
        }
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        let high = if end > 256 {
            usize::from(self.byte()) << 8
        } else {
            0
        };
        (high | usize::from(self.byte())) % end
    }

    pub(crate) fn yes(&mut self, of_256: u8) -> bool {
        !self.bytes.is_empty() && self.byte() < of_256
    }

    fn u64(&mut self) -> u64 {
        match self.below(6) {
            0 => u64::from(self.byte()),
            1 => [
                0,
                1,
                u64::MAX,
                1 << 31,
                1 << 32,
                1 << 63,
                (1 << 63) - 1,
                (1 << 31) - 1,
            ][self.below(8)],
            2 => u64::from(self.byte()).wrapping_neg(),
            _ => (0..8).fold(0, |value, _| value << 8 | u64::from(self.byte())),
        }
    }

    fn f64(&mut self, finite: bool) -> f64 {
        let value = match self.below(4) {
            0 => f64::from(self.byte()),
            1 => f64::from_bits(self.u64()),
            2 => [
                0.1,
                1e300,
                -2.5e-7,
                1e16,
                123_456_789.125,
                f64::MAX,
                f64::MIN_POSITIVE,
            ][self.below(7)],
            _ if finite => 1.5,
            _ => [f64::NAN, f64::INFINITY, f64::NEG_INFINITY][self.below(3)],
        };
        if value == 0.0 || (finite && !value.is_finite()) {
            0.0
        } else {
            value
        }
    }

    fn f32(&mut self) -> f32 {
        let value = match self.below(3) {
            0 => f32::from(self.byte()),
            1 => f32::from_bits(self.u64() as u32),
            _ => [
                0.1,
                f32::NAN,
                f32::INFINITY,
                f32::NEG_INFINITY,
                f32::MAX,
                3.4e-39,
            ][self.below(6)],
        };
        if value == 0.0 { 0.0 } else { value }
    }

    fn text(&mut self) -> String {
        match self.below(3) {
            0 => TEXTS[self.below(TEXTS.len())].to_owned(),
            1 => self.byte().to_string(),
            _ => (0..self.below(20))
                .map(|_| char::from(self.byte()))
                .collect(),
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        (0..self.below(12)).map(|_| self.byte()).collect()
    }

    fn scalar(&mut self, kind: &Kind, depth: u32) -> Value {
        match kind {
            Kind::Double => Value::F64(self.f64(false)),
            Kind::Float => Value::F32(self.f32()),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(self.u64() as i32),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(self.u64() as i64),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(self.u64() as u32),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(self.u64()),
            Kind::Bool => Value::Bool(self.yes(128)),
            Kind::String => Value::String(self.text()),
            Kind::Bytes => Value::Bytes(self.bytes().into()),
            Kind::Enum(descriptor) if descriptor.full_name() == "google.protobuf.NullValue" => {
                Value::EnumNumber(0)
            }
            Kind::Enum(descriptor) => {
                let count = descriptor.values().len();
                let named = descriptor.values().nth(self.below(count)).unwrap().number();
                Value::EnumNumber(if self.yes(40) {
                    self.u64() as i32
                } else {
                    named
                })
            }
            Kind::Message(descriptor) => Value::Message(self.message(descriptor, depth + 1)),
        }
    }

    fn key(&mut self, kind: &Kind) -> MapKey {
        match self.scalar(kind, 0) {
            Value::Bool(key) => MapKey::Bool(key),
            Value::I32(key) => MapKey::I32(key),
            Value::I64(key) => MapKey::I64(key),
            Value::U32(key) => MapKey::U32(key),
            Value::U64(key) => MapKey::U64(key),
            Value::String(key) => MapKey::String(key),
            _ => unreachable!("no other kind can be a key"),
        }
    }

    fn field(&mut self, field: &FieldDescriptor, depth: u32) -> Value {
        let kind = field.kind();
        if field.is_map() {
            let entry = kind.as_message().unwrap();
            let (key, value) = (
                entry.map_entry_key_field().kind(),
                entry.map_entry_value_field().kind(),
            );
            let count = self.count();
            return Value::Map(
                (0..count)
                    .map(|_| (self.key(&key), self.scalar(&value, depth)))
                    .collect(),
            );
        }
        if field.is_list() {
            let count = self.count();
            return Value::List((0..count).map(|_| self.scalar(&kind, depth)).collect());
        }
        self.scalar(&kind, depth)
    }

    fn count(&mut self) -> usize {
        if self.yes(20) {
            12 + self.below(30)
        } else {
            self.below(4)
        }
    }

    pub(crate) fn message(&mut self, descriptor: &MessageDescriptor, depth: u32) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        match descriptor.full_name() {
            "google.protobuf.Timestamp" => {
                let seconds = (self.u64() % 315_537_897_600) as i64 - 62_135_596_800;
                message.set_field_by_number(1, Value::I64(seconds));
                message.set_field_by_number(2, Value::I32(self.nanos()));
            }
            "google.protobuf.Duration" => {
                let sign = if self.yes(128) { -1 } else { 1 };
                let seconds = (self.u64() % 315_576_000_001) as i64;
                message.set_field_by_number(1, Value::I64(sign * seconds));
                message.set_field_by_number(2, Value::I32(sign as i32 * self.nanos()));
            }
            "google.protobuf.FieldMask" => {
                let names = ["a", "display_name", "user.full_name", "x.y.z", "field2"];
                let paths = (0..self.below(4))
                    .map(|_| Value::String(names[self.below(5)].to_owned()))
                    .collect();
                message.set_field_by_number(1, Value::List(paths));
            }
            "google.protobuf.Any" => {
                let content = descriptor_of_any(self.below(ANY_TYPES.len()));
                let url = format!("type.googleapis.com/{}", content.full_name());
                let content = self.message(&content, depth + 1).encode_to_vec();
                message.set_field_by_number(1, Value::String(url));
                message.set_field_by_number(2, Value::Bytes(content.into()));
            }
            "google.protobuf.DoubleValue" => {
                message.set_field_by_number(1, Value::F64(self.f64(true)))
            }
            "google.protobuf.FloatValue" => {
                message.set_field_by_number(1, Value::F32(self.byte().into()))
            }
            "google.protobuf.Value" => self.json_value(&mut message, descriptor, depth),
            _ => self.plain(&mut message, descriptor, depth),
        }
        message
    }

    fn nanos(&mut self) -> i32 {
        let nanos = (self.u64() % 1_000_000_000) as i32;
        [0, nanos, nanos / 1000 * 1000, nanos / 1_000_000 * 1_000_000][self.below(4)]
    }

    fn json_value(
        &mut self,
        message: &mut DynamicMessage,
        descriptor: &MessageDescriptor,
        depth: u32,
    ) {
        let number = 1 + self.below(if depth > 8 { 4 } else { 6 }) as u32;
        let field = descriptor.get_field(number).unwrap();
        let value = if number == 2 {
            Value::F64(self.f64(true))
        } else {
            self.field(&field, depth)
        };
        message.set_field(&field, value);
    }

    fn plain(&mut self, message: &mut DynamicMessage, descriptor: &MessageDescriptor, depth: u32) {
        let fields: Vec<_> = descriptor.fields().collect();
        // Large messages get a share of their fields, small ones most of them.
        let share = if fields.len() > 100 {
            12
        } else if depth > 2 {
            60
        } else {
            110
        };
        for field in fields {
            if depth < 9 && self.yes(share) {
                let value = self.field(&field, depth);
                message.set_field(&field, value);
            }
        }
    }
}

fn descriptor_of_any(index: usize) -> MessageDescriptor {
    descriptor(ANY_TYPES[index])
}
