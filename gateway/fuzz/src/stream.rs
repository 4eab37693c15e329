//! Streams cut at any byte: gRPC frames and JSON values come out as they do from a reading of the whole at once.

use std::io::Read;

use bytes::Bytes;
use serde_json::value::RawValue;

#[path = "../../src/frame.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the gateway's own file, of which only the reading is used"
)]
mod frame;
#[path = "../../src/request/split.rs"]
#[allow(dead_code, unreachable_pub, reason = "the gateway's own file")]
mod split;

use frame::Deframer;
use split::{Layout, Splitter};

/// The most bytes of one message or value.
const LIMIT: usize = 1024;

/// Messages or values in order, and whether an error came behind them.
type Outcome = (Vec<Vec<u8>>, bool);

/// Input: what to read (`d` frames, `g` frames with gzip, `l` lines, `v` values), the sizes of pieces as one byte, the stream.
pub fn check(data: &[u8]) {
    let [kind, size, stream @ ..] = data else {
        return;
    };
    let size = usize::from(*size % 64) + 1;
    for size in [size, usize::MAX] {
        let (found, expected) = match kind {
            b'd' | b'g' => {
                let gzip = *kind == b'g';
                (deframed(stream, size, gzip), frames(stream, gzip))
            }
            b'l' => (values(stream, size, Layout::Lines), lines(stream)),
            _ => {
                let found = values(stream, size, Layout::Values);
                compare_values(stream, &found);
                let whole = values(stream, usize::MAX, Layout::Values);
                (found, whole)
            }
        };
        assert!(
            found == expected,
            "in pieces of {size}: {found:?} instead of {expected:?}"
        );
    }
}

fn pieces(stream: &[u8], size: usize) -> impl Iterator<Item = Bytes> {
    stream
        .chunks(size.min(stream.len().max(1)))
        .map(Bytes::copy_from_slice)
}

fn deframed(stream: &[u8], size: usize, gzip: bool) -> Outcome {
    let mut deframer = Deframer::new(LIMIT, gzip);
    let mut messages = Vec::new();
    for piece in pieces(stream, size) {
        deframer.push(piece);
        loop {
            match deframer.next() {
                Ok(Some(message)) => messages.push(message.to_vec()),
                Ok(None) => break,
                Err(_) => return (messages, true),
            }
        }
    }
    (messages, deframer.finish().is_err())
}

fn frames(mut stream: &[u8], gzip: bool) -> Outcome {
    let mut messages = Vec::new();
    while !stream.is_empty() {
        let Some((header, rest)) = stream.split_at_checked(5) else {
            return (messages, true);
        };
        let length = header[1..]
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte));
        let is_known = header[0] == 0 || (header[0] == 1 && gzip);
        let Some((payload, rest)) = rest
            .split_at_checked(length)
            .filter(|_| is_known && length <= LIMIT)
        else {
            return (messages, true);
        };
        let mut message = payload.to_vec();
        if header[0] == 1 {
            message.clear();
            let unpacked = flate2::read::MultiGzDecoder::new(payload).read_to_end(&mut message);
            if unpacked.is_err() || message.len() > LIMIT {
                return (messages, true);
            }
        }
        messages.push(message);
        stream = rest;
    }
    (messages, false)
}

fn values(stream: &[u8], size: usize, layout: Layout) -> Outcome {
    let mut splitter = Splitter::new(layout, LIMIT);
    let mut values = Vec::new();
    for piece in pieces(stream, size) {
        splitter.push(piece);
        loop {
            match splitter.next() {
                Ok(Some(value)) => values.push(value.to_vec()),
                Ok(None) => break,
                Err(_) => return (values, true),
            }
        }
    }
    match splitter.finish() {
        Ok(last) => {
            values.extend(last.map(|last| last.to_vec()));
            (values, false)
        }
        Err(_) => (values, true),
    }
}

fn lines(stream: &[u8]) -> Outcome {
    let mut values = Vec::new();
    for line in stream.split(|byte| *byte == b'\n') {
        if line.len() > LIMIT {
            return (values, true);
        }
        if !line.trim_ascii().is_empty() {
            values.push(line.to_vec());
        }
    }
    (values, false)
}

/// Holds the values against serde_json's, where the stream is JSON for both.
fn compare_values(stream: &[u8], (found, is_fault): &Outcome) {
    let Ok(text) = str::from_utf8(stream) else {
        return;
    };
    let is_array = text
        .trim_start_matches([' ', '\t', '\n', '\r'])
        .starts_with('[');
    let parsed: Result<Vec<Box<RawValue>>, _> = if is_array {
        serde_json::from_str(text)
    } else {
        serde_json::Deserializer::from_str(text)
            .into_iter()
            .collect()
    };
    let is_json = |value: &Vec<u8>| serde_json::from_slice::<&RawValue>(value).is_ok();
    match parsed {
        Ok(values) if values.iter().all(|value| value.get().len() <= LIMIT) => {
            let expected: Vec<&[u8]> = values.iter().map(|value| value.get().as_bytes()).collect();
            assert!(
                !is_fault && *found == expected,
                "{found:?} instead of {expected:?} of {text:?}"
            );
        }
        Ok(_) => assert!(is_fault, "a value is too long in {text:?}"),
        Err(error) => assert!(
            !is_array || *is_fault || !found.iter().all(is_json),
            "{text:?} was taken: {error}"
        ),
    }
}
