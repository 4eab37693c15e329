//! What a message's fields hold, and which messages can be reached from it.

use std::collections::BTreeMap;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::{Side, known};
use crate::profile::JsonProfile;

/// Groups have no JSON form.
pub(super) fn fields(message: &MessageDescriptor) -> impl Iterator<Item = FieldDescriptor> + use<> {
    let mut fields: Vec<_> = message.fields().filter(|field| !field.is_group()).collect();
    fields.sort_by_key(FieldDescriptor::number);
    fields.into_iter()
}

/// The kind of a field's value, of its elements or of its map's values.
pub(super) fn value_kind(field: &FieldDescriptor) -> Kind {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
        kind => kind,
    }
}

/// The ordinary messages a message's fields hold.
pub(super) fn messages_of(
    message: &MessageDescriptor,
) -> impl Iterator<Item = MessageDescriptor> + use<> {
    fields(message).filter_map(|field| match value_kind(&field) {
        Kind::Message(held) if !is_known(&held) => Some(held),
        _ => None,
    })
}

fn is_known(message: &MessageDescriptor) -> bool {
    known::message(message.full_name(), Side::Request, &JsonProfile::default()).is_some()
}

pub(super) fn reachable(roots: &[MessageDescriptor]) -> BTreeMap<String, MessageDescriptor> {
    let mut found = BTreeMap::new();
    let mut queue: Vec<_> = roots
        .iter()
        .filter(|root| !is_known(root))
        .cloned()
        .collect();
    while let Some(message) = queue.pop() {
        if !found.contains_key(message.full_name()) {
            queue.extend(messages_of(&message));
            found.insert(message.full_name().to_owned(), message);
        }
    }
    found
}
