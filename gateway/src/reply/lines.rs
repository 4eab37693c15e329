//! Messages in framings that are made of lines: NDJSON and server-sent events.

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
