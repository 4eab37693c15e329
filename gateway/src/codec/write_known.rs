//! The wire to JSON for messages with a JSON form of their own.
//!
//! They are small, so their fields are simply read in wire order with the last one counting; only Struct, ListValue and
//! Value hold messages and know the two ways of `Writer`.

use super::fault::{Stop, WireProblem, Written};
use super::gather::occurrences;
use super::number::is_number;
use super::print;
use super::read_value::DECIMAL_CHARS_MAX;
use super::scan::Scanner;
use super::table::{Field, Form, Kind, Message, Shape};
use super::time;
use super::wire::{Raw, Wire};
use super::write::Writer;

impl<'c> Writer<'c, '_> {
    pub(super) fn known(
        &mut self,
        message: &'c Message,
        parts: &[&[u8]],
        depth: u32,
    ) -> Written<()> {
        match message.form {
            Form::Plain | Form::Empty => Ok(()),
            Form::Any => self.any(parts, depth),
            Form::Timestamp => {
                let (seconds, nanos) = seconds_and_nanos(parts)?;
                let digits = self.tables.profile.timestamps;
                holds(
                    time::print_timestamp(seconds, nanos, digits, self.out),
                    WireProblem::Timestamp,
                )
            }
            Form::Duration => {
                let (seconds, nanos) = seconds_and_nanos(parts)?;
                holds(
                    time::print_duration(seconds, nanos, self.out),
                    WireProblem::Duration,
                )
            }
            Form::FieldMask => self.field_mask(parts),
            Form::Struct | Form::List => self.only_field(message, parts, depth),
            Form::Value { structure, list } => self.any_json(structure, list, parts, depth),
            Form::Wrapper(kind) => self.wrapper(kind, parts, depth),
            Form::Decimal => {
                let text = last_sized(parts, 1)?
                    .filter(|text| !text.is_empty())
                    .unwrap_or(b"0");
                holds(
                    text.len() <= DECIMAL_CHARS_MAX && is_number(text),
                    WireProblem::Decimal,
                )?;
                self.out.extend_from_slice(text);
                Ok(())
            }
            Form::Json => {
                let text = last_sized(parts, 1)?
                    .filter(|text| !text.is_empty())
                    .unwrap_or(b"null");
                let mut scanner = Scanner::new(text, false, u32::MAX);
                scanner.space();
                let levels = self.tables.profile.max_depth.saturating_sub(depth);
                let sound = scanner.skip(levels).and_then(|()| scanner.end()).is_ok();
                holds(sound, WireProblem::Json)?;
                self.out.extend_from_slice(text.trim_ascii());
                Ok(())
            }
        }
    }

    /// A field that is asked for by itself and is not there.
    pub(super) fn absent_value(&mut self, field: &Field, depth: u32) -> Written<()> {
        let text: &[u8] = match (field.shape, field.kind) {
            (Shape::List | Shape::PackedList, _) => b"[]",
            (Shape::Map { .. }, _) => b"{}",
            (Shape::Single, Kind::Message(id)) => match self.tables.message(id).form {
                Form::Plain | Form::Empty | Form::Struct | Form::List => {
                    return self.message(id, &[], depth + 1);
                }
                _ => b"null",
            },
            (Shape::Single, kind) if field.implicit => return self.default(kind, depth),
            (Shape::Single, _) => b"null",
        };
        self.out.extend_from_slice(text);
        Ok(())
    }

    fn any(&mut self, parts: &[&[u8]], depth: u32) -> Written<()> {
        let type_url = last_sized(parts, 1)?.unwrap_or_default();
        let content = last_sized(parts, 2)?.unwrap_or_default();
        if type_url.is_empty() && content.is_empty() {
            self.out.extend_from_slice(b"{}");
            return Ok(());
        }
        let tables = self.tables;
        let id = tables.resolve(type_url).ok_or(WireProblem::UnknownType)?;
        let message = tables.message(id);
        self.out.extend_from_slice(b"{\"@type\":");
        print::string(type_url, self.out);
        if matches!(message.form, Form::Plain | Form::Empty) {
            if depth >= tables.profile.max_depth {
                return Err(WireProblem::TooDeep.into());
            }
            self.fields(message, &[content], false, depth + 1)?;
        } else {
            self.out.extend_from_slice(b",\"value\":");
            self.message(id, &[content], depth + 1)
                .map_err(|stop| stop.within("value"))?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn field_mask(&mut self, parts: &[&[u8]]) -> Written<()> {
        self.out.push(b'"');
        let start = self.out.len();
        each(parts, |number, raw| {
            if let (1, Raw::Sized(path)) = (number, raw) {
                if self.out.len() > start {
                    self.out.push(b',');
                }
                put_camel_path(path, self.out)?;
            }
            Ok(())
        })?;
        self.out.push(b'"');
        Ok(())
    }

    /// Struct and ListValue are what their only field is; without it they are empty.
    fn only_field(&mut self, message: &'c Message, parts: &[&[u8]], depth: u32) -> Written<()> {
        let field = &message.fields[0];
        if self.gather || parts.len() > 1 {
            let found = occurrences(message, parts)?;
            if !found.is_empty() {
                return self.gathered(field, &found, depth).map(drop);
            }
        } else {
            let mut wire = Wire::new(parts.first().copied().unwrap_or_default());
            let mut printed = false;
            while !wire.is_empty() {
                let tag = wire.tag()?;
                if tag.number != field.number || !field.accepts(tag.wire_type) {
                    wire.skip(tag)?;
                } else if std::mem::replace(&mut printed, true) {
                    return Err(Stop::Unusual);
                } else {
                    self.field(field, tag.wire_type, &mut wire, depth)?;
                }
            }
            if printed {
                return Ok(());
            }
        }
        self.out.extend_from_slice(if field.shape == Shape::List {
            b"[]"
        } else {
            b"{}"
        });
        Ok(())
    }

    fn wrapper(&mut self, kind: Kind, parts: &[&[u8]], depth: u32) -> Written<()> {
        let mut last = None;
        for part in parts {
            let mut wire = Wire::new(part);
            while !wire.is_empty() {
                let tag = wire.tag()?;
                if tag.number == 1 && tag.wire_type == kind.wire_type() {
                    last = Some(wire.value_bytes(tag)?);
                } else {
                    wire.skip(tag)?;
                }
            }
        }
        match last {
            Some(bytes) => {
                Ok(print::scalar(self.tables, kind, &mut Wire::new(bytes), self.out).map(drop)?)
            }
            None => self.default(kind, depth),
        }
    }

    /// `google.protobuf.Value`; without any kind it is null.
    fn any_json(&mut self, structure: u32, list: u32, parts: &[&[u8]], depth: u32) -> Written<()> {
        let mut kind = (0, None);
        let mut payloads = Vec::new();
        let mut count = 0;
        each(parts, |number, raw| {
            let fits = matches!(
                (number, raw),
                (1 | 4, Raw::Varint(_)) | (2, Raw::Fixed64(_)) | (3 | 5 | 6, Raw::Sized(_))
            );
            if !fits {
                return Ok(());
            }
            count += 1;
            if kind.0 != number {
                payloads.clear();
            }
            // One payload needs no list; a second one does, and then the first belongs to it.
            if let (5 | 6, Raw::Sized(payload)) = (number, raw)
                && count > 1
            {
                if let (Some(Raw::Sized(first)), true) =
                    (kind.1, payloads.is_empty() && kind.0 == number)
                {
                    payloads.push(first);
                }
                payloads.push(payload);
            }
            kind = (number, Some(raw));
            Ok(())
        })?;
        if count > 1 && !self.gather {
            return Err(Stop::Unusual);
        }
        match kind {
            (4, Some(Raw::Varint(value))) => {
                self.out
                    .extend_from_slice(if value == 0 { b"false" } else { b"true" });
            }
            (2, Some(Raw::Fixed64(bits))) => {
                let value = f64::from_bits(bits);
                holds(value.is_finite(), WireProblem::NotFinite)?;
                print::double(value, self.out);
            }
            (3, Some(Raw::Sized(text))) => print::string(text, self.out),
            (number @ (5 | 6), Some(Raw::Sized(payload))) => {
                let id = if number == 5 { structure } else { list };
                return if payloads.is_empty() {
                    self.message(id, &[payload], depth + 1)
                } else {
                    self.message(id, &payloads, depth + 1)
                };
            }
            _ => self.out.extend_from_slice(b"null"),
        }
        Ok(())
    }
}

fn holds(condition: bool, problem: WireProblem) -> Written<()> {
    if condition {
        Ok(())
    } else {
        Err(problem.into())
    }
}

/// Visits every field but groups.
fn each<'w>(
    parts: &[&'w [u8]],
    mut visit: impl FnMut(u32, Raw<'w>) -> Result<(), WireProblem>,
) -> Result<(), WireProblem> {
    for part in parts {
        let mut wire = Wire::new(part);
        while !wire.is_empty() {
            let tag = wire.tag()?;
            if let Some(raw) = wire.raw(tag)? {
                visit(tag.number, raw)?;
            }
        }
    }
    Ok(())
}

/// The string or bytes field of this number.
fn last_sized<'w>(parts: &[&'w [u8]], number: u32) -> Result<Option<&'w [u8]>, WireProblem> {
    let mut last = None;
    each(parts, |found, raw| {
        if let Raw::Sized(bytes) = raw
            && found == number
        {
            last = Some(bytes);
        }
        Ok(())
    })?;
    Ok(last)
}

/// The two fields Timestamp and Duration have in common.
fn seconds_and_nanos(parts: &[&[u8]]) -> Result<(i64, i32), WireProblem> {
    let (mut seconds, mut nanos) = (0, 0);
    each(parts, |number, raw| {
        match (number, raw) {
            (1, Raw::Varint(value)) => seconds = value as i64,
            (2, Raw::Varint(value)) => nanos = value as i32,
            _ => {}
        }
        Ok(())
    })?;
    Ok((seconds, nanos))
}

/// `display_name` as `displayName`. What would not come back the same has no JSON form: upper case, and an underscore
/// before anything but a lower-case letter; nor has a path with an empty name.
fn put_camel_path(path: &[u8], out: &mut Vec<u8>) -> Result<(), WireProblem> {
    if path.split(|&c| c == b'.').any(<[u8]>::is_empty) {
        return Err(WireProblem::FieldMask);
    }
    let mut bytes = path.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'_' => match bytes.next() {
                Some(next) if next.is_ascii_lowercase() => out.push(next.to_ascii_uppercase()),
                _ => return Err(WireProblem::FieldMask),
            },
            b'A'..=b'Z' | b',' => return Err(WireProblem::FieldMask),
            b'"' | b'\\' | ..b' ' => print::escape(byte, out),
            _ => out.push(byte),
        }
    }
    Ok(())
}
