//! Fields named by a dotted path: `body`, `response_body`, path variables and query parameters.

use smallvec::SmallVec;

use super::fault::{FieldPathFault, Problem, Read, fault};
use super::number;
use super::number::is_number;
use super::read::Reader;
use super::read_value::{put_base64, put_decimal, put_duration, put_field_mask, put_timestamp};
use super::table::{Field, Form, Kind, Shape, Tables, TagBytes};
use super::wire::{close, open, put_sized, put_varint};

/// A field of a message or of the messages in it. Belongs to the codec that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath {
    /// Message and field index of each step.
    pub(super) steps: Vec<(u32, u32)>,
    name: String,
    repeated: bool,
    map: bool,
    message: bool,
    message_name: Option<String>,
}

impl FieldPath {
    /// The path in printed names, with dots.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the field is a list; text then adds one element.
    pub fn is_repeated(&self) -> bool {
        self.repeated
    }

    /// Whether the field is a map, which text cannot give.
    pub fn is_map(&self) -> bool {
        self.map
    }

    /// Whether the field, or an element of it, is a message that text cannot give.
    ///
    /// Timestamp, Duration, FieldMask, the wrappers and Decimal can be given as text.
    pub fn is_message(&self) -> bool {
        self.message
    }

    /// Full name of the field's message, whatever its JSON form.
    pub fn message_name(&self) -> Option<&str> {
        self.message_name.as_deref()
    }
}

pub(super) fn resolve(
    tables: &Tables,
    root: u32,
    dotted: &str,
) -> Result<FieldPath, FieldPathFault> {
    let mut steps = Vec::new();
    let mut printed = Vec::new();
    let mut message_id = root;
    let mut names = dotted.split('.').peekable();
    while let Some(name) = names.next() {
        let message = tables.message(message_id);
        let index = match message.form {
            Form::Plain => message.field_named(name.as_bytes()),
            _ => None,
        };
        let Some(index) = index else {
            return Err(FieldPathFault::UnknownField {
                message: message.name.to_string(),
                name: name.to_owned(),
            });
        };
        let field = &message.fields[index];
        steps.push((message_id, index as u32));
        printed.push(&*field.printed);
        if names.peek().is_some() {
            message_id = match (field.shape, field.kind) {
                (Shape::Single, Kind::Message(id)) if tables.message(id).form == Form::Plain => id,
                _ => {
                    let (message, name) = (message.name.to_string(), name.to_owned());
                    return Err(FieldPathFault::NotTraversable { message, name });
                }
            };
        }
    }
    let name = printed.join(".");
    Ok(describe(tables, steps, name))
}

fn describe(tables: &Tables, steps: Vec<(u32, u32)>, name: String) -> FieldPath {
    let field = steps.last().map(|&step| field_at(tables, step));
    let map = field.is_some_and(|field| matches!(field.shape, Shape::Map { .. }));
    let message = field.and_then(|field| match field.kind {
        Kind::Message(id) => Some(tables.message(id)),
        _ => None,
    });
    FieldPath {
        name,
        repeated: field.is_some_and(|field| matches!(field.shape, Shape::List | Shape::PackedList)),
        map,
        message: message.is_some_and(|message| !is_text(message.form)),
        message_name: message.map(|message| message.name.to_string()),
        steps,
    }
}

pub(super) fn field_at(tables: &Tables, (message, index): (u32, u32)) -> &Field {
    &tables.message(message).fields[index as usize]
}

fn is_text(form: Form) -> bool {
    matches!(
        form,
        Form::Timestamp | Form::Duration | Form::FieldMask | Form::Wrapper(_) | Form::Decimal
    )
}

/// The JSON value of the field, inside the messages that lead to it.
pub(super) fn read_field(reader: &mut Reader<'_, '_, '_>, path: &FieldPath) -> Read<()> {
    let tables = reader.tables;
    let Some((&last, outer)) = path.steps.split_last() else {
        return Ok(());
    };
    let field = field_at(tables, last);
    if reader.is_absent(field)? {
        return Ok(());
    }
    let starts = open_messages(tables, outer, reader.out);
    reader
        .field(field, outer.len() as u32)
        .map_err(|fault| fault.within(&path.name))?;
    close_messages(&starts, reader.out);
    Ok(())
}

/// The text of the field, or of one element of it, inside the messages that lead to it.
pub(super) fn read_text(
    tables: &Tables,
    path: &FieldPath,
    text: &str,
    out: &mut Vec<u8>,
) -> Read<()> {
    let Some((&last, outer)) = path.steps.split_last() else {
        return Ok(());
    };
    let start = out.len();
    let starts = open_messages(tables, outer, out);
    let field = field_at(tables, last);
    let written = match field.shape {
        Shape::Map { .. } => Err(Problem::Type {
            expected: "a field that can be written as text",
        }),
        Shape::Single | Shape::List => {
            field.tag.put(out);
            put_text(tables, field.kind, text, out)
        }
        Shape::PackedList => {
            field.tag.put(out);
            let start = open(out);
            let written = put_text(tables, field.kind, text, out);
            close(out, start);
            written
        }
    };
    if let Err(problem) = written {
        out.truncate(start);
        return fault(0, problem).map_err(|fault| fault.within(&path.name));
    }
    close_messages(&starts, out);
    Ok(())
}

/// Where messages begin in the output. Paths are seldom longer.
type Starts = SmallVec<[usize; 8]>;

fn open_messages(tables: &Tables, steps: &[(u32, u32)], out: &mut Vec<u8>) -> Starts {
    let open_message = |&step: &(u32, u32)| {
        field_at(tables, step).tag.put(out);
        open(out)
    };
    steps.iter().map(open_message).collect()
}

fn close_messages(starts: &[usize], out: &mut Vec<u8>) {
    for &start in starts.iter().rev() {
        close(out, start);
    }
}

/// One value without its tag.
fn put_text(tables: &Tables, kind: Kind, text: &str, out: &mut Vec<u8>) -> Result<(), Problem> {
    let bytes = text.as_bytes();
    match kind {
        Kind::String if tables.profile.refuse_nul && bytes.contains(&0) => {
            return Err(Problem::Nul);
        }
        Kind::String => put_sized(out, bytes),
        Kind::Bytes => return put_base64(bytes, out),
        Kind::Bool => match text {
            "true" => out.push(1),
            "false" => out.push(0),
            _ => {
                return Err(Problem::Type {
                    expected: "true or false",
                });
            }
        },
        Kind::Enum(id) => match tables.enumeration(id).names.get(bytes) {
            Some(&number) => put_varint(out, i64::from(number) as u64),
            None if is_number(bytes) => return number::put(kind, bytes, false, out),
            None => return Err(Problem::UnknownEnum),
        },
        Kind::Null => match text {
            "null" | "NULL_VALUE" | "0" => out.push(0),
            _ => return Err(Problem::UnknownEnum),
        },
        Kind::Message(id) => {
            let start = open(out);
            put_message_text(tables, tables.message(id).form, text, out)?;
            close(out, start);
        }
        _ if number::put_special(kind, bytes, out) => {}
        _ if is_number(bytes) => return number::put(kind, bytes, tables.safe_integers, out),
        _ => {
            return Err(Problem::Type {
                expected: number::expected(kind),
            });
        }
    }
    Ok(())
}

fn put_message_text(
    tables: &Tables,
    form: Form,
    text: &str,
    out: &mut Vec<u8>,
) -> Result<(), Problem> {
    let bytes = text.as_bytes();
    match form {
        Form::Timestamp => put_timestamp(bytes, out),
        Form::Duration => put_duration(bytes, out),
        Form::FieldMask => put_field_mask(bytes, true, out),
        Form::Wrapper(kind) => {
            TagBytes::new(1, kind.wire_type()).put(out);
            put_text(tables, kind, text, out)
        }
        Form::Decimal if is_number(bytes) => put_decimal(bytes, out),
        Form::Decimal => Err(Problem::Type {
            expected: "a number",
        }),
        _ => Err(Problem::Type {
            expected: "a field that can be written as text",
        }),
    }
}
