//! The wire to JSON, in one pass where a message is written the way encoders write it: fields in the order of their numbers,
//! each list and map in one piece, nothing twice.
//!
//! Anything else is legal too and stops the pass with `Stop::Unusual`. The whole text is then written again by `gather`,
//! which sorts every message's fields first; so it is where a value has no JSON form, as what follows may override it. A
//! message costs at most two passes, however its unusual parts are nested; retrying each message on its own would double
//! the work with every level.

use std::borrow::Cow;

use super::fault::{Stop, WireProblem, Written};
use super::keys::{Key, Keys};
use super::print;
use super::table::{Field, Form, Kind, Message, Shape, Tables};
use super::wire::{SIZED, Wire};

pub(super) struct Writer<'c, 'o> {
    pub(super) tables: &'c Tables,
    pub(super) out: &'o mut Vec<u8>,
    /// Whether fields are gathered and sorted before they are printed.
    pub(super) gather: bool,
}

impl<'c> Writer<'c, '_> {
    /// Prints a message given in parts, which merge into one.
    pub(super) fn message(&mut self, id: u32, parts: &[&[u8]], depth: u32) -> Written<()> {
        if depth > self.tables.profile.max_depth {
            return Err(WireProblem::TooDeep.into());
        }
        let tables = self.tables;
        let message = tables.message(id);
        match message.form {
            Form::Plain | Form::Empty => {
                self.out.push(b'{');
                self.fields(message, parts, true, depth)?;
                self.out.push(b'}');
                Ok(())
            }
            _ => self.known(message, parts, depth),
        }
    }

    /// The members of a message; `first` when nothing stands before them.
    pub(super) fn fields(
        &mut self,
        message: &'c Message,
        parts: &[&[u8]],
        first: bool,
        depth: u32,
    ) -> Written<()> {
        if self.gather || parts.len() > 1 {
            self.gathered_fields(message, parts, first, depth)
        } else {
            let bytes = parts.first().copied().unwrap_or_default();
            self.fields_in_order(message, bytes, first, depth)
        }
    }

    fn fields_in_order(
        &mut self,
        message: &'c Message,
        bytes: &[u8],
        mut first: bool,
        depth: u32,
    ) -> Written<()> {
        let mut wire = Wire::new(bytes);
        let mut next = 0;
        let mut oneofs = 0u64;
        while !wire.is_empty() {
            let tag = wire.tag()?;
            let index = match message.position(tag.number, next) {
                Some(index) if message.fields[index].accepts(tag.wire_type) => index,
                _ => {
                    wire.skip(tag)?;
                    continue;
                }
            };
            let field = &message.fields[index];
            if index < next || !claim(&mut oneofs, field) {
                return Err(Stop::Unusual);
            }
            if message.fills {
                first = self.absent(&message.fields[next..index], first);
            }
            next = index + 1;
            let start = self.key(field, first);
            let blank = self
                .field(field, tag.wire_type, &mut wire, depth)
                .map_err(|stop| stop.within(&field.printed))?;
            first = self.settle(field, start, blank, first);
        }
        if message.fills {
            self.absent(&message.fields[next..], first);
        }
        Ok(())
    }

    /// Prints fields that are absent, where they are printed at all. Says whether still nothing stands before what follows.
    pub(super) fn absent(&mut self, fields: &[Field], mut first: bool) -> bool {
        for text in fields.iter().filter_map(|field| field.absent.as_deref()) {
            if !first {
                self.out.push(b',');
            }
            self.out.extend_from_slice(text);
            first = false;
        }
        first
    }

    /// Prints a key, and returns where its field began.
    #[inline]
    pub(super) fn key(&mut self, field: &Field, first: bool) -> usize {
        let start = self.out.len();
        let key = if first { field.first_key() } else { &field.key };
        self.out.extend_from_slice(key);
        start
    }

    /// After a value: a field at its default is absent after all when it has no presence.
    #[inline]
    pub(super) fn settle(&mut self, field: &Field, start: usize, blank: bool, first: bool) -> bool {
        if !(blank && field.implicit) {
            return false;
        }
        self.out.truncate(start);
        self.absent(std::slice::from_ref(field), first)
    }

    /// Prints the value of the field whose tag was just read, and says whether it is the default.
    #[inline]
    pub(super) fn field(
        &mut self,
        field: &Field,
        wire_type: u8,
        wire: &mut Wire<'_>,
        depth: u32,
    ) -> Written<bool> {
        match field.shape {
            // Most fields are texts.
            Shape::Single if field.kind == Kind::String => {
                let text = wire.sized()?;
                print::string(text, self.out);
                Ok(text.is_empty())
            }
            Shape::Single => self.value(field.kind, wire, depth),
            Shape::List | Shape::PackedList => self.list(field, wire_type, wire, depth),
            Shape::Map { key, value } => self.map(field, key, value, wire, depth),
        }
    }

    #[inline]
    pub(super) fn value(&mut self, kind: Kind, wire: &mut Wire<'_>, depth: u32) -> Written<bool> {
        if let Kind::Message(id) = kind {
            let payload = wire.sized()?;
            self.message(id, &[payload], depth + 1)?;
            return Ok(false);
        }
        Ok(print::scalar(self.tables, kind, wire, self.out)?)
    }

    /// The elements that follow one another, and says whether there are none.
    fn list(
        &mut self,
        field: &Field,
        wire_type: u8,
        wire: &mut Wire<'_>,
        depth: u32,
    ) -> Written<bool> {
        self.out.push(b'[');
        let start = self.out.len();
        // A list may also come in the form that is not its own, and in both: then the usual tag starts the other form.
        let tag = field.tag.as_slice();
        let is_own_form = tag.first().is_some_and(|byte| byte & 7 == wire_type);
        let mut index = 0;
        if wire_type == SIZED && field.kind.wire_type() != SIZED {
            loop {
                self.packed(field.kind, wire.sized()?, &mut index)?;
                if !is_own_form || !wire.follows(tag) {
                    break;
                }
            }
        } else {
            loop {
                self.value(field.kind, wire, depth)
                    .map_err(|stop| stop.within_index(index))?;
                self.out.push(b',');
                if !is_own_form || !wire.follows(tag) {
                    break;
                }
                index += 1;
            }
        }
        Ok(self.end_list(start))
    }

    /// Elements of a packed list, each with a comma behind it. `index` is that of the next one.
    pub(super) fn packed(&mut self, kind: Kind, payload: &[u8], index: &mut usize) -> Written<()> {
        let mut wire = Wire::new(payload);
        while !wire.is_empty() {
            print::scalar(self.tables, kind, &mut wire, self.out)
                .map_err(|problem| Stop::from(problem).within_index(*index))?;
            self.out.push(b',');
            *index += 1;
        }
        Ok(())
    }

    /// Turns the last comma into the bracket; says whether there were no elements.
    pub(super) fn end_list(&mut self, start: usize) -> bool {
        let empty = self.out.len() == start;
        if !empty {
            self.out.pop();
        }
        self.out.push(b']');
        empty
    }

    fn map(
        &mut self,
        field: &Field,
        key: Kind,
        value: Kind,
        wire: &mut Wire<'_>,
        depth: u32,
    ) -> Written<bool> {
        self.out.push(b'{');
        let mut keys = Keys::new();
        loop {
            let entry = wire.sized()?;
            let entry_key = self.entry_in_order(key, value, entry, depth + 1)?;
            if !keys.insert(entry_key) {
                return Err(Stop::Unusual);
            }
            if !wire.follows(field.tag.as_slice()) {
                break;
            }
            self.out.push(b',');
        }
        self.out.push(b'}');
        Ok(false)
    }

    /// A map entry with the key first. Encoders leave out what is the default.
    fn entry_in_order<'w>(
        &mut self,
        key: Kind,
        value: Kind,
        entry: &'w [u8],
        depth: u32,
    ) -> Written<Key<'w>> {
        if depth > self.tables.profile.max_depth {
            return Err(WireProblem::TooDeep.into());
        }
        let mut wire = Wire::new(entry);
        // Entry fields are numbered 1 and 2, so their tags are one byte.
        let has_key = wire.follows(&[1 << 3 | key.wire_type()]);
        let entry_key = self.map_key(key, has_key.then_some(&mut wire))?;
        self.out.push(b':');
        let printed = if wire.follows(&[2 << 3 | value.wire_type()]) {
            self.value(value, &mut wire, depth).map(drop)
        } else {
            self.default(value, depth)
        };
        printed.map_err(|stop| stop.within_key(&entry_key))?;
        if wire.is_empty() {
            Ok(entry_key)
        } else {
            Err(Stop::Unusual)
        }
    }

    /// Prints a map key with its quotes; an absent one is the default.
    pub(super) fn map_key<'w>(
        &mut self,
        kind: Kind,
        wire: Option<&mut Wire<'w>>,
    ) -> Written<Key<'w>> {
        if kind == Kind::String {
            let text = wire.map_or(Ok(&[][..]), Wire::sized)?;
            print::string(text, self.out);
            return Ok(Key::Text(Cow::Borrowed(text)));
        }
        // Eight zeros are the default of every kind of key.
        let value = match wire {
            Some(wire) => print::integer(kind, wire)?,
            None => print::integer(kind, &mut Wire::new(&[0; 8]))?,
        };
        print::key(kind, value, self.out);
        Ok(Key::Number(value))
    }

    /// The value of a map entry or wrapper that has none.
    pub(super) fn default(&mut self, kind: Kind, depth: u32) -> Written<()> {
        match kind {
            Kind::Message(id) => self.message(id, &[], depth + 1),
            // Eight zeros are the default of every scalar.
            _ => Ok(print::scalar(self.tables, kind, &mut Wire::new(&[0; 8]), self.out).map(drop)?),
        }
    }
}

/// Marks the field's oneof as used; `false` when another member came before.
#[inline]
fn claim(oneofs: &mut u64, field: &Field) -> bool {
    let Some(oneof) = field.oneof else {
        return true;
    };
    // Beyond 64 oneofs there is no bit, and the fields are gathered.
    let Some(bit) = 1u64.checked_shl(oneof) else {
        return false;
    };
    let free = *oneofs & bit == 0;
    *oneofs |= bit;
    free
}
