//! The texts that are counted, and one conversion of each.

use anyhow::{Context, Result};
use prost_reflect::DescriptorPool;

use crate::codec::{Codec, MessageId};
use crate::profile::JsonProfile;

/// Payments in a list.
const PAYMENTS: usize = 50;
/// Line items in the free JSON, about 4 KB of them.
const ITEMS: usize = 24;
/// Length of the long text in bytes.
const NOTE_BYTES: usize = 1 << 20;

/// Names of the texts, each with its message.
pub(crate) const TEXTS: [(&str, &str); 4] = [
    ("payment", "codec.payment.Payment"),
    ("payments", "codec.payment.Payments"),
    ("document", "codec.payment.Document"),
    ("note", "codec.payment.Note"),
];

/// Which way a text is converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// JSON to the wire.
    Read,
    /// The wire to JSON.
    Write,
}

impl Direction {
    pub(crate) const ALL: [Direction; 2] = [Direction::Read, Direction::Write];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Direction::Read => "read",
            Direction::Write => "write",
        }
    }
}

/// One conversion, ready to run.
pub(crate) struct Case {
    codec: Codec,
    message: MessageId,
    direction: Direction,
    pub(crate) input: Vec<u8>,
    pub(crate) expected: Vec<u8>,
    output: Vec<u8>,
}

impl Case {
    /// The case of a name such as `payment-read`.
    pub(crate) fn named(name: &str) -> Result<Self> {
        let of = |text: &str, direction: Direction| format!("{text}-{}", direction.name());
        let found = TEXTS.iter().find_map(|&(text, message)| {
            Direction::ALL
                .into_iter()
                .find(|&direction| of(text, direction) == name)
                .map(|direction| (text, message, direction))
        });
        let (text, message, direction) = found.with_context(|| format!("no case {name}"))?;
        let (codec, json) = (codec()?, json(text));
        let message = codec.message(message).context("the message is missing")?;
        let mut wire = Vec::new();
        codec.read_json(message, json.as_bytes(), &mut wire)?;
        let (input, expected) = match direction {
            Direction::Read => (json.into_bytes(), wire),
            Direction::Write => (wire, json.into_bytes()),
        };
        // Growing the output is not the codec's work.
        let output = Vec::with_capacity(expected.len() * 2);
        Ok(Case {
            codec,
            message,
            direction,
            input,
            expected,
            output,
        })
    }

    /// Converts once. Counted by its name, so it must not become part of another function.
    #[inline(never)]
    pub(crate) fn counted_conversion(&mut self) -> bool {
        self.converted()
    }

    /// Converts once, and says whether that was possible.
    #[inline(always)]
    pub(crate) fn converted(&mut self) -> bool {
        self.output.clear();
        let (input, output) = (&self.input, &mut self.output);
        match self.direction {
            Direction::Read => self.codec.read_json(self.message, input, output).is_ok(),
            Direction::Write => self.codec.write_json(self.message, input, output).is_ok(),
        }
    }

    /// Whether the last conversion gave what it should.
    pub(crate) fn is_right(&self) -> bool {
        self.output == self.expected
    }
}

fn codec() -> Result<Codec> {
    let gateway = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let includes = [
        format!("{gateway}/tests/protos"),
        format!("{gateway}/../proto"),
    ];
    let files = protox::compile(["payment.proto"], includes)?;
    let pool = DescriptorPool::from_file_descriptor_set(files)?;
    Ok(Codec::new(
        &pool,
        JsonProfile::default(),
        pool.all_messages(),
    ))
}

/// The JSON of a text, as the codec prints it.
fn json(text: &str) -> String {
    match text {
        "payment" => payment(0),
        "payments" => {
            let payments: Vec<String> = (0..PAYMENTS).map(payment).collect();
            format!(
                r#"{{"payments":[{}],"nextPageToken":"50"}}"#,
                payments.join(",")
            )
        }
        "document" => {
            let items: Vec<String> = (0..ITEMS).map(item).collect();
            format!(
                r#"{{"name":"order","data":{{"order":{{"id":"ord_1","total":477.60}},"items":[{}]}}}}"#,
                items.join(",")
            )
        }
        _ => {
            let sentence = "A payment is a promise that has been kept. ";
            let text = sentence.repeat(NOTE_BYTES / sentence.len() + 1);
            format!(r#"{{"text":"{}"}}"#, &text[..NOTE_BYTES])
        }
    }
}

/// A payment of 375 bytes.
fn payment(n: usize) -> String {
    format!(
        r#"{{"id":"pay_01HZX3K8Q{n:04}","idempotencyKey":"9f0c-4d2a-{n:04}","sourceWallet":"wal_01HZX3M2","targetWallet":"wal_01HZX3N7","amountMinor":"{}","currency":"EUR","status":"STATUS_SETTLED","purpose":"Hosting, November","category":"infra","agentId":"agt_01HZ","isTest":true,"riskScore":0.0375,"attempts":2,"tags":["cloud","eu"],"createdAt":"2026-11-22T07:15:00Z"}}"#,
        124_950 + n
    )
}

fn item(n: usize) -> String {
    format!(
        r#"{{"sku":"SKU-{n:05}","title":"Line item number {n}","quantity":{n},"price":{{"amount":"19.90","currency":"EUR"}},"flags":[true,false,null],"weight":1.25,"ref":4007199254{n:02},"checksum":"c0ffee{n:02}"}}"#
    )
}
