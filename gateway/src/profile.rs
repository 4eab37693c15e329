//! How the JSON of one surface looks where ProtoJSON leaves a choice, or where the surface's document departs from it.
//!
//! A profile is fixed when a codec is compiled; nothing here is looked at per message.

/// Which of a field's two names is printed. Reading accepts both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// The JSON name, lowerCamelCase unless the field sets `json_name`.
    Camel,
    /// The name as written in the .proto file.
    Proto,
}

/// How a field with explicit presence (`optional`, or a message) is printed when it is absent.
///
/// Members of a oneof are always left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// Left out.
    Omit,
    /// As `null`.
    Null,
}

/// Largest integer that is told apart from both its neighbours by a reader that keeps numbers as doubles: 2^53 - 1
/// (RFC 8259, section 6; JavaScript's `Number.MAX_SAFE_INTEGER`). The smallest is its negative.
pub const SAFE_INTEGER_MAX: u64 = (1 << 53) - 1;

/// How 64-bit integers are printed. Reading accepts strings and numbers.
///
/// Keys of maps are strings whatever is chosen here, as JSON has no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integers {
    /// As strings, which survive readers that keep numbers as doubles.
    Strings,
    /// As numbers, over their whole range.
    Numbers,
    /// As numbers up to [`SAFE_INTEGER_MAX`]. Beyond it a reply fails with a fault that names the field, rather than being
    /// read as another number; a request is refused, in path, query and strings too, as what it stores could not be printed.
    SafeNumbers,
}

/// How enum values are printed. Reading accepts the printed form, the proto name and the number.
///
/// A number without a name is printed as the number. A name keeps its prefix where nothing or a digit would be left in
/// front, and of several names for one number the first in the file is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enums {
    /// The proto name, `STATUS_ACTIVE`.
    Names,
    /// The number.
    Numbers,
    /// The proto name in lower case, `status_active`.
    Lower,
    /// The proto name without the enum's own name in front, `ACTIVE` for `STATUS_ACTIVE` of `Status`.
    WithoutPrefix,
    /// The same in lower case, `active`.
    LowerWithoutPrefix,
}

/// Digits after the second in a printed timestamp. What is finer is cut off, towards the past. Reading accepts up to 9.
///
/// Durations always have as many as they need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampDigits {
    /// None, 3, 6 or 9: as many as the value needs, as ProtoJSON says.
    Auto,
    /// None.
    Seconds,
    /// Always exactly 3.
    Millis,
    /// Always exactly 6.
    Micros,
    /// Always exactly 9.
    Nanos,
}

/// What happens to a JSON member that names no field, or to a string that names no value of its enum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// It is an error that names the member.
    Refuse,
    /// It is skipped, after a check that it is well-formed.
    Ignore,
}

/// The JSON particulars of one surface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonProfile {
    /// Printed field names.
    pub names: Names,
    /// Absent fields with explicit presence; the field option `pulpo.options.v1.field` overrides it.
    pub absent: Absent,
    /// Whether fields without presence are printed at their default, and empty lists and maps as `[]` and `{}`.
    pub print_defaults: bool,
    /// 64-bit integers.
    pub integers: Integers,
    /// Enum values.
    pub enums: Enums,
    /// Timestamps.
    pub timestamps: TimestampDigits,
    /// Members that name no field.
    pub unknown_fields: Unknown,
    /// Names an enum does not have.
    ///
    /// Where they are ignored, the field, the element or the map entry is left out, as if the client had not given it.
    pub unknown_enums: Unknown,
    /// Whether U+0000 in a string is an error: PostgreSQL's text cannot hold it.
    pub refuse_nul: bool,
    /// Messages nested in the outermost one, counted as a protobuf decoder counts them: a map entry is a message too.
    ///
    /// Decoders commonly stop at 100, so more reads what a server cannot. Above 200 it is taken as 200.
    pub max_depth: u32,
    /// Members of objects and elements of arrays in one JSON text, counted at every level, in ignored members and in free JSON
    /// too. It bounds what a small body can make a server build: the three bytes `{},` are a whole message there.
    pub max_values: u32,
}

impl Default for JsonProfile {
    /// ProtoJSON as protobuf.dev/programming-guides/json describes it.
    fn default() -> Self {
        JsonProfile {
            names: Names::Camel,
            absent: Absent::Omit,
            print_defaults: false,
            integers: Integers::Strings,
            enums: Enums::Names,
            timestamps: TimestampDigits::Auto,
            unknown_fields: Unknown::Refuse,
            unknown_enums: Unknown::Refuse,
            refuse_nul: false,
            max_depth: 100,
            max_values: 100_000,
        }
    }
}
