//! JSON to the wire: messages, lists and maps. Values are in `read_value`.
//!
//! Fields are written in the order the JSON has them, each with its explicit value, so that what is appended later (a path
//! variable) overrides them. Lengths are patched in once they are known.

use super::fault::{Problem, Read, fault};
use super::keys::{Key, Keys};
use super::number;
use super::number::is_number;
use super::print;
use super::scan::Scanner;
use super::table::{Field, Form, Kind, Message, Shape, Tables, TagBytes};
use super::wire::{Wire, close, open, put_sized};
use crate::profile::Unknown;

pub(super) struct Reader<'c, 'a, 'o> {
    pub(super) tables: &'c Tables,
    pub(super) scan: Scanner<'a>,
    pub(super) out: &'o mut Vec<u8>,
}

/// Which fields and oneofs of a message were given.
pub(super) struct Seen {
    few: [u64; 4],
    many: Vec<u64>,
}

impl Seen {
    pub(super) fn new() -> Self {
        Seen {
            few: [0; 4],
            many: Vec::new(),
        }
    }

    /// `false` when it was there already.
    #[inline]
    pub(super) fn insert(&mut self, index: usize) -> bool {
        let (word, bit) = (index / 64, 1u64 << (index % 64));
        let slot = match self.few.get_mut(word) {
            Some(slot) => slot,
            None => {
                let word = word - self.few.len();
                if self.many.len() <= word {
                    self.many.resize(word + 1, 0);
                }
                &mut self.many[word]
            }
        };
        let fresh = *slot & bit == 0;
        *slot |= bit;
        fresh
    }
}

impl<'c> Reader<'c, '_, '_> {
    /// The content of a message at `depth`, without its length.
    pub(super) fn message(&mut self, id: u32, depth: u32) -> Read<()> {
        if depth > self.tables.profile.max_depth {
            return self.scan.fault(Problem::TooDeep);
        }
        let tables = self.tables;
        let message = tables.message(id);
        match message.form {
            Form::Plain | Form::Empty => self.fields(message, depth, false),
            _ => self.known(message, depth),
        }
    }

    /// The members of an ordinary message; `typed` inside an Any, where `@type` stands among them.
    pub(super) fn fields(&mut self, message: &'c Message, depth: u32, typed: bool) -> Read<()> {
        if !self.scan.enter(b'{', "an object")? {
            return Ok(());
        }
        let mut seen = Seen::new();
        let mut guess = 0;
        loop {
            let key_at = self.scan.at;
            if let Some(index) = self.field_index(message, guess, typed, &mut seen, depth)? {
                let field = &message.fields[index];
                guess = index + 1;
                if !seen.insert(index) {
                    return fault(key_at, Problem::DuplicateKey)
                        .map_err(|fault| fault.within(&field.printed));
                }
                self.scan.colon()?;
                self.member(message, field, &mut seen, depth)
                    .map_err(|fault| fault.within(&field.printed))?;
            }
            if !self.scan.more(b'{')? {
                return Ok(());
            }
        }
    }

    /// Reads a key; nothing is returned for a member that has been skipped.
    #[inline]
    fn field_index(
        &mut self,
        message: &Message,
        guess: usize,
        typed: bool,
        seen: &mut Seen,
        depth: u32,
    ) -> Read<Option<usize>> {
        // Clients mostly send fields in schema order: compare the next one's whole quoted key before looking anything up.
        if let Some(field) = message.fields.get(guess) {
            let quoted = field.quoted_name();
            if self.scan.rest().starts_with(quoted) {
                self.scan.at += quoted.len();
                return Ok(Some(guess));
            }
        }
        let key_at = self.scan.at;
        let key = self.scan.key()?;
        if let Some(index) = message.field_named(&key) {
            return Ok(Some(index));
        }
        if typed && *key == *b"@type" {
            if !seen.insert(message.fields.len() + message.oneofs.len()) {
                return fault(key_at, Problem::DuplicateKey).map_err(|fault| fault.within("@type"));
            }
            self.scan.colon()?;
            self.scan.string("a string")?;
            return Ok(None);
        }
        self.unknown(key_at, &key, depth)?;
        Ok(None)
    }

    /// A member that names no field.
    pub(super) fn unknown(&mut self, key_at: usize, key: &[u8], depth: u32) -> Read<()> {
        if self.tables.profile.unknown_fields == Unknown::Refuse {
            let name = String::from_utf8_lossy(key);
            return fault(key_at, Problem::UnknownField).map_err(|fault| fault.within(&name));
        }
        self.scan.colon()?;
        self.scan
            .skip(self.tables.profile.max_depth.saturating_sub(depth))
    }

    /// The value of a member: `null` leaves the field out, unless null is one of its values.
    fn member(
        &mut self,
        message: &Message,
        field: &Field,
        seen: &mut Seen,
        depth: u32,
    ) -> Read<()> {
        if self.is_absent(field)? {
            return Ok(());
        }
        if let Some(oneof) = field.oneof
            && !seen.insert(message.fields.len() + oneof as usize)
        {
            let oneof = message.oneofs[oneof as usize].to_string();
            return self.scan.fault(Problem::OneofConflict { oneof });
        }
        self.field(field, depth)
    }

    /// Steps over a name the enum does not have, where the profile ignores such.
    #[inline(always)]
    pub(super) fn ignored_enum(&mut self, kind: Kind) -> Read<bool> {
        match kind {
            Kind::Enum(id) if self.tables.ignores_enums => self.unknown_enum(id),
            _ => Ok(false),
        }
    }

    /// Steps over a name the enum does not have.
    fn unknown_enum(&mut self, id: u32) -> Read<bool> {
        if self.scan.peek() != b'"' {
            return Ok(false);
        }
        let start = self.scan.at;
        let name = self.scan.string("one of the allowed names")?;
        if self.tables.enumeration(id).names.contains_key(&*name) {
            self.scan.at = start;
            return Ok(false);
        }
        Ok(true)
    }

    /// Takes a `null` that means the field is absent.
    #[inline(always)]
    pub(super) fn is_absent(&mut self, field: &Field) -> Read<bool> {
        if self.scan.peek() != b'n'
            || (field.shape == Shape::Single && self.tables.null_is_value(field.kind))
        {
            return Ok(false);
        }
        self.scan.literal(b"null")?;
        Ok(true)
    }

    /// A field's value with its tags.
    #[inline]
    pub(super) fn field(&mut self, field: &Field, depth: u32) -> Read<()> {
        match field.shape {
            Shape::Single if self.ignored_enum(field.kind)? => Ok(()),
            Shape::Single => {
                field.tag.put(self.out);
                self.value(field.kind, depth)
            }
            Shape::List | Shape::PackedList => self.list(field, depth),
            Shape::Map { key, value } => self.map(field, key, value, depth),
        }
    }

    pub(super) fn list(&mut self, field: &Field, depth: u32) -> Read<()> {
        if !self.scan.enter(b'[', "a list")? {
            return Ok(());
        }
        let packed = field.shape == Shape::PackedList;
        let mut start = 0;
        if packed {
            field.tag.put(self.out);
            start = open(self.out);
        }
        let mut index = 0;
        loop {
            if !self.ignored_enum(field.kind)? {
                if !packed {
                    field.tag.put(self.out);
                }
                self.element(field.kind, depth)
                    .map_err(|fault| fault.within_index(index))?;
            }
            if !self.scan.more(b'[')? {
                break;
            }
            index += 1;
        }
        if packed {
            close(self.out, start);
        }
        Ok(())
    }

    /// An element of a list or a value in a map.
    #[inline]
    fn element(&mut self, kind: Kind, depth: u32) -> Read<()> {
        if self.scan.peek() == b'n' && !self.tables.null_is_value(kind) {
            let at = self.scan.at;
            self.scan.literal(b"null")?;
            return fault(at, Problem::NullElement);
        }
        self.value(kind, depth)
    }

    pub(super) fn map(&mut self, field: &Field, key: Kind, value: Kind, depth: u32) -> Read<()> {
        if !self.scan.enter(b'{', "an object")? {
            return Ok(());
        }
        if depth >= self.tables.profile.max_depth {
            return self.scan.fault(Problem::TooDeep);
        }
        let value_tag = TagBytes::new(2, value.wire_type());
        let mut keys = Keys::new();
        loop {
            field.tag.put(self.out);
            let start = open(self.out);
            let key_at = self.scan.at;
            let text = self.scan.key()?;
            let entry_key = self
                .map_key(key, &text, key_at)
                .map_err(|fault| fault.within_key(&text))?;
            let entry_key = entry_key.unwrap_or_else(|| Key::Text(text.clone()));
            if !keys.insert(entry_key) {
                return fault(key_at, Problem::DuplicateKey)
                    .map_err(|fault| fault.within_key(&text));
            }
            self.scan.colon()?;
            if self.ignored_enum(value)? {
                self.out.truncate(start - 1 - field.tag.as_slice().len());
            } else {
                value_tag.put(self.out);
                self.element(value, depth + 1)
                    .map_err(|fault| fault.within_key(&text))?;
                close(self.out, start);
            }
            if !self.scan.more(b'{')? {
                return Ok(());
            }
        }
    }

    /// Writes a map key; a string key is its own identity and nothing is returned.
    fn map_key(&mut self, kind: Kind, text: &[u8], key_at: usize) -> Read<Option<Key<'static>>> {
        TagBytes::new(1, kind.wire_type()).put(self.out);
        let start = self.out.len();
        match kind {
            Kind::String => {
                put_sized(self.out, text);
                return Ok(None);
            }
            Kind::Bool => match text {
                b"true" => self.out.push(1),
                b"false" => self.out.push(0),
                _ => {
                    return fault(
                        key_at,
                        Problem::Value {
                            expected: "true or false",
                        },
                    );
                }
            },
            _ if !is_number(text) => {
                return fault(
                    key_at,
                    Problem::Value {
                        expected: "a whole number",
                    },
                );
            }
            // A key is a string for every reader of JSON, so none is unsafe.
            _ => number::put(kind, text, false, self.out)
                .or_else(|problem| fault(key_at, problem))?,
        }
        // Read back, so that 1 and 1.0 are the same key.
        let value = print::integer(kind, &mut Wire::new(&self.out[start..]));
        Ok(value.ok().map(Key::Number))
    }
}
