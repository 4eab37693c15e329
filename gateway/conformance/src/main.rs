//! The gateway's codec as the testee of protobuf's own conformance tests.
//!
//! `conformance-testee INCLUDE` compiles the runner's test messages out of the folder INCLUDE, then answers requests on
//! standard input until the runner closes it. Every conversion between JSON and the binary format of the proto3 messages is
//! done. Skipped are the codec's non-goals: the text format, JSPB, proto2 and editions, and binary in to binary out, in which
//! a transcoder takes no part.

mod protocol;

use std::io::{self, BufReader, BufWriter};

use anyhow::{Context, Result};
use prost_reflect::DescriptorPool;
use pulpo_gateway::codec::{Codec, MessageId, WireProblem};
use pulpo_gateway::profile::{JsonProfile, Unknown};

use protocol::{Format, IGNORE_UNKNOWN, Outcome, Payload, Request, Response};

const MESSAGES: &str = "conformance/messages/test_messages_proto3.proto";
const PACKAGE: &str = "protobuf_test_messages.proto3.";

struct Testee {
    strict: Codec,
    /// For the tests that say what is unknown is to be ignored.
    lenient: Codec,
}

fn main() -> Result<()> {
    let include = std::env::args()
        .nth(1)
        .context("usage: conformance-testee INCLUDE")?;
    let testee = Testee::new(&include)?;
    let mut input = BufReader::new(io::stdin().lock());
    let mut output = BufWriter::new(io::stdout().lock());
    while let Some(request) = protocol::receive(&mut input)? {
        let result = Some(testee.answer(&request));
        protocol::send(&mut output, &Response { result })?;
    }
    Ok(())
}

impl Testee {
    fn new(include: &str) -> Result<Self> {
        let files = protox::compile([MESSAGES], [include])
            .with_context(|| format!("the test messages in {include} do not compile"))?;
        let pool = DescriptorPool::from_file_descriptor_set(files)?;
        let codec = |unknown| {
            let profile = JsonProfile {
                unknown_fields: unknown,
                unknown_enums: unknown,
                ..JsonProfile::default()
            };
            Codec::new(&pool, profile, pool.all_messages())
        };
        Ok(Testee {
            strict: codec(Unknown::Refuse),
            lenient: codec(Unknown::Ignore),
        })
    }

    fn answer(&self, request: &Request) -> Outcome {
        let codec = if request.test_category == IGNORE_UNKNOWN {
            &self.lenient
        } else {
            &self.strict
        };
        let message = Some(&*request.message_type)
            .filter(|name| name.starts_with(PACKAGE))
            .and_then(|name| codec.message(name));
        let Some(message) = message else {
            return skipped("not a proto3 message");
        };
        match (&request.payload, request.requested_output_format()) {
            (Some(Payload::Json(json)), Format::Protobuf) => {
                read(codec, message, json).map_or_else(|fault| fault, Outcome::Protobuf)
            }
            (Some(Payload::Json(json)), Format::Json) => read(codec, message, json)
                .map_or_else(|fault| fault, |wire| write(codec, message, &wire)),
            (Some(Payload::Protobuf(wire)), Format::Json) => write(codec, message, wire),
            (Some(Payload::Protobuf(_)), Format::Protobuf) => skipped("no JSON on either side"),
            _ => skipped("neither JSON nor the binary format"),
        }
    }
}

fn skipped(reason: &str) -> Outcome {
    Outcome::Skipped(reason.to_owned())
}

fn read(codec: &Codec, message: MessageId, json: &[u8]) -> Result<Vec<u8>, Outcome> {
    let mut wire = Vec::new();
    match codec.read_json(message, json, &mut wire) {
        Ok(()) => Ok(wire),
        Err(fault) => Err(Outcome::ParseError(format!("{}: {fault}", fault.path))),
    }
}

/// Bytes that are no message could not be parsed; a message without a JSON form could not be serialised.
fn write(codec: &Codec, message: MessageId, wire: &[u8]) -> Outcome {
    let mut json = Vec::new();
    match codec.write_json(message, wire, &mut json) {
        Ok(()) => Outcome::Json(json),
        Err(fault) => match fault.problem {
            WireProblem::Truncated
            | WireProblem::Varint
            | WireProblem::Tag
            | WireProblem::Group
            | WireProblem::Utf8
            | WireProblem::TooDeep => Outcome::ParseError(fault.to_string()),
            _ => Outcome::SerializeError(fault.to_string()),
        },
    }
}
