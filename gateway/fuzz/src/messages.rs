//! The messages, their codec, and the oracle's ways to read, print and compare them.

use std::sync::LazyLock;

use prost_reflect::prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use pulpo_gateway::codec::Codec;
use pulpo_gateway::profile::JsonProfile;
use serde_json::Value;

/// Messages a target chooses from by the first byte of its input.
pub const NAMES: [&str; 12] = [
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
    "google.protobuf.Value",
    "google.protobuf.Any",
];

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/protos");
    let mut compiler = protox::Compiler::new([folder]).expect("the folder is there");
    compiler
        .include_imports(true)
        .open_file("codec.proto")
        .expect("the file compiles");
    compiler.descriptor_pool()
});

/// ProtoJSON for all messages of the pool.
pub static CODEC: LazyLock<Codec> =
    LazyLock::new(|| Codec::new(&POOL, JsonProfile::default(), POOL.all_messages()));

/// Splits the input into a message and the rest. The first byte is a letter in the kept corpora, for the reader's sake.
pub fn choose(data: &[u8]) -> Option<(MessageDescriptor, &[u8])> {
    let (first, rest) = data.split_first()?;
    let name = NAMES[usize::from(first.wrapping_sub(b'a')) % NAMES.len()];
    Some((descriptor(name), rest))
}

/// The descriptor of a message.
pub fn descriptor(name: &str) -> MessageDescriptor {
    POOL.get_message_by_name(name).expect("a known name")
}

/// The codec's wire form of a JSON text.
pub fn read(
    message: &MessageDescriptor,
    json: &[u8],
) -> Result<Vec<u8>, pulpo_gateway::codec::JsonFault> {
    let id = CODEC
        .message(message.full_name())
        .expect("all are compiled");
    let mut out = Vec::new();
    CODEC.read_json(id, json, &mut out).map(|()| out)
}

/// The codec's JSON text of a message on the wire.
pub fn write(
    message: &MessageDescriptor,
    wire: &[u8],
) -> Result<String, pulpo_gateway::codec::WireFault> {
    let id = CODEC
        .message(message.full_name())
        .expect("all are compiled");
    let mut out = Vec::new();
    CODEC.write_json(id, wire, &mut out)?;
    Ok(String::from_utf8(out).expect("what is printed is UTF-8"))
}

/// The message as the oracle decodes it.
pub fn decode(message: &MessageDescriptor, wire: &[u8]) -> Option<DynamicMessage> {
    DynamicMessage::decode(message.clone(), wire).ok()
}

/// The message as the oracle reads it from JSON.
pub fn oracle_read(message: &MessageDescriptor, json: &[u8]) -> Result<DynamicMessage, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let read = DynamicMessage::deserialize(message.clone(), &mut deserializer)
        .map_err(|error| error.to_string())?;
    deserializer.end().map_err(|error| error.to_string())?;
    Ok(read)
}

/// The JSON text the oracle prints.
pub fn oracle_write(message: &DynamicMessage) -> Result<String, String> {
    let mut serializer = serde_json::Serializer::new(Vec::new());
    message
        .serialize_with_options(&mut serializer, &SerializeOptions::new())
        .map_err(|error| error.to_string())?;
    String::from_utf8(serializer.into_inner()).map_err(|error| error.to_string())
}

/// Parsed JSON in which 1 and 1.0 are the same.
pub fn value(text: &str) -> Option<Value> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.disable_recursion_limit();
    let mut value = serde::Deserialize::deserialize(&mut deserializer).ok()?;
    whole_numbers(&mut value);
    Some(value)
}

fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let float = number.as_f64().unwrap_or_default();
            let is_negative_zero = float == 0.0 && float.is_sign_negative();
            if float.fract() == 0.0 && float.abs() < 1e18 && !is_negative_zero {
                *value = Value::from(float as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(members) => members.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

/// Whether two messages are the same, NaN being the same as NaN.
pub fn same(one: &DynamicMessage, other: &DynamicMessage) -> bool {
    if one == other || one.encode_to_vec() == other.encode_to_vec() {
        return true;
    }
    match (oracle_write(one), oracle_write(other)) {
        (Ok(one), Ok(other)) => value(&one) == value(&other),
        _ => false,
    }
}
