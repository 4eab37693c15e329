//! Where the oracle departs from ProtoJSON or from other decoders and the codec does not follow it.
//!
//! A difference that is not told here is a finding. Where the codec refuses and the oracle does not, the refused text is
//! judged once more by `strict`, a slow reading of the same rule, so that the codec cannot hide behind its own sentence.

use prost_reflect::prost::encoding::{WireType, decode_key, decode_varint};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use pulpo_gateway::bind::{ParameterProblem, RequestFault};
use pulpo_gateway::codec::{JsonFault, Problem, WireFault, WireProblem};

use crate::{known, strict};

/// Brackets in brackets that may exceed the codec's hundred messages: `google.protobuf.Value` takes three for each.
const DEEP: usize = 32;

/// Whether it is the oracle that takes what ProtoJSON does not.
pub fn oracle_is_looser(fault: &JsonFault, json: &[u8]) -> bool {
    match &fault.problem {
        Problem::DuplicateKey => strict::has_duplicate(json),
        Problem::TooDeep => strict::nesting(json) >= DEEP,
        // A type's name that begins with a dot.
        Problem::UnknownType => {
            strict::token(json, fault.offset).is_some_and(|text| text.contains("/."))
        }
        Problem::Range { expected } | Problem::Value { expected } | Problem::Type { expected } => {
            strict::token(json, fault.offset).is_some_and(|token| !strict::fits(expected, &token))
        }
        _ => false,
    }
}

/// Whether it is the oracle that refuses what ProtoJSON takes. `texts` are the strings and bare tokens it was given.
pub fn oracle_is_stricter(error: &str, texts: &[String]) -> bool {
    let any = |is_wanted: fn(&str) -> bool| texts.iter().any(|text| is_wanted(text));
    let is_written_long = |text: &str| {
        strict::whole(text).is_some() && (text.contains(['.', 'e', 'E']) || text == "-0")
    };
    // Quoted whole numbers, map keys too, with a fraction or an exponent; enum numbers, quoted or not; and zero with a sign.
    if ["invalid digit", "floating point", "invalid type: string"]
        .iter()
        .any(|said| error.contains(said))
    {
        return any(is_written_long);
    }
    // The largest float, which the oracle itself prints so.
    if error.contains("float value out of range") {
        return any(|text| text.contains("3.40282"));
    }
    // An Any without type and content, and an empty message in one without `value`.
    if error.contains("@type") || error.contains("type url") {
        return true;
    }
    if error.contains("expected 'value' field") {
        return any(|text| text.ends_with("/google.protobuf.Empty"));
    }
    // Proto names that lowerCamelCase cannot carry, in a query.
    error.contains("invalid field mask") && any(|text| text.contains('_'))
}

/// Whether the message holds a map field of another wire type than its own: the oracle takes any for an entry.
pub fn oracle_misreads_wire(message: &MessageDescriptor, wire: &[u8]) -> bool {
    misreads(message, wire).unwrap_or(false)
}

fn misreads(message: &MessageDescriptor, mut wire: &[u8]) -> Option<bool> {
    let mut groups = 0u32;
    let (mut type_url, mut content) = (None, None);
    while !wire.is_empty() {
        let (number, wire_type) = decode_key(&mut wire).ok()?;
        let field = message.get_field(number).filter(|_| groups == 0);
        if field.as_ref().is_some_and(FieldDescriptor::is_map)
            && wire_type != WireType::LengthDelimited
        {
            return Some(true);
        }
        match wire_type {
            WireType::Varint => drop(decode_varint(&mut wire).ok()?),
            WireType::SixtyFourBit => wire = wire.get(8..)?,
            WireType::ThirtyTwoBit => wire = wire.get(4..)?,
            WireType::StartGroup => groups += 1,
            WireType::EndGroup => groups = groups.checked_sub(1)?,
            WireType::LengthDelimited => {
                let length = usize::try_from(decode_varint(&mut wire).ok()?).ok()?;
                let (payload, rest) = wire.split_at_checked(length)?;
                wire = rest;
                match field.map(|field| field.kind()) {
                    Some(Kind::Message(inner)) if misreads(&inner, payload) == Some(true) => {
                        return Some(true);
                    }
                    Some(Kind::String) => type_url = Some(payload),
                    Some(Kind::Bytes) => content = Some(payload),
                    _ => {}
                }
            }
        }
    }
    if message.full_name() != "google.protobuf.Any" {
        return Some(false);
    }
    let name = str::from_utf8(type_url?)
        .ok()?
        .rsplit('/')
        .next()?
        .to_owned();
    misreads(&message.parent_pool().get_message_by_name(&name)?, content?)
}

/// Whether it is the oracle that prints what has no JSON form.
pub fn oracle_prints_more(fault: &WireFault, message: &DynamicMessage, expected: &str) -> bool {
    match fault.problem {
        // It normalises parts of different signs, and nanoseconds outside a second.
        WireProblem::Duration => known::has_unprintable(message, "google.protobuf.Duration"),
        WireProblem::Timestamp => known::has_unprintable(message, "google.protobuf.Timestamp"),
        // Names that lowerCamelCase cannot carry: an underscore that no lower-case letter follows.
        WireProblem::FieldMask => known::has_unprintable(message, "google.protobuf.FieldMask"),
        WireProblem::TooDeep => strict::nesting(expected.as_bytes()) >= DEEP,
        _ => false,
    }
}

/// Whether it is the oracle that does not print what has a JSON form.
pub fn oracle_prints_less(error: &str, text: &str) -> bool {
    // An Any without type and content.
    error.contains("type url ''") && text.contains("{}")
}

/// Whether the text holds something that the oracle prints otherwise: -0.0, which it leaves out where there is no presence,
/// and what is not finite, which it prints as null in a wrapper.
pub fn oracle_prints_otherwise(text: &str) -> bool {
    let is_other = |token: &String| {
        matches!(
            token.as_str(),
            "-0" | "-0.0" | "NaN" | "Infinity" | "-Infinity"
        )
    };
    strict::tokens(text.as_bytes()).iter().any(is_other)
}

/// Whether a field of `google.protobuf.NullValue` has a number that is not its one value's: it prints as null all the same.
pub fn has_other_null(message: &DynamicMessage) -> bool {
    message
        .fields()
        .any(|(field, value)| is_other_null(&field.kind(), value))
}

fn is_other_null(kind: &Kind, value: &Value) -> bool {
    match (kind, value) {
        (Kind::Enum(of), Value::EnumNumber(number)) => {
            *number != 0 && of.full_name() == "google.protobuf.NullValue"
        }
        (_, Value::Message(message)) => has_other_null(message),
        (_, Value::List(list)) => list.iter().any(|value| is_other_null(kind, value)),
        (Kind::Message(entry), Value::Map(map)) if entry.is_map_entry() => {
            let kind = entry.map_entry_value_field().kind();
            map.values().any(|value| is_other_null(&kind, value))
        }
        _ => false,
    }
}

/// Whether it is the oracle that takes a parameter that ProtoJSON does not, for its value or its map key.
pub fn oracle_takes_parameter(fault: &RequestFault, given: &[String]) -> bool {
    let RequestFault::Parameter {
        problem: ParameterProblem::Value(fault),
        ..
    } = fault
    else {
        return false;
    };
    match &fault.problem {
        Problem::Range { expected } | Problem::Value { expected } | Problem::Type { expected } => {
            given.iter().any(|text| !strict::fits(expected, text))
        }
        _ => false,
    }
}
