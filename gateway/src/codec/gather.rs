//! The wire to JSON for messages that are not written in order: fields are collected, sorted, merged, then printed.
//!
//! The protobuf encoding rules say how: the last of several scalars counts, messages merge, lists continue, the last member
//! of a oneof and the last value of a map key win. Nothing is copied: a merged message is a list of slices. Values that are
//! overridden are not looked into.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::fault::{Stop, WireProblem, Written};
use super::keys::Key;
use super::print;
use super::table::{Field, Kind, Message, Shape};
use super::wire::{SIZED, Wire};
use super::write::Writer;

/// One field as met on the wire.
#[derive(Clone, Copy)]
pub(super) struct Occurrence<'w> {
    index: usize,
    sized: bool,
    /// The value without tag and length.
    pub(super) bytes: &'w [u8],
}

/// The fields of a message in the order of their numbers, and of the wire within one field.
pub(super) fn occurrences<'w>(
    message: &Message,
    parts: &[&'w [u8]],
) -> Result<Vec<Occurrence<'w>>, WireProblem> {
    let mut found = Vec::new();
    for part in parts {
        let mut wire = Wire::new(part);
        let mut guess = 0;
        while !wire.is_empty() {
            let tag = wire.tag()?;
            let index = match message.position(tag.number, guess) {
                Some(index) if message.fields[index].accepts(tag.wire_type) => index,
                _ => {
                    wire.skip(tag)?;
                    continue;
                }
            };
            guess = index;
            let sized = tag.wire_type == SIZED;
            let bytes = if sized {
                wire.sized()?
            } else {
                wire.value_bytes(tag)?
            };
            found.push(Occurrence {
                index,
                sized,
                bytes,
            });
        }
    }
    if !message.oneofs.is_empty() {
        drop_overridden(message, &mut found);
    }
    found.sort_by_key(|occurrence| occurrence.index);
    Ok(found)
}

/// Those of one field, out of what `occurrences` returned.
pub(super) fn of_field<'o, 'w>(found: &'o [Occurrence<'w>], index: usize) -> &'o [Occurrence<'w>] {
    let start = found.partition_point(|occurrence| occurrence.index < index);
    let end = found.partition_point(|occurrence| occurrence.index <= index);
    &found[start..end]
}

/// Setting a member of a oneof clears the others: of each oneof only what follows its last foreign member stays.
fn drop_overridden(message: &Message, found: &mut Vec<Occurrence<'_>>) {
    let mut winners: Vec<Option<(usize, bool)>> = vec![None; message.oneofs.len()];
    let mut keep = vec![true; found.len()];
    for (occurrence, keep) in found.iter().zip(&mut keep).rev() {
        let Some(oneof) = message.fields[occurrence.index].oneof else {
            continue;
        };
        let (winner, ended) = winners[oneof as usize].get_or_insert((occurrence.index, false));
        *ended |= *winner != occurrence.index;
        *keep = !*ended;
    }
    let mut keep = keep.into_iter();
    found.retain(|_| keep.next().unwrap_or(true));
}

impl<'c> Writer<'c, '_> {
    pub(super) fn gathered_fields(
        &mut self,
        message: &'c Message,
        parts: &[&[u8]],
        mut first: bool,
        depth: u32,
    ) -> Written<()> {
        let mut next = 0;
        let found = occurrences(message, parts)?;
        for run in found.chunk_by(|a, b| a.index == b.index) {
            let Some(index) = run.first().map(|occurrence| occurrence.index) else {
                continue;
            };
            let field = &message.fields[index];
            first = self.absent(&message.fields[next..index], first);
            next = index + 1;
            let start = self.key(field, first);
            let blank = self
                .gathered(field, run, depth)
                .map_err(|stop| stop.within(&field.printed))?;
            first = self.settle(field, start, blank, first);
        }
        self.absent(&message.fields[next..], first);
        Ok(())
    }

    /// Prints one field from all its occurrences, and says whether it is the default.
    pub(super) fn gathered(
        &mut self,
        field: &Field,
        run: &[Occurrence<'_>],
        depth: u32,
    ) -> Written<bool> {
        match field.shape {
            Shape::Single => match field.kind {
                Kind::Message(id) => {
                    let parts: Vec<&[u8]> = run.iter().map(|occurrence| occurrence.bytes).collect();
                    self.message(id, &parts, depth + 1).map(|()| false)
                }
                kind => match run.last() {
                    Some(last) => self.scalar_from(kind, last),
                    None => self.default(kind, depth).map(|()| true),
                },
            },
            Shape::List | Shape::PackedList => {
                self.out.push(b'[');
                let start = self.out.len();
                let mut index = 0;
                for occurrence in run {
                    match field.kind {
                        kind if occurrence.sized && kind.wire_type() != SIZED => {
                            self.packed(kind, occurrence.bytes, &mut index)?;
                            continue;
                        }
                        Kind::Message(id) => self.message(id, &[occurrence.bytes], depth + 1),
                        kind => self.scalar_from(kind, occurrence).map(drop),
                    }
                    .map_err(|stop| stop.within_index(index))?;
                    self.out.push(b',');
                    index += 1;
                }
                Ok(self.end_list(start))
            }
            Shape::Map { key, value } => {
                let entries = run.iter().map(|occurrence| occurrence.bytes);
                self.gathered_map(key, value, entries, depth)
            }
        }
    }

    fn scalar_from(&mut self, kind: Kind, occurrence: &Occurrence<'_>) -> Written<bool> {
        match kind {
            Kind::String => print::string(occurrence.bytes, self.out),
            Kind::Bytes => print::bytes(occurrence.bytes, self.out),
            _ => {
                return Ok(print::scalar(
                    self.tables,
                    kind,
                    &mut Wire::new(occurrence.bytes),
                    self.out,
                )?);
            }
        }
        Ok(occurrence.bytes.is_empty())
    }

    pub(super) fn gathered_map<'w>(
        &mut self,
        key: Kind,
        value: Kind,
        entries: impl Iterator<Item = &'w [u8]>,
        depth: u32,
    ) -> Written<bool> {
        if depth >= self.tables.profile.max_depth {
            return Err(WireProblem::TooDeep.into());
        }
        // The key is printed to know it; which entry of a key counts is known only at the end.
        let mut places: HashMap<Key<'w>, usize, RandomState> = HashMap::default();
        let mut last = Vec::new();
        for bytes in entries {
            let entry = entry_parts(key, value, bytes)?;
            let start = self.out.len();
            let mut key_wire = entry.key.map(Wire::new);
            let text = self.map_key(key, key_wire.as_mut())?;
            self.out.truncate(start);
            match places.get(&text) {
                Some(&place) => last[place] = entry,
                None => {
                    places.insert(text, last.len());
                    last.push(entry);
                }
            }
        }
        self.out.push(b'{');
        for (place, entry) in last.iter().enumerate() {
            if place > 0 {
                self.out.push(b',');
            }
            let mut key_wire = entry.key.map(Wire::new);
            let text = self.map_key(key, key_wire.as_mut())?;
            self.out.push(b':');
            match (value, entry.values.last()) {
                (Kind::Message(id), _) => self.message(id, &entry.values, depth + 2),
                (_, Some(bytes)) => {
                    print::scalar(self.tables, value, &mut Wire::new(bytes), self.out)
                        .map(drop)
                        .map_err(Stop::from)
                }
                (_, None) => self.default(value, depth + 1),
            }
            .map_err(|stop| stop.within_key(&text))?;
        }
        self.out.push(b'}');
        Ok(last.is_empty())
    }
}

/// Key and values of a map entry, with their lengths where they have one.
struct Entry<'w> {
    key: Option<&'w [u8]>,
    /// Messages given twice merge, of scalars the last counts.
    values: Vec<&'w [u8]>,
}

fn entry_parts<'w>(key: Kind, value: Kind, bytes: &'w [u8]) -> Result<Entry<'w>, WireProblem> {
    let mut entry = Entry {
        key: None,
        values: Vec::new(),
    };
    let mut wire = Wire::new(bytes);
    while !wire.is_empty() {
        let tag = wire.tag()?;
        match (tag.number, tag.wire_type) {
            (1, wire_type) if wire_type == key.wire_type() => {
                entry.key = Some(wire.value_bytes(tag)?);
            }
            (2, SIZED) if matches!(value, Kind::Message(_)) => entry.values.push(wire.sized()?),
            (2, wire_type) if wire_type == value.wire_type() => {
                entry.values.push(wire.value_bytes(tag)?);
            }
            _ => wire.skip(tag)?,
        }
    }
    Ok(entry)
}
