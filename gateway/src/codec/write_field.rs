//! One field of a message on the wire as JSON: the body of a reply that is not the whole response.
//!
//! Where the field stands in one piece, as encoders write it, it is printed from there; else fields are gathered.

use smallvec::SmallVec;

use super::fault::{Stop, Written};
use super::gather;
use super::path::{self, FieldPath};
use super::table::{Field, Message, Shape};
use super::wire::Wire;
use super::write::Writer;

/// Where a field stands in a message.
struct Place<'w> {
    wire_type: u8,
    /// Behind the tag of its first occurrence.
    value: Wire<'w>,
    /// Behind its last one.
    end: usize,
}

impl Writer<'_, '_> {
    /// Prints the field a path leads to, and what stands for it where it is absent.
    pub(super) fn field_at(&mut self, path: &FieldPath, wire: &[u8]) -> Written<()> {
        let printed = if self.gather {
            self.gathered_field_at(path, wire)
        } else {
            self.field_in_one_piece(path, wire)
        };
        printed.map_err(|stop| stop.within(path.name()))
    }

    fn field_in_one_piece(&mut self, path: &FieldPath, mut wire: &[u8]) -> Written<()> {
        let Some((&last, outer)) = path.steps.split_last() else {
            return Ok(());
        };
        let tables = self.tables;
        for &step in outer {
            let message = tables.message(step.0);
            wire = match place(message, path::field_at(tables, step), wire)? {
                Some(mut place) => place.value.sized()?,
                None => &[],
            };
        }
        let depth = outer.len() as u32;
        let field = path::field_at(tables, last);
        let Some(mut place) = place(tables.message(last.0), field, wire)? else {
            return self.absent_value(field, depth);
        };
        self.field(field, place.wire_type, &mut place.value, depth)?;
        // A list may be written packed and unpacked in turn.
        if place.value.at() == place.end {
            Ok(())
        } else {
            Err(Stop::Unusual)
        }
    }

    fn gathered_field_at(&mut self, path: &FieldPath, wire: &[u8]) -> Written<()> {
        let Some((&last, outer)) = path.steps.split_last() else {
            return Ok(());
        };
        let tables = self.tables;
        let mut parts: SmallVec<[&[u8]; 4]> = SmallVec::from_slice(&[wire]);
        for &(message, index) in outer {
            let found = gather::occurrences(tables.message(message), &parts)?;
            parts = gather::of_field(&found, index as usize)
                .iter()
                .map(|occurrence| occurrence.bytes)
                .collect();
        }
        let depth = outer.len() as u32;
        let found = gather::occurrences(tables.message(last.0), &parts)?;
        let field = path::field_at(tables, last);
        // Printed alone, a map with two values for one key or a message in two parts is as unusual as within its message.
        match gather::of_field(&found, last.1 as usize) {
            [] => self.absent_value(field, depth),
            run => self.gathered(field, run, depth).map(drop),
        }
    }
}

/// The one place of a field. It is unusual to have more, or to have another member of its oneof beside it.
fn place<'w>(message: &Message, field: &Field, bytes: &'w [u8]) -> Written<Option<Place<'w>>> {
    let mut wire = Wire::new(bytes);
    let mut found: Option<Place<'w>> = None;
    let mut others = false;
    while !wire.is_empty() {
        let start = wire.at();
        let tag = wire.tag()?;
        let value = wire;
        wire.skip(tag)?;
        if tag.number == field.number && field.accepts(tag.wire_type) {
            match &mut found {
                None => {
                    found = Some(Place {
                        wire_type: tag.wire_type,
                        value,
                        end: wire.at(),
                    });
                }
                Some(place) if field.shape != Shape::Single && place.end == start => {
                    place.end = wire.at();
                }
                Some(_) => return Err(Stop::Unusual),
            }
        } else if field.oneof.is_some() {
            let other = message.position(tag.number, 0);
            if other.is_some_and(|index| message.fields[index].oneof == field.oneof) {
                others = true;
            }
        }
    }
    if others && found.is_some() {
        return Err(Stop::Unusual);
    }
    Ok(found)
}
