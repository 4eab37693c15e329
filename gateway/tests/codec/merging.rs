//! The wire to JSON where a field comes more than once, or another member of its oneof.

use pulpo_gateway::codec::WireProblem;

use crate::support::{PROTO_JSON, printed, sized, varint, write};

#[test]
fn oneofs_keep_the_last_member() {
    let name = "codec.test.Choice";
    let text = sized(2, b"a");
    let scalars = sized(4, &varint(3, 1));
    let more = sized(4, &varint(4, 2));
    assert_eq!(
        printed(name, &[text.clone(), varint(3, 9)].concat()),
        r#"{"number":9}"#
    );
    assert_eq!(
        printed(name, &[varint(3, 9), text.clone()].concat()),
        r#"{"text":"a"}"#
    );
    assert_eq!(
        printed(name, &[scalars.clone(), more.clone()].concat()),
        r#"{"scalars":{"theInt32":1,"theInt64":"2"}}"#
    );
    // A member in between clears what came before.
    assert_eq!(
        printed(name, &[scalars, text, more].concat()),
        r#"{"scalars":{"theInt64":"2"}}"#
    );
}

#[test]
fn map_entries_may_be_incomplete_swapped_and_repeated() {
    let name = "codec.test.Maps";
    let by_int32 = |entry: &[u8]| sized(1, entry);
    let (key, value) = (varint(1, 7), sized(2, b"x"));
    assert_eq!(printed(name, &by_int32(b"")), r#"{"byInt32":{"0":""}}"#);
    assert_eq!(printed(name, &by_int32(&key)), r#"{"byInt32":{"7":""}}"#);
    assert_eq!(printed(name, &by_int32(&value)), r#"{"byInt32":{"0":"x"}}"#);
    assert_eq!(
        printed(name, &by_int32(&[value.clone(), key.clone()].concat())),
        r#"{"byInt32":{"7":"x"}}"#
    );
    assert_eq!(
        printed(
            name,
            &by_int32(
                &[
                    varint(9, 1),
                    key.clone(),
                    varint(1, 8),
                    value.clone(),
                    sized(2, b"y")
                ]
                .concat()
            )
        ),
        r#"{"byInt32":{"8":"y"}}"#
    );
    let twice = [
        by_int32(&[key.clone(), value].concat()),
        by_int32(&varint(1, 8)),
        by_int32(&[key, sized(2, b"y")].concat()),
    ]
    .concat();
    assert_eq!(printed(name, &twice), r#"{"byInt32":{"7":"y","8":""}}"#);
    let many: Vec<u8> = (0..100)
        .flat_map(|key| by_int32(&varint(1, key % 50)))
        .collect();
    assert_eq!(printed(name, &many).matches(':').count(), 51);
    // The same key in a longer varint is the same key.
    assert_eq!(
        printed(
            name,
            &[by_int32(&[0x08, 0x01]), by_int32(&[0x08, 0x81, 0x00])].concat()
        ),
        r#"{"byInt32":{"1":""}}"#
    );
    assert_eq!(
        printed("codec.test.Tree", &sized(5, &sized(1, b"k"))),
        r#"{"named":{"k":{}}}"#
    );
    let timestamp = PROTO_JSON.message("codec.test.Known").unwrap();
    let mut out = Vec::new();
    PROTO_JSON
        .write_json(timestamp, &sized(1, b""), &mut out)
        .unwrap();
    assert_eq!(out, br#"{"timestamp":"1970-01-01T00:00:00Z"}"#);
}

#[test]
fn what_merges_with_or_overrides_a_value_without_json_form_decides() {
    let name = "codec.test.Known";
    let timestamp = |nanos: u64| sized(1, &[varint(1, 1_700_000_000), varint(2, nanos)].concat());
    // Nanoseconds below zero, then half a second: the timestamp merges, and its last nanoseconds count.
    let (bad, good) = (timestamp(u64::MAX), timestamp(500_000_000));
    let merged = r#"{"timestamp":"2023-11-14T22:13:20.500Z"}"#;
    assert_eq!(printed(name, &[bad.clone(), good.clone()].concat()), merged);
    let fault = write(&PROTO_JSON, name, &[good, bad].concat()).unwrap_err();
    assert_eq!(fault.path, "timestamp");
    assert_eq!(fault.problem, WireProblem::Timestamp);
    // A number that is not finite, then another kind; an unknown type, then a known one.
    let infinite = sized(5, &[&[0x11][..], &f64::INFINITY.to_le_bytes()].concat());
    let text = sized(5, &sized(3, b"a"));
    assert_eq!(
        printed(name, &[infinite, text].concat()),
        r#"{"value":"a"}"#
    );
    let any = |url: &[u8]| sized(7, &sized(1, url));
    assert_eq!(
        printed(
            name,
            &[any(b"/no.Such"), any(b"/codec.test.Choice")].concat()
        ),
        r#"{"any":{"@type":"/codec.test.Choice"}}"#
    );
    // Bytes that are no message stay a fault, whatever follows.
    let cut = sized(1, &[0x08]);
    let fault = write(&PROTO_JSON, name, &[cut, timestamp(0)].concat()).unwrap_err();
    assert_eq!(fault.problem, WireProblem::Truncated);
}
