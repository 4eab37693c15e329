//! Messages in framings that are made of lines: NDJSON and server-sent events.

use bytes::Bytes;

use crate::{codec::FieldPath, fault::Fault, surface::Surface};

const DATA: &[u8] = b"data: ";

/// What `print` appends, as the data of one event, and the end of the event.
pub(super) fn data<E>(
    out: &mut Vec<u8>,
    print: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    out.extend_from_slice(DATA);
    let start = out.len();
    print(out)?;
    if memchr::memchr2(b'\n', b'\r', out.get(start..).unwrap_or_default()).is_some() {
        let data = out.split_off(start);
        out.truncate(start - DATA.len());
        data_of(&data, out);
    } else {
        out.extend_from_slice(b"\n\n");
    }
    Ok(())
}

/// A line break can only be white space in a value that is carried as it was written.
pub(super) fn join(json: &mut [u8]) {
    let mut from = 0;
    while let Some(found) = json
        .get(from..)
        .and_then(|rest| memchr::memchr2(b'\n', b'\r', rest))
    {
        from += found;
        if let Some(byte) = json.get_mut(from) {
            *byte = b' ';
        }
    }
}

/// The data of one event, a field for each of its lines, and the end of the event.
pub(super) fn data_of(data: &[u8], out: &mut Vec<u8>) {
    for line in data.split(|b| *b == b'\n') {
        out.extend_from_slice(DATA);
        out.extend(line.iter().filter(|b| **b != b'\r'));
        out.push(b'\n');
    }
    out.push(b'\n');
}

/// A line with the text of a field; nothing where the field is empty, or would not be one line.
pub(super) fn field(
    surface: &Surface,
    start: &str,
    path: &FieldPath,
    message: &Bytes,
    out: &mut Vec<u8>,
) -> Result<(), Box<Fault>> {
    let mut json = Vec::new();
    surface
        .codec
        .write_field_json(path, message, &mut json)
        .map_err(|fault| super::broken(&fault.to_string()))?;
    let text = match json.first() {
        Some(b'"') => serde_json::from_slice(&json).unwrap_or_default(),
        _ => String::from_utf8(json).unwrap_or_default(),
    };
    if !text.is_empty() && text != "null" && !text.contains(['\n', '\r', '\0']) {
        out.extend_from_slice(start.as_bytes());
        out.extend_from_slice(text.as_bytes());
        out.push(b'\n');
    }
    Ok(())
}
