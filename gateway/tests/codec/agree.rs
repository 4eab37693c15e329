//! Random messages through codec and oracle.

use proptest::prelude::*;
use prost_reflect::prost::Message;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor};
use pulpo_gateway::codec::Problem;
use serde_json::Value;

use crate::generate::Choices;
use crate::support::{
    PROFILES, PROTO_JSON, descriptor, oracle_read, oracle_text, read, same, value, write,
};

pub(crate) const NAMES: [&str; 11] = [
    "codec.test.All",
    "codec.test.Scalars",
    "codec.test.Optionals",
    "codec.test.Lists",
    "codec.test.Maps",
    "codec.test.Choice",
    "codec.test.Known",
    "codec.test.Tree",
    "codec.test.Sparse",
    "codec.test.Named",
    "codec.test.Wide",
];

/// Those that cannot have a map in them.
const MAPLESS: [&str; 6] = [
    "codec.test.Scalars",
    "codec.test.Optionals",
    "codec.test.Lists",
    "codec.test.Sparse",
    "codec.test.Named",
    "codec.test.Wide",
];

pub(crate) fn entropy() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        proptest::collection::vec(any::<u8>(), 200..3000)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Printing agrees with the oracle under every profile both have, and what is printed reads back as the same message.
    #[test]
    fn printing_and_reading_back(name in proptest::sample::select(&NAMES[..]), bytes in entropy()) {
        let message = Choices::new(&bytes).message(&descriptor(name), 0);
        let wire = message.encode_to_vec();
        for (codec, options) in PROFILES.iter() {
            let expected = oracle_text(&message, options).unwrap();
            let printed = write(codec, name, &wire).unwrap();
            prop_assert_eq!(value(&printed), value(&expected));
            let back = DynamicMessage::decode(descriptor(name), read(codec, name, &printed).unwrap().as_slice()).unwrap();
            prop_assert!(same(&back, &message), "{}", printed);
            let back = DynamicMessage::decode(descriptor(name), read(codec, name, &expected).unwrap().as_slice()).unwrap();
            prop_assert!(same(&back, &message), "{}", expected);
        }
    }

    /// Members in any order, either spelling of names, white space, escapes, and numbers in other notations.
    #[test]
    fn reading_other_spellings(name in proptest::sample::select(&NAMES[..]), bytes in entropy(), spelling in entropy()) {
        let message = Choices::new(&bytes).message(&descriptor(name), 0);
        let json = value(&oracle_text(&message, &PROFILES[0].1).unwrap());
        let mut text = String::new();
        spell(&json, Some(&descriptor(name)), &mut Choices::new(&spelling), &mut text);
        let back = DynamicMessage::decode(descriptor(name), read(&PROTO_JSON, name, &text).unwrap().as_slice()).unwrap();
        prop_assert!(same(&back, &message), "{}", text);
    }

    /// A damaged text never panics, and codec and oracle accept the same ones, but for what the head of these tests lists.
    #[test]
    fn reading_damaged_json(name in proptest::sample::select(&NAMES[..]), bytes in entropy(), damage in proptest::collection::vec(any::<u8>(), 1..12)) {
        let message = Choices::new(&bytes).message(&descriptor(name), 0);
        let mut text = oracle_text(&message, &PROFILES[0].1).unwrap().into_bytes();
        damage_bytes(&mut text, &mut Choices::new(&damage), br#"{}[]",:0123456789.eE+-\nultrfasNI "#);
        let shown = String::from_utf8_lossy(&text).into_owned();
        match (read(&PROTO_JSON, name, &text), oracle_read(name, &text)) {
            (Ok(wire), Ok(expected)) => {
                let message = DynamicMessage::decode(descriptor(name), wire.as_slice()).unwrap();
                prop_assert!(same(&message, &expected), "{}", shown);
            }
            (Ok(_), Err(error)) => {
                // Quoted whole numbers with an exponent, and enum numbers with a fraction.
                let error = error.to_string();
                prop_assert!(error.contains("invalid digit") || error.contains("floating point") || (error.contains("float value out of range") && shown.contains("3.40282")), "{error}: {shown}");
            }
            (Err(fault), Ok(_)) => {
                let stricter = matches!(fault.problem, Problem::DuplicateKey | Problem::Value { .. } | Problem::Range { .. })
                    || fault.problem == Problem::Type { expected: "a number" }
                    || fault.problem == Problem::Type { expected: "a whole number" };
                prop_assert!(stricter, "{fault} at {}: {shown}", fault.path);
            }
            (Err(fault), Err(_)) => prop_assert!(fault.offset <= text.len()),
        }
    }

    /// Bytes that are no text at all.
    #[test]
    fn reading_noise(name in proptest::sample::select(&NAMES[..]), noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&PROTO_JSON, name, &noise);
        let _ = write(&PROTO_JSON, name, &noise);
    }

    /// A damaged message never panics; what the oracle takes, the codec prints the same.
    #[test]
    fn printing_damaged_wire(name in proptest::sample::select(&NAMES[..]), bytes in entropy(), damage in proptest::collection::vec(any::<u8>(), 1..12)) {
        let message = Choices::new(&bytes).message(&descriptor(name), 0);
        let mut wire = message.encode_to_vec();
        damage_bytes(&mut wire, &mut Choices::new(&damage), &[0, 1, 2, 8, 10, 18, 0x7f, 0x80, 0xff]);
        let printed = write(&PROTO_JSON, name, &wire);
        // The oracle takes a map field of any wire type, so where maps may be only the absence of a panic is checked.
        if MAPLESS.contains(&name)
            && let Ok(message) = DynamicMessage::decode(descriptor(name), wire.as_slice())
            && let Ok(expected) = oracle_text(&message, &PROFILES[0].1)
        {
            let (printed, expected) = (value(&printed.unwrap()), value(&expected));
            prop_assert!(printed == expected || printed.to_string().contains("-0.0"), "{printed} {expected}");
        }
    }
}

pub(crate) fn damage_bytes(text: &mut Vec<u8>, choices: &mut Choices<'_>, likely: &[u8]) {
    for _ in 0..=choices.below(3) {
        let at = choices.below(text.len().max(1)).min(text.len());
        let byte = if choices.yes(230) {
            likely[choices.below(likely.len())]
        } else {
            choices.byte()
        };
        match choices.below(4) {
            0 if at < text.len() => text[at] = byte,
            1 if at < text.len() => drop(text.remove(at)),
            2 => text.truncate(at),
            _ => text.insert(at, byte),
        }
    }
}

/// Writes JSON in a way of its own; `message` is the ordinary message the value belongs to.
fn spell(
    json: &Value,
    message: Option<&MessageDescriptor>,
    choices: &mut Choices<'_>,
    out: &mut String,
) {
    space(choices, out);
    match json {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            for end in (1..members.len()).rev() {
                members.swap(end, choices.below(end + 1));
            }
            out.push('{');
            for (index, (key, json)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                let message = message.filter(|message| !message.full_name().starts_with("google."));
                let field = message.and_then(|message| message.get_field_by_json_name(key));
                let key = field
                    .as_ref()
                    .filter(|_| choices.yes(100))
                    .map_or(key.as_str(), |field| field.name());
                space(choices, out);
                quote(key, choices, out);
                space(choices, out);
                out.push(':');
                let kind = field.map(|field| field.kind());
                match kind.as_ref() {
                    Some(Kind::Message(inner)) if inner.is_map_entry() => {
                        let value_kind = inner.map_entry_value_field().kind();
                        spell_map(json, value_kind.as_message(), choices, out);
                    }
                    kind => spell(json, kind.and_then(|kind| kind.as_message()), choices, out),
                }
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                spell(item, message, choices, out);
            }
            out.push(']');
        }
        Value::String(text) => quote(text, choices, out),
        Value::Number(number) => {
            out.push_str(&number.to_string());
            if number.is_i64() && number.as_i64() != Some(0) {
                out.push_str(["", "", ".0", "e0", "E+00", ".000e0"][choices.below(6)]);
            }
        }
        other => out.push_str(&other.to_string()),
    }
    space(choices, out);
}

fn spell_map(
    json: &Value,
    message: Option<&MessageDescriptor>,
    choices: &mut Choices<'_>,
    out: &mut String,
) {
    out.push('{');
    for (index, (key, json)) in json.as_object().unwrap().iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        quote(key, choices, out);
        out.push(':');
        spell(json, message, choices, out);
    }
    out.push('}');
}

fn space(choices: &mut Choices<'_>, out: &mut String) {
    if choices.yes(60) {
        out.push_str([" ", "\n", "\t\r\n", "   "][choices.below(4)]);
    }
}

fn quote(text: &str, choices: &mut Choices<'_>, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '/' if choices.yes(128) => out.push_str("\\/"),
            c if c < ' ' || choices.yes(30) => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
