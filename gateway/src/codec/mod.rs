//! JSON text to protobuf wire bytes and back, in one pass each, from tables compiled out of descriptors.
//!
//! What it promises:
//! - ProtoJSON (protobuf.dev/programming-guides/json) for proto3 in both directions, with the well-known types, and with the
//!   departures a [`JsonProfile`] names.
//! - Strict reading: RFC 8259 syntax, no member twice, numbers exact or refused. What is unknown is refused unless the
//!   profile ignores it: fields and enum names each for themselves, since leaving out a value that was asked for is the
//!   greater change.
//! - Lenient wire reading: whatever a conforming encoder may write, in any order. A field of another wire type than its own is
//!   an unknown field. Proto2 groups are skipped.
//! - Bounded work: time linear in the input but for lengths moved into place, nesting limited, no recursion beyond that
//!   limit, and no panic on any input.
//! - No message objects, and no allocation besides the output on the usual way.
//!
//! How it is arranged: `compile` makes the `table`s. JSON goes through `scan` (tokens; `special` and `skip` are parts of it),
//! `read` (messages), `read_value` (scalars and own forms), `number` and `time`. The wire goes through `wire` (bytes), `write`
//! (messages in order), `gather` (messages in any order), `write_field` (one field), `write_known` (own forms) and `print`
//! (scalars, integers as `value`s). `path` binds single fields, `mask` lists them.
//!
//! Own types: `pulpo.type.v1.Decimal` is a JSON number carried digit for digit, `pulpo.type.v1.Json` any JSON value carried
//! as it was written. A line break in printed JSON can only be white space inside such a `Json`.

mod compile;
pub(crate) mod describe;
mod fault;
mod gather;
mod keys;
mod mask;
mod number;
mod path;
mod print;
mod read;
mod read_value;
mod scan;
mod skip;
mod special;
mod table;
mod time;
mod value;
mod wire;
mod write;
mod write_field;
mod write_known;

use prost_reflect::{DescriptorPool, MessageDescriptor};

pub use self::fault::{FieldPathFault, JsonFault, Problem, WireFault, WireProblem};
use self::fault::{Read, Stop, Written, fault};
pub(crate) use self::number::is_number;
pub use self::path::FieldPath;
use self::read::Reader;
use self::scan::Scanner;
use self::table::{Form, Kind, Tables};
use self::write::Writer;
use crate::profile::JsonProfile;

/// The compiled tables of one surface.
pub struct Codec {
    tables: Tables,
}

/// A message of the codec that gave it out; another codec's means another message, or none and a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(u32);

impl Codec {
    /// Compiles the messages reachable from the roots, and all of the pool when an Any is among them.
    pub fn new(
        pool: &DescriptorPool,
        profile: JsonProfile,
        roots: impl IntoIterator<Item = MessageDescriptor>,
    ) -> Codec {
        Codec {
            tables: compile::compile(pool, profile, roots),
        }
    }

    /// The message with this full name, if it was compiled.
    pub fn message(&self, full_name: &str) -> Option<MessageId> {
        self.tables.ids.get(full_name).copied().map(MessageId)
    }

    /// Appends the wire form of a JSON text. On a fault `out` is as before.
    pub fn read_json(
        &self,
        id: MessageId,
        json: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), JsonFault> {
        self.read(json, out, |reader| reader.message(id.0, 0))
    }

    /// Appends the JSON form of a message. On a fault `out` is as before.
    pub fn write_json(
        &self,
        id: MessageId,
        wire: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), WireFault> {
        self.write(out, |writer| writer.message(id.0, &[wire], 0))
    }

    /// The field with this dotted path, each step in its proto or JSON name. Steps before the last are ordinary messages.
    pub fn field_path(&self, id: MessageId, dotted: &str) -> Result<FieldPath, FieldPathFault> {
        path::resolve(&self.tables, id.0, dotted)
    }

    /// Appends one field, a list or map too, given as JSON; `null` appends nothing. On a fault `out` is as before.
    pub fn read_field_json(
        &self,
        path: &FieldPath,
        json: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), JsonFault> {
        self.read(json, out, |reader| path::read_field(reader, path))
    }

    /// Appends the JSON of one field of a message given on the wire. On a fault `out` is as before.
    ///
    /// An absent field is printed all the same: an ordinary message as if it were empty, a message with another form than an
    /// object and an `optional` scalar as `null`, a list as `[]`, a map as `{}`, any other scalar as its default.
    pub fn write_field_json(
        &self,
        path: &FieldPath,
        wire: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), WireFault> {
        self.write(out, |writer| writer.field_at(path, wire))
    }

    /// Appends one value of a field given as text: a path variable, query parameter or header. On a fault `out` is as before.
    ///
    /// A scalar overrides what was written before, a message merges with it, and a list grows by one element. A FieldMask may
    /// be given in proto names as well.
    pub fn read_text(
        &self,
        path: &FieldPath,
        text: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), JsonFault> {
        path::read_text(&self.tables, path, text, out).map_err(|fault| *fault)
    }

    /// Paths, in proto names, of the fields a JSON object gives: the update mask of a PATCH.
    ///
    /// Descends into ordinary messages; one given as `{}`, and anything given as `null`, is named itself. Values are only
    /// checked to be JSON.
    pub fn body_mask(&self, id: MessageId, json: &[u8]) -> Result<Vec<String>, JsonFault> {
        let mut paths = Vec::new();
        if self.tables.message(id.0).form == Form::Plain {
            self.read(json, &mut Vec::new(), |reader| {
                reader.mask(id.0, 0, &mut String::new(), &mut paths)
            })?;
        }
        Ok(paths)
    }

    /// Like [`body_mask`](Self::body_mask) for a body that is one field of the request: paths are those within the field,
    /// and there are none when it is no ordinary message.
    pub fn field_body_mask(&self, path: &FieldPath, json: &[u8]) -> Result<Vec<String>, JsonFault> {
        match path
            .steps
            .last()
            .map(|&step| path::field_at(&self.tables, step))
        {
            Some(field) => match field.kind {
                Kind::Message(id) if !path.is_repeated() && json.trim_ascii() != b"null" => {
                    self.body_mask(MessageId(id), json)
                }
                _ => Ok(Vec::new()),
            },
            None => Ok(Vec::new()),
        }
    }

    fn read(
        &self,
        json: &[u8],
        out: &mut Vec<u8>,
        read: impl FnOnce(&mut Reader<'_, '_, '_>) -> Read<()>,
    ) -> Result<(), JsonFault> {
        let start = out.len();
        let profile = &self.tables.profile;
        let scan = Scanner::new(json, profile.refuse_nul, profile.max_values);
        let mut reader = Reader {
            tables: &self.tables,
            scan,
            out,
        };
        let result = check_utf8(json).and_then(|()| {
            reader.scan.space();
            read(&mut reader)?;
            reader.scan.end()
        });
        result.map_err(|fault| {
            out.truncate(start);
            *fault
        })
    }

    fn write(
        &self,
        out: &mut Vec<u8>,
        write: impl Fn(&mut Writer<'_, '_>) -> Written<()>,
    ) -> Result<(), WireFault> {
        let start = out.len();
        let mut result = write(&mut Writer {
            tables: &self.tables,
            out,
            gather: false,
        });
        if result.as_ref().is_err_and(Stop::needs_whole) {
            out.truncate(start);
            result = write(&mut Writer {
                tables: &self.tables,
                out,
                gather: true,
            });
        }
        // One check of the whole text: its syntax is ASCII, so a string that is not UTF-8 cannot hide in it.
        let result = result.and_then(|()| {
            simdutf8::basic::from_utf8(&out[start..])
                .map(drop)
                .map_err(|_| WireProblem::Utf8.into())
        });
        result.map_err(|stop| {
            out.truncate(start);
            stop.into_fault()
        })
    }
}

fn check_utf8(json: &[u8]) -> Read<()> {
    if simdutf8::basic::from_utf8(json).is_ok() {
        return Ok(());
    }
    let offset = std::str::from_utf8(json).map_or_else(|error| error.valid_up_to(), str::len);
    fault(offset, Problem::Utf8)
}
