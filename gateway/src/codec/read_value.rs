//! JSON to the wire: scalars, and the messages with a JSON form of their own.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::fault::{Problem, Read, fault};
use super::number;
use super::number::is_number;
use super::read::Reader;
use super::table::{Form, Kind, Message, Shape, TagBytes};
use super::time;
use super::wire::{close, open, put_sized, put_varint};

/// Longest Decimal, in characters.
pub(super) const DECIMAL_CHARS_MAX: usize = 64;

pub(super) const TIMESTAMP: Problem = Problem::Value {
    expected: "a timestamp such as 2024-01-31T10:00:00Z",
};
pub(super) const DURATION: Problem = Problem::Value {
    expected: "a duration such as 1.5s",
};
pub(super) const FIELD_MASK: Problem = Problem::Value {
    expected: "field names in lowerCamelCase, separated by commas",
};
pub(super) const DECIMAL: Problem = Problem::Range {
    expected: "a number of at most 64 characters",
};
const BASE64: Problem = Problem::Value { expected: "base64" };

/// Either alphabet, padding or not, and unused bits are ignored, as all ProtoJSON readers do.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

impl<'c> Reader<'c, '_, '_> {
    /// A value without its tag, in a message at `depth`.
    #[inline]
    pub(super) fn value(&mut self, kind: Kind, depth: u32) -> Read<()> {
        match kind {
            Kind::String => self.string(),
            Kind::Message(id) => {
                let start = open(self.out);
                self.message(id, depth + 1)?;
                close(self.out, start);
                Ok(())
            }
            Kind::Bool => {
                let value = self.scan.bool()?;
                self.out.push(u8::from(value));
                Ok(())
            }
            Kind::Enum(id) => self.enumeration(id),
            Kind::Null => self.null(),
            Kind::Bytes => {
                let at = self.scan.at;
                let text = self.scan.string("a base64 string")?;
                put_base64(&text, self.out).or_else(|problem| fault(at, problem))
            }
            _ => self.number(kind),
        }
    }

    #[inline]
    fn string(&mut self) -> Read<()> {
        if let Some(plain) = self.scan.plain_string("a string")? {
            put_sized(self.out, plain);
            return Ok(());
        }
        let start = open(self.out);
        self.scan.unescape(self.out)?;
        close(self.out, start);
        Ok(())
    }

    #[inline]
    fn number(&mut self, kind: Kind) -> Read<()> {
        let at = self.scan.at;
        if self.scan.peek() != b'"' {
            let token = self.scan.number(number::expected(kind))?;
            return number::put(kind, token, self.tables.safe_integers, self.out)
                .or_else(|problem| fault(at, problem));
        }
        let text = self.scan.string("a number")?;
        if number::put_special(kind, &text, self.out) {
            return Ok(());
        }
        if !is_number(&text) {
            return fault(
                at,
                Problem::Type {
                    expected: number::expected(kind),
                },
            );
        }
        number::put(kind, &text, self.tables.safe_integers, self.out)
            .or_else(|problem| fault(at, problem))
    }

    fn enumeration(&mut self, id: u32) -> Read<()> {
        let at = self.scan.at;
        if self.scan.peek() != b'"' {
            let token = self.scan.number("one of the allowed names")?;
            return number::put(Kind::Enum(id), token, false, self.out)
                .or_else(|problem| fault(at, problem));
        }
        let name = self.scan.string("one of the allowed names")?;
        match self.tables.enumeration(id).names.get(&*name) {
            Some(&number) => put_varint(self.out, i64::from(number) as u64),
            None => return fault(at, Problem::UnknownEnum),
        }
        Ok(())
    }

    /// The only value of NullValue.
    fn null(&mut self) -> Read<()> {
        let at = self.scan.at;
        match self.scan.peek() {
            b'n' => self.scan.literal(b"null")?,
            b'"' if *self.scan.string("null")? == *b"NULL_VALUE" => {}
            b'"' => return fault(at, Problem::UnknownEnum),
            b'0' if *self.scan.number("null")? == *b"0" => {}
            _ => return self.scan.unexpected("null"),
        }
        self.out.push(0);
        Ok(())
    }

    /// A message with a JSON form of its own. Every field of it is written, zeros too, as what is appended later merges.
    pub(super) fn known(&mut self, message: &'c Message, depth: u32) -> Read<()> {
        match message.form {
            Form::Plain | Form::Empty => self.fields(message, depth, false),
            Form::Any => self.any(depth),
            Form::Timestamp => self.own_text("a timestamp", put_timestamp),
            Form::Duration => self.own_text("a duration", put_duration),
            Form::FieldMask => {
                self.own_text("a string", |text, out| put_field_mask(text, false, out))
            }
            Form::Struct => match message.fields[0].shape {
                Shape::Map { key, value } => self.map(&message.fields[0], key, value, depth),
                _ => self.scan.unexpected("an object"),
            },
            Form::List => self.list(&message.fields[0], depth),
            Form::Value { structure, list } => self.any_json(structure, list, depth),
            Form::Wrapper(kind) => {
                TagBytes::new(1, kind.wire_type()).put(self.out);
                self.value(kind, depth)
            }
            Form::Decimal => {
                let at = self.scan.at;
                let token = self.scan.number("a number")?;
                put_decimal(token, self.out).or_else(|problem| fault(at, problem))
            }
            Form::Json => {
                let start = self.scan.at;
                self.scan
                    .skip(self.tables.profile.max_depth.saturating_sub(depth))?;
                self.out.push(0x0a);
                put_sized(self.out, &self.scan.json[start..self.scan.at]);
                Ok(())
            }
        }
    }

    fn own_text(
        &mut self,
        expected: &'static str,
        put: impl FnOnce(&[u8], &mut Vec<u8>) -> Result<(), Problem>,
    ) -> Read<()> {
        let at = self.scan.at;
        let text = self.scan.string(expected)?;
        put(&text, self.out).or_else(|problem| fault(at, problem))
    }

    /// `google.protobuf.Value`.
    fn any_json(&mut self, structure: u32, list: u32, depth: u32) -> Read<()> {
        match self.scan.peek() {
            b'n' => {
                self.scan.literal(b"null")?;
                self.out.extend_from_slice(&[0x08, 0]);
                Ok(())
            }
            b't' | b'f' => {
                let value = self.scan.bool()?;
                self.out.extend_from_slice(&[0x20, u8::from(value)]);
                Ok(())
            }
            b'"' => {
                self.out.push(0x1a);
                self.string()
            }
            b'{' => {
                self.out.push(0x2a);
                self.value(Kind::Message(structure), depth)
            }
            b'[' => {
                self.out.push(0x32);
                self.value(Kind::Message(list), depth)
            }
            _ => {
                self.out.push(0x11);
                self.number(Kind::Double)
            }
        }
    }

    /// `@type` says how to read the rest, and may come last; then the object is scanned once for it.
    fn any(&mut self, depth: u32) -> Read<()> {
        let (start, values_left) = (self.scan.at, self.scan.values_left);
        if !self.scan.enter(b'{', "an object")? {
            return Ok(());
        }
        let (type_at, type_url) = loop {
            let key = self.scan.key()?;
            self.scan.colon()?;
            if *key == *b"@type" {
                break (
                    self.scan.at,
                    self.scan
                        .string("a string")
                        .map_err(|fault| fault.within("@type"))?,
                );
            }
            self.scan
                .skip(self.tables.profile.max_depth.saturating_sub(depth))?;
            if !self.scan.more(b'{')? {
                return fault(start, Problem::UnknownType);
            }
        };
        let tables = self.tables;
        let Some(id) = tables.resolve(&type_url) else {
            return fault(type_at, Problem::UnknownType).map_err(|fault| fault.within("@type"));
        };
        if depth >= tables.profile.max_depth {
            return self.scan.fault(Problem::TooDeep);
        }
        // What has been looked at only for `@type` is not counted twice.
        (self.scan.at, self.scan.values_left) = (start, values_left);
        self.out.push(0x0a);
        put_sized(self.out, &type_url);
        self.out.push(0x12);
        let content = open(self.out);
        let message = tables.message(id);
        if message.form == Form::Plain {
            self.fields(message, depth + 1, true)?;
        } else {
            self.any_value(id, message.form, depth + 1)?;
        }
        close(self.out, content);
        Ok(())
    }

    /// An Any of a message with its own JSON form: that form stands under `value`. An Empty may have it: some libraries
    /// print `"value":{}` there.
    fn any_value(&mut self, id: u32, form: Form, depth: u32) -> Read<()> {
        let start = self.scan.at;
        let (mut typed, mut valued) = (false, false);
        let mut inside = self.scan.enter(b'{', "an object")?;
        while inside {
            let key_at = self.scan.at;
            let key = self.scan.key()?;
            let duplicate = match &*key {
                b"@type" => std::mem::replace(&mut typed, true),
                b"value" => std::mem::replace(&mut valued, true),
                _ => false,
            };
            if duplicate {
                let name = String::from_utf8_lossy(&key);
                return fault(key_at, Problem::DuplicateKey).map_err(|fault| fault.within(&name));
            }
            match &*key {
                b"@type" => {
                    self.scan.colon()?;
                    self.scan.string("a string")?;
                }
                b"value" => {
                    self.scan.colon()?;
                    self.message(id, depth)
                        .map_err(|fault| fault.within("value"))?;
                }
                _ => self.unknown(key_at, &key, depth)?,
            }
            inside = self.scan.more(b'{')?;
        }
        if !valued && form != Form::Empty {
            return fault(
                start,
                Problem::Type {
                    expected: "`value` beside `@type`",
                },
            );
        }
        Ok(())
    }
}

pub(super) fn put_base64(text: &[u8], out: &mut Vec<u8>) -> Result<(), Problem> {
    let engine = if memchr::memchr2(b'-', b'_', text).is_some() {
        &URL_SAFE
    } else {
        &STANDARD
    };
    let start = open(out);
    out.resize(start + text.len().div_ceil(4) * 3, 0);
    let length = engine
        .decode_slice(text, &mut out[start..])
        .map_err(|_| BASE64)?;
    out.truncate(start + length);
    close(out, start);
    Ok(())
}

pub(super) fn put_timestamp(text: &[u8], out: &mut Vec<u8>) -> Result<(), Problem> {
    let (seconds, nanos) = time::parse_timestamp(text).ok_or(TIMESTAMP)?;
    put_time(seconds, nanos, out);
    Ok(())
}

pub(super) fn put_duration(text: &[u8], out: &mut Vec<u8>) -> Result<(), Problem> {
    let (seconds, nanos) = time::parse_duration(text).ok_or(DURATION)?;
    put_time(seconds, nanos, out);
    Ok(())
}

fn put_time(seconds: i64, nanos: i32, out: &mut Vec<u8>) {
    out.push(0x08);
    put_varint(out, seconds as u64);
    out.push(0x10);
    put_varint(out, i64::from(nanos) as u64);
}

/// Paths in lowerCamelCase; `snake` lets proto names pass too, as query strings commonly have them.
pub(super) fn put_field_mask(text: &[u8], snake: bool, out: &mut Vec<u8>) -> Result<(), Problem> {
    if text.is_empty() {
        return Ok(());
    }
    for path in text.split(|&c| c == b',') {
        if path.split(|&c| c == b'.').any(<[u8]>::is_empty) || (!snake && path.contains(&b'_')) {
            return Err(FIELD_MASK);
        }
        out.push(0x0a);
        let start = open(out);
        for &c in path {
            if c.is_ascii_uppercase() {
                out.push(b'_');
            }
            out.push(c.to_ascii_lowercase());
        }
        close(out, start);
    }
    Ok(())
}

pub(super) fn put_decimal(token: &[u8], out: &mut Vec<u8>) -> Result<(), Problem> {
    if token.len() > DECIMAL_CHARS_MAX {
        return Err(DECIMAL);
    }
    out.push(0x0a);
    put_sized(out, token);
    Ok(())
}
