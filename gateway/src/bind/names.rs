//! The query parameters of a message: every name that leads to a field a text can fill, worked out once.
//!
//! Messages nest and recurse, so the list is cut: names have at most [`MAX_QUERY_DEPTH`] steps, and the shortest
//! [`MAX_QUERY_NAMES`] are kept. What lies deeper is given in a body.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::codec::{Codec, FieldPath, MessageId};

/// The most steps in a name such as `filter.owner.id`.
pub const MAX_QUERY_DEPTH: usize = 5;

/// The most names one route knows.
pub const MAX_QUERY_NAMES: usize = 4_096;

/// What a query parameter fills.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) field: FieldPath,
    pub(super) shape: Shape,
    /// Number of the parameter among those of its route.
    pub(super) number: usize,
    /// The oneofs on the way to the field.
    pub(super) choices: Box<[Choice]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Single,
    List,
    Map(MapValue),
}

/// How a map's value is written as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MapValue {
    Bool,
    Number,
    Text,
}

/// A member of a oneof that is chosen by giving a parameter. Two parameters must not choose different members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Number of the oneof at its place in the request: a message met twice has its oneofs twice. Those of the outermost
    /// message come first.
    pub(crate) oneof: usize,
    pub(crate) member: u32,
    pub(super) name: Box<str>,
}

/// All parameters of a route by every spelling of their names.
#[derive(Debug, Default)]
pub(super) struct Names {
    parameters: Vec<Parameter>,
    /// Looked up with names that clients choose, hence the random seed.
    by_name: HashMap<Box<str>, usize, RandomState>,
}

impl Names {
    /// The fields of all parameters.
    pub(super) fn fields(&self) -> impl Iterator<Item = &FieldPath> {
        self.parameters.iter().map(|parameter| &parameter.field)
    }

    /// The same, each with the oneofs on the way to it.
    pub(super) fn fields_and_choices(&self) -> impl Iterator<Item = (&FieldPath, &[Choice])> {
        let parameters = self.parameters.iter();
        parameters.map(|parameter| (&parameter.field, &*parameter.choices))
    }

    pub(super) fn find(&self, name: &str) -> Option<&Parameter> {
        self.parameters.get(*self.by_name.get(name)?)
    }

    /// Lists the parameters of a message. `taken` are the fields that are filled otherwise, with all that is below
    /// them.
    pub(super) fn of_message(
        codec: &Codec,
        id: MessageId,
        message: &MessageDescriptor,
        taken: &[FieldPath],
    ) -> Self {
        let mut lister = Lister {
            codec,
            id,
            taken,
            names: Self::default(),
            oneofs: 0,
            queue: VecDeque::new(),
        };
        lister.queue.push_back(Branch::root(message.clone()));
        // Messages are counted too: those without a field of their own to fill add no names, but may fan out.
        for _ in 0..MAX_QUERY_NAMES {
            let Some(branch) = lister.queue.pop_front() else {
                break;
            };
            if lister.names.by_name.len() >= MAX_QUERY_NAMES {
                break;
            }
            lister.list(&branch);
        }
        lister.names
    }
}

/// A message on the way down, and how it is reached.
struct Branch {
    message: MessageDescriptor,
    depth: usize,
    /// The path in proto names with its last dot; empty at the top.
    path: String,
    /// Every spelling of that path.
    spellings: Vec<String>,
    choices: Vec<Choice>,
}

impl Branch {
    fn root(message: MessageDescriptor) -> Self {
        Self {
            message,
            depth: 1,
            path: String::new(),
            spellings: vec![String::new()],
            choices: Vec::new(),
        }
    }
}

struct Lister<'a> {
    codec: &'a Codec,
    id: MessageId,
    taken: &'a [FieldPath],
    names: Names,
    oneofs: usize,
    queue: VecDeque<Branch>,
}

impl Lister<'_> {
    /// Adds the fields of one message and queues the messages below it, so that short names come first.
    fn list(&mut self, branch: &Branch) {
        let first_oneof = self.oneofs;
        self.oneofs += branch.message.oneofs().len();
        for field in branch.message.fields() {
            let path = format!("{}{}", branch.path, field.name());
            // A message with a JSON form of its own has no fields for the codec.
            let Ok(found) = self.codec.field_path(self.id, &path) else {
                continue;
            };
            if self.taken.contains(&found) {
                continue;
            }
            let mut choices = branch.choices.clone();
            // The oneof that stands for `optional` has one member: no choice.
            let oneofs = (first_oneof..)
                .zip(branch.message.oneofs())
                .filter(|(_, oneof)| oneof.fields().len() > 1);
            choices.extend(
                oneofs
                    .filter(|(_, oneof)| field.containing_oneof().as_ref() == Some(oneof))
                    .map(|(number, oneof)| Choice {
                        oneof: number,
                        member: field.number(),
                        name: oneof.name().into(),
                    }),
            );
            let spellings = spellings(&branch.spellings, &field);
            if let Some(shape) = shape(&field, &found) {
                self.add(found, shape, choices, spellings);
            } else if let Some(message) = nested(&field).filter(|_| branch.depth < MAX_QUERY_DEPTH)
            {
                let spellings = spellings.into_iter().map(|name| name + ".").collect();
                let depth = branch.depth + 1;
                self.queue.push_back(Branch {
                    message,
                    depth,
                    path: path + ".",
                    spellings,
                    choices,
                });
            }
        }
    }

    fn add(
        &mut self,
        field: FieldPath,
        shape: Shape,
        choices: Vec<Choice>,
        spellings: Vec<String>,
    ) {
        let number = self.names.parameters.len();
        self.names.parameters.push(Parameter {
            field,
            shape,
            number,
            choices: choices.into(),
        });
        for name in spellings {
            // One field's JSON name may be another's proto name; the first in the file keeps it.
            self.names.by_name.entry(name.into()).or_insert(number);
        }
    }
}

/// The message of a field that holds one.
fn nested(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(message) if !field.is_list() && !field.is_map() => Some(message),
        _ => None,
    }
}

/// Every spelling of a field behind every spelling of what leads to it.
fn spellings(prefixes: &[String], field: &FieldDescriptor) -> Vec<String> {
    let both = [field.name(), field.json_name()];
    let names = if both[0] == both[1] {
        &both[..1]
    } else {
        &both[..]
    };
    prefixes
        .iter()
        .flat_map(|prefix| names.iter().map(move |name| format!("{prefix}{name}")))
        .collect()
}

/// How a field is given as text; `None` if it cannot be.
fn shape(field: &FieldDescriptor, path: &FieldPath) -> Option<Shape> {
    if path.is_map() {
        let Kind::Message(entry) = field.kind() else {
            return None;
        };
        return map_value(&entry.map_entry_value_field().kind()).map(Shape::Map);
    }
    let single_or_list = if path.is_repeated() {
        Shape::List
    } else {
        Shape::Single
    };
    (!path.is_message()).then_some(single_or_list)
}

/// How a map's value is written as JSON; `None` if it is not given as text.
fn map_value(kind: &Kind) -> Option<MapValue> {
    let Kind::Message(message) = kind else {
        return Some(match kind {
            Kind::Bool => MapValue::Bool,
            Kind::String | Kind::Bytes => MapValue::Text,
            _ => MapValue::Number,
        });
    };
    match message.full_name() {
        "google.protobuf.BoolValue" => Some(MapValue::Bool),
        "google.protobuf.Timestamp"
        | "google.protobuf.Duration"
        | "google.protobuf.FieldMask"
        | "google.protobuf.StringValue"
        | "google.protobuf.BytesValue" => Some(MapValue::Text),
        "google.protobuf.DoubleValue"
        | "google.protobuf.FloatValue"
        | "google.protobuf.Int64Value"
        | "google.protobuf.UInt64Value"
        | "google.protobuf.Int32Value"
        | "google.protobuf.UInt32Value"
        | "pulpo.type.v1.Decimal" => Some(MapValue::Number),
        _ => None,
    }
}
