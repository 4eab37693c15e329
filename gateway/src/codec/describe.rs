//! What the compiled tables say of a field, for documents about the surface: they cannot differ from what is printed.

use super::table::{Enum, Kind, Shape};
use super::{Codec, FieldPath, MessageId, path};

/// A field as the surface prints it.
pub(crate) struct FieldFacts<'c> {
    /// Its member name.
    pub(crate) name: &'c str,
    /// The JSON printed for it when it is absent; nothing when it is left out.
    pub(crate) absent: Option<&'c str>,
    enumeration: Option<&'c Enum>,
}

impl FieldFacts<'_> {
    /// How a value of the field's enum is printed, without quotes; nothing when it is printed as its number.
    pub(crate) fn enum_text(&self, number: i32) -> Option<&str> {
        let quoted = str::from_utf8(self.enumeration?.printed(number)?).ok()?;
        quoted.strip_prefix('"')?.strip_suffix('"')
    }
}

impl Codec {
    /// The field with this number; nothing for groups and for messages that were not compiled.
    pub(crate) fn field_facts(&self, id: MessageId, number: u32) -> Option<FieldFacts<'_>> {
        let message = self.tables.message(id.0);
        let field = &message.fields[message.position(number, 0)?];
        let kind = match field.shape {
            Shape::Map { value, .. } => value,
            _ => field.kind,
        };
        let absent = field.absent.as_deref().and_then(|text| {
            // The key has the comma in front of it, which stands before no absent field.
            let value = text.strip_prefix(field.key.strip_prefix(b",")?)?;
            str::from_utf8(value).ok()
        });
        Some(FieldFacts {
            name: &field.printed,
            absent,
            enumeration: match kind {
                Kind::Enum(id) => Some(self.tables.enumeration(id)),
                _ => None,
            },
        })
    }

    /// The field numbers of the steps of a path.
    pub(crate) fn field_numbers(&self, path: &FieldPath) -> Vec<u32> {
        path.steps
            .iter()
            .map(|&step| path::field_at(&self.tables, step).number)
            .collect()
    }
}
