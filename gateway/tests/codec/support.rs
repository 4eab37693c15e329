//! The pool, codecs by profile, and short ways to call them.

use std::sync::LazyLock;

use prost_reflect::prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use pulpo_gateway::codec::{Codec, FieldPath, JsonFault, WireFault};
use pulpo_gateway::profile::{Enums, Integers, JsonProfile, Names};
use serde_json::Value;

pub(crate) static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let folder = env!("CARGO_MANIFEST_DIR");
    let includes = [
        format!("{folder}/tests/protos"),
        format!("{folder}/../proto"),
    ];
    let mut compiler = protox::Compiler::new(includes).unwrap();
    compiler
        .include_imports(true)
        .open_files(["codec.proto", "own.proto"])
        .unwrap();
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
});

pub(crate) static PROTO_JSON: LazyLock<Codec> = LazyLock::new(|| codec(JsonProfile::default()));

pub(crate) fn codec(profile: JsonProfile) -> Codec {
    Codec::new(&POOL, profile, POOL.all_messages())
}

pub(crate) fn descriptor(name: &str) -> MessageDescriptor {
    POOL.get_message_by_name(name).unwrap()
}

/// Profiles the oracle has the same choices for, with those choices.
pub(crate) static PROFILES: LazyLock<Vec<(Codec, SerializeOptions)>> = LazyLock::new(|| {
    let plain = SerializeOptions::new();
    let proto_json = JsonProfile::default();
    let proto = JsonProfile {
        names: Names::Proto,
        ..proto_json.clone()
    };
    let full = JsonProfile {
        print_defaults: true,
        ..proto_json.clone()
    };
    let numbers = JsonProfile {
        integers: Integers::Numbers,
        enums: Enums::Numbers,
        print_defaults: true,
        ..proto.clone()
    };
    vec![
        (codec(proto_json), plain.clone()),
        (codec(proto), plain.clone().use_proto_field_name(true)),
        (codec(full), plain.clone().skip_default_fields(false)),
        (
            codec(numbers),
            plain
                .use_proto_field_name(true)
                .skip_default_fields(false)
                .stringify_64_bit_integers(false)
                .use_enum_numbers(true),
        ),
    ]
});

pub(crate) fn write(codec: &Codec, name: &str, wire: &[u8]) -> Result<String, WireFault> {
    let mut out = b"kept ".to_vec();
    let result = codec.write_json(codec.message(name).unwrap(), wire, &mut out);
    let text = String::from_utf8(out).unwrap();
    let text = text.strip_prefix("kept ").unwrap().to_owned();
    if result.is_err() {
        assert_eq!(text, "", "a fault leaves the output as it was");
    }
    result.map(|()| text)
}

pub(crate) fn read(
    codec: &Codec,
    name: &str,
    json: impl AsRef<[u8]>,
) -> Result<Vec<u8>, JsonFault> {
    let mut out = b"kept ".to_vec();
    let result = codec.read_json(codec.message(name).unwrap(), json.as_ref(), &mut out);
    let wire = out.strip_prefix(b"kept ").unwrap().to_vec();
    if result.is_err() {
        assert_eq!(wire, b"", "a fault leaves the output as it was");
    }
    result.map(|()| wire)
}

/// The JSON that comes back from a JSON text, with the plain profile.
pub(crate) fn round(name: &str, json: &str) -> String {
    round_with(&PROTO_JSON, name, json)
}

pub(crate) fn round_with(codec: &Codec, name: &str, json: &str) -> String {
    let wire =
        read(codec, name, json).unwrap_or_else(|fault| panic!("{json}: {fault} at {}", fault.path));
    DynamicMessage::decode(descriptor(name), wire.as_slice()).unwrap();
    write(codec, name, &wire).unwrap_or_else(|fault| panic!("{json}: {fault}"))
}

/// Path and sentence of the fault a JSON text has, with the plain profile.
pub(crate) fn refused(name: &str, json: &str) -> String {
    refused_with(&PROTO_JSON, name, json)
}

pub(crate) fn refused_with(codec: &Codec, name: &str, json: &str) -> String {
    match read(codec, name, json) {
        Ok(wire) => panic!("{json} was taken as {wire:?}"),
        Err(fault) => format!("{}: {fault}", fault.path),
    }
}

pub(crate) fn path(codec: &Codec, name: &str, dotted: &str) -> FieldPath {
    codec
        .field_path(codec.message(name).unwrap(), dotted)
        .unwrap()
}

pub(crate) fn oracle_text(
    message: &DynamicMessage,
    options: &SerializeOptions,
) -> Result<String, serde_json::Error> {
    let mut serializer = serde_json::Serializer::new(Vec::new());
    message.serialize_with_options(&mut serializer, options)?;
    Ok(String::from_utf8(serializer.into_inner()).unwrap())
}

pub(crate) fn oracle_read(name: &str, json: &[u8]) -> Result<DynamicMessage, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let message = DynamicMessage::deserialize(descriptor(name), &mut deserializer)?;
    deserializer.end()?;
    Ok(message)
}

/// Parsed JSON in which 1 and 1.0 are the same, and both ways to print an Empty in an Any.
pub(crate) fn value(text: &str) -> Value {
    let mut value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    settle(&mut value);
    value
}

fn settle(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let float = number.as_f64().unwrap();
            if float.fract() == 0.0
                && float.abs() < 1e18
                && !(float == 0.0 && float.is_sign_negative())
            {
                *value = Value::from(float as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(settle),
        Value::Object(members) => {
            let is_empty = |url: &Value| {
                url.as_str()
                    .is_some_and(|url| url.ends_with("/google.protobuf.Empty"))
            };
            if members.get("@type").is_some_and(is_empty) {
                members.remove("value");
            }
            members.values_mut().for_each(settle);
        }
        _ => {}
    }
}

/// The same message; NaN is the same as NaN.
pub(crate) fn same(a: &DynamicMessage, b: &DynamicMessage) -> bool {
    let options = SerializeOptions::new();
    a == b || value(&oracle_text(a, &options).unwrap()) == value(&oracle_text(b, &options).unwrap())
}

/// What one field of `Optionals` is after reading.
pub(crate) fn scalar(field: &str, json: &str) -> String {
    let text = round("codec.test.Optionals", &format!(r#"{{"{field}":{json}}}"#));
    let text = text
        .strip_prefix(&format!(r#"{{"{field}":"#))
        .unwrap_or_else(|| panic!("{text}"));
    text.strip_suffix('}').unwrap().to_owned()
}

pub(crate) fn scalar_refused(field: &str, json: &str) -> String {
    let fault = refused("codec.test.Optionals", &format!(r#"{{"{field}":{json}}}"#));
    fault
        .strip_prefix(&format!("{field}: "))
        .unwrap_or(&fault)
        .to_owned()
}

/// A field with its length.
pub(crate) fn sized(number: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut bytes);
    encode_varint(payload.len() as u64, &mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

pub(crate) fn varint(number: u32, value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_key(number, WireType::Varint, &mut bytes);
    encode_varint(value, &mut bytes);
    bytes
}

/// The message as ProtoJSON prints it.
pub(crate) fn printed(name: &str, wire: &[u8]) -> String {
    write(&PROTO_JSON, name, wire).unwrap()
}
