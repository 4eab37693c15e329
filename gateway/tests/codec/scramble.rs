//! Messages written as no encoder writes them, but as every decoder must take them.

use proptest::prelude::*;
use prost_reflect::prost::Message;
use prost_reflect::prost::encoding::{WireType, decode_varint, encode_key};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use pulpo_gateway::codec::WireProblem;

use crate::agree::{NAMES, entropy};
use crate::generate::Choices;
use crate::support::{PROFILES, PROTO_JSON, descriptor, oracle_text, sized, value, write};

/// One field with its tag.
struct Piece {
    number: u32,
    bytes: Vec<u8>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Fields shuffled, given twice, split and merged, lists packed and unpacked, unknown fields and groups in between.
    #[test]
    fn scrambled_messages_print_as_the_oracle_decodes_them(
        name in proptest::sample::select(&NAMES[..]),
        bytes in entropy(),
        older in entropy(),
        order in entropy(),
    ) {
        let descriptor = descriptor(name);
        let message = Choices::new(&bytes).message(&descriptor, 0).encode_to_vec();
        let older = Choices::new(&older).message(&descriptor, 0).encode_to_vec();
        let mut choices = Choices::new(&order);
        let wire = if choices.yes(128) { [older, message].concat() } else { message };
        let wire = scramble(&descriptor, &wire, &mut choices);
        let decoded = DynamicMessage::decode(descriptor, wire.as_slice()).unwrap();
        for (codec, options) in PROFILES.iter() {
            // An Any merged from two has the type of one and perhaps the content of the other.
            let Ok(expected) = oracle_text(&decoded, options) else { continue };
            match write(codec, name, &wire) {
                Ok(printed) => prop_assert_eq!(value(&printed), value(&expected)),
                // The oracle normalises a duration merged from two of different signs.
                Err(fault) => prop_assert_eq!(fault.problem, WireProblem::Duration),
            }
        }
    }
}

/// An element that is not packed, and right behind it a packed one; and the other way round in a list that is not packed.
#[test]
fn a_list_in_both_forms_is_printed_whole() {
    let lists: [(&[u8], &str); 6] = [
        (&[0x18, 5, 0x1a, 2, 1, 7], r#"{"theInt32":[5,1,7]}"#),
        (&[0x1a, 2, 1, 7, 0x18, 5], r#"{"theInt32":[1,7,5]}"#),
        (
            &[0x80, 1, 5, 0x82, 1, 1, 1],
            r#"{"theColor":["COLOR_DEEP_BLUE","COLOR_RED"]}"#,
        ),
        (&[0xba, 1, 2, 1, 7, 0xb8, 1, 3], r#"{"looseInt32":[1,7,3]}"#),
        (&[0xb8, 1, 3, 0xba, 1, 2, 1, 7], r#"{"looseInt32":[3,1,7]}"#),
        (
            &[0xba, 1, 0, 0xb8, 1, 3, 0xb8, 1, 4],
            r#"{"looseInt32":[3,4]}"#,
        ),
    ];
    for (wire, expected) in lists {
        assert_eq!(
            write(&PROTO_JSON, "codec.test.Lists", wire).as_deref(),
            Ok(expected)
        );
    }
}

fn scramble(descriptor: &MessageDescriptor, wire: &[u8], choices: &mut Choices<'_>) -> Vec<u8> {
    let mut pieces = Vec::new();
    let mut rest = wire;
    while !rest.is_empty() {
        let key = decode_varint(&mut rest).unwrap();
        let (number, wire_type) = ((key >> 3) as u32, key & 7);
        let length = match wire_type {
            0 => rest.iter().position(|byte| *byte < 0x80).unwrap() + 1,
            1 => 8,
            5 => 4,
            _ => decode_varint(&mut rest).unwrap() as usize,
        };
        let (payload, after) = rest.split_at(length);
        rest = after;
        let field = descriptor.get_field(number).unwrap();
        field_pieces(&field, wire_type, payload, choices, &mut pieces);
        if choices.yes(20) {
            pieces.push(unknown(descriptor, choices));
        }
    }
    shuffle(&mut pieces, choices);
    pieces.into_iter().flat_map(|piece| piece.bytes).collect()
}

/// Moves pieces about, but never past one of the same number: their order has a meaning, as has that of oneofs, which the
/// oracle is left to find out.
fn shuffle(pieces: &mut [Piece], choices: &mut Choices<'_>) {
    for _ in 0..choices.below(pieces.len() + 1) {
        let at = choices.below(pieces.len().max(1));
        if pieces
            .get(at + 1)
            .is_some_and(|next| next.number != pieces[at].number)
        {
            pieces.swap(at, at + 1);
        }
    }
}

fn field_pieces(
    field: &FieldDescriptor,
    wire_type: u64,
    payload: &[u8],
    choices: &mut Choices<'_>,
    pieces: &mut Vec<Piece>,
) {
    let number = field.number();
    let mut push = |bytes: Vec<u8>| pieces.push(Piece { number, bytes });
    match field.kind() {
        Kind::Message(inner) => {
            let keep =
                ["google.protobuf.Duration", "google.protobuf.Any"].contains(&inner.full_name());
            let payload = if keep {
                payload.to_vec()
            } else {
                scramble(&inner, payload, choices)
            };
            // A singular message may come in two parts, wherever one of its fields ends.
            if !field.is_list() && !field.is_map() && !keep && choices.yes(80) {
                let at = boundary(&payload, choices);
                push(sized(number, &payload[..at]));
                push(sized(number, &payload[at..]));
            } else {
                push(sized(number, &payload));
            }
        }
        kind if field.is_list()
            && wire_type == 2
            && !matches!(kind, Kind::String | Kind::Bytes) =>
        {
            let element = element_type(&kind);
            let mut rest = payload;
            let mut packed = Vec::new();
            while !rest.is_empty() {
                let length = match element {
                    WireType::SixtyFourBit => 8,
                    WireType::ThirtyTwoBit => 4,
                    _ => rest.iter().position(|byte| *byte < 0x80).unwrap() + 1,
                };
                let (value, after) = rest.split_at(length);
                rest = after;
                if choices.yes(60) {
                    push(sized(number, &packed));
                    packed.clear();
                    push(tagged(number, element, value));
                } else {
                    packed.extend_from_slice(value);
                }
            }
            push(sized(number, &packed));
        }
        kind => {
            let bytes = match wire_type {
                2 => sized(number, payload),
                _ => tagged(number, element_type(&kind), payload),
            };
            if !field.is_list() && choices.yes(30) {
                push(bytes.clone());
            }
            push(bytes);
        }
    }
}

fn element_type(kind: &Kind) -> WireType {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => WireType::SixtyFourBit,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => WireType::ThirtyTwoBit,
        _ => WireType::Varint,
    }
}

fn tagged(number: u32, wire_type: WireType, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_key(number, wire_type, &mut bytes);
    bytes.extend_from_slice(value);
    bytes
}

/// The end of some field of the payload.
fn boundary(payload: &[u8], choices: &mut Choices<'_>) -> usize {
    let mut rest = payload;
    let mut ends = vec![0];
    let mut groups = 0;
    while !rest.is_empty() {
        match decode_varint(&mut rest).unwrap() & 7 {
            0 => drop(decode_varint(&mut rest).unwrap()),
            1 => rest = &rest[8..],
            5 => rest = &rest[4..],
            3 => groups += 1,
            4 => groups -= 1,
            _ => {
                let length = decode_varint(&mut rest).unwrap() as usize;
                rest = &rest[length..];
            }
        }
        if groups == 0 {
            ends.push(payload.len() - rest.len());
        }
    }
    ends[choices.below(ends.len())]
}

/// A field the message does not have: a number, a string, or a group with a field in it.
fn unknown(descriptor: &MessageDescriptor, choices: &mut Choices<'_>) -> Piece {
    let number = [19, 500, 70_000]
        .into_iter()
        .find(|number| descriptor.get_field(*number).is_none())
        .unwrap();
    let bytes = match choices.below(3) {
        0 => tagged(number, WireType::Varint, &[0x96, 0x01]),
        1 => sized(number, b"unknown"),
        _ => {
            let mut bytes = tagged(
                number,
                WireType::StartGroup,
                &tagged(1, WireType::Varint, &[1]),
            );
            bytes.extend(tagged(number, WireType::EndGroup, &[]));
            bytes
        }
    };
    Piece { number, bytes }
}
