//! The wire to JSON, case by case.

use std::time::{Duration, Instant};

use pulpo_gateway::codec::WireProblem;
use pulpo_gateway::profile::JsonProfile;

use crate::support::{PROTO_JSON, codec, printed, sized, varint, write};

fn fault(name: &str, wire: &[u8]) -> WireProblem {
    write(&PROTO_JSON, name, wire).unwrap_err().problem
}

#[test]
fn numbers_print_shortest() {
    for (value, expected) in [
        (0.1, "0.1"),
        (1.0, "1"),
        (-1.5, "-1.5"),
        (1e21, "1e21"),
        (5e-324, "5e-324"),
        (123_456_789.0, "123456789"),
        (-0.0, "-0"),
        (f64::NAN, "\"NaN\""),
        (f64::NEG_INFINITY, "\"-Infinity\""),
    ] {
        let wire = [&[0x09][..], &f64::to_le_bytes(value)].concat();
        let text = printed("codec.test.Scalars", &wire).replace("e+", "e");
        assert_eq!(text, format!(r#"{{"theDouble":{expected}}}"#));
    }
    let wire = [&[0x15][..], &0.1f32.to_le_bytes()].concat();
    assert_eq!(printed("codec.test.Scalars", &wire), r#"{"theFloat":0.1}"#);
    assert_eq!(
        printed("codec.test.Scalars", &varint(3, u64::MAX)),
        r#"{"theInt32":-1}"#
    );
    // A longer varint than a 32-bit field needs is cut, not refused.
    assert_eq!(
        printed("codec.test.Scalars", &varint(5, 0x1_0000_0001)),
        r#"{"theUint32":1}"#
    );
    assert_eq!(
        printed("codec.test.Scalars", &varint(13, 2)),
        r#"{"theBool":true}"#
    );
}

#[test]
fn defaults_without_presence_are_left_out() {
    let zeros = [
        &[0x09; 1][..],
        &[0; 8],
        &[
            0x15, 0, 0, 0, 0, 0x18, 0, 0x20, 0x80, 0x00, 0x68, 0, 0x72, 0, 0x7a, 0,
        ],
    ]
    .concat();
    assert_eq!(printed("codec.test.Scalars", &zeros), "{}");
    assert_eq!(
        printed(
            "codec.test.Scalars",
            &[zeros.as_slice(), &[0x80, 0x01, 1]].concat()
        ),
        r#"{"theColor":"COLOR_RED"}"#
    );
    assert_eq!(
        printed("codec.test.Optionals", &[0x18, 0, 0x72, 0]),
        r#"{"theInt32":0,"theString":""}"#
    );
    assert_eq!(printed("codec.test.Lists", &[0x1a, 0]), "{}");
    let minus_zero = [&[0x09][..], &(-0.0f64).to_le_bytes()].concat();
    assert_eq!(
        printed("codec.test.Scalars", &minus_zero),
        r#"{"theDouble":-0}"#
    );
}

#[test]
fn fields_of_another_wire_type_are_unknown() {
    let wire = [sized(3, b"abc"), varint(14, 5), varint(4, 7), varint(1, 1)].concat();
    assert_eq!(printed("codec.test.Scalars", &wire), r#"{"theInt64":"7"}"#);
    assert_eq!(printed("codec.test.Lists", &varint(14, 1)), "{}");
    assert_eq!(printed("codec.test.Maps", &varint(1, 1)), "{}");
}

#[test]
fn what_is_no_message_is_a_fault() {
    let tree = "codec.test.Tree";
    for (wire, expected) in [
        (&[0x0a][..], WireProblem::Truncated),
        (&[0x0a, 5, b'a'], WireProblem::Truncated),
        (
            &[
                0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
            ],
            WireProblem::Truncated,
        ),
        (&[0x30], WireProblem::Truncated),
        (&[0x30, 0x80], WireProblem::Truncated),
        (
            &[
                0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02,
            ],
            WireProblem::Varint,
        ),
        (&[0x00, 0x00], WireProblem::Tag),
        (&[0x07], WireProblem::Tag),
        (&[0x06, 0x00], WireProblem::Tag),
        (&[0xf8, 0xff, 0xff, 0xff, 0x1f, 0x00], WireProblem::Tag),
        (&[0x0c], WireProblem::Group),
        (&[0x93, 0x03, 0x0c], WireProblem::Group),
        (&[0x93, 0x03], WireProblem::Truncated),
        (&[0x0a, 1, 0xff], WireProblem::Utf8),
        (&[0x0a, 2, 0xe6, 0x97], WireProblem::Utf8),
        (&[0x2a, 3, 0x0a, 1, 0xff], WireProblem::Utf8),
    ] {
        assert_eq!(fault(tree, wire), expected, "{wire:x?}");
    }
    assert_eq!(fault(tree, &[0x93, 0x03].repeat(200)), WireProblem::TooDeep);
    // Two halves of one character in neighbouring strings do not make it whole.
    assert_eq!(
        fault("codec.test.Lists", &[0x72, 1, 0xc3, 0x72, 1, 0xa9]),
        WireProblem::Utf8
    );
}

#[test]
fn known_types_out_of_range_are_faults() {
    let known = "codec.test.Known";
    let time = |field, seconds: i64, nanos: i32| {
        sized(
            field,
            &[
                varint(1, seconds as u64),
                varint(2, i64::from(nanos) as u64),
            ]
            .concat(),
        )
    };
    for (seconds, nanos) in [
        (-62_135_596_801, 0),
        (253_402_300_800, 0),
        (0, -1),
        (0, 1_000_000_000),
        (i64::MIN, 0),
        (i64::MAX, 0),
    ] {
        assert_eq!(
            fault(known, &time(1, seconds, nanos)),
            WireProblem::Timestamp
        );
    }
    for (seconds, nanos) in [
        (315_576_000_001, 0),
        (-315_576_000_001, 0),
        (1, -1),
        (-1, 1),
        (0, 1_000_000_000),
        (i64::MIN, 0),
        (0, i32::MIN),
    ] {
        assert_eq!(
            fault(known, &time(2, seconds, nanos)),
            WireProblem::Duration
        );
    }
    for path in ["Upper", "a__b", "a_", "a_1", "a,b", "a.", ".a", "a..b", ""] {
        assert_eq!(
            fault(known, &sized(3, &sized(1, path.as_bytes()))),
            WireProblem::FieldMask,
            "{path}"
        );
    }
    for value in [f64::NAN, f64::INFINITY] {
        assert_eq!(
            fault(
                known,
                &sized(5, &[&[0x11][..], &value.to_le_bytes()].concat())
            ),
            WireProblem::NotFinite
        );
    }
    assert_eq!(printed(known, &sized(5, b"")), r#"{"value":null}"#);
    let nan = [&[0x09][..], &f64::NAN.to_le_bytes()].concat();
    assert_eq!(printed(known, &sized(10, &nan)), r#"{"doubleValue":"NaN"}"#);
    for url in ["", "codec.test.Tree", "x/no.Such"] {
        assert_eq!(
            fault(
                known,
                &sized(7, &[sized(1, url.as_bytes()), sized(2, b"x")].concat())
            ),
            WireProblem::UnknownType
        );
    }
    assert_eq!(
        fault(known, &sized(7, &sized(1, b"x/no.Such"))),
        WireProblem::UnknownType
    );
}

/// `levels` messages, each in field `number` of the one around it, made from the inside out.
fn nested(
    number: u32,
    levels: usize,
    mut wire: Vec<u8>,
    wrap: impl Fn(Vec<u8>) -> Vec<u8>,
) -> Vec<u8> {
    for _ in 0..levels {
        wire = wrap(sized(number, &wire));
    }
    wire
}

#[test]
fn nesting_is_limited() {
    let plain = |levels| nested(2, levels, Vec::new(), |wire| wire);
    printed("codec.test.Tree", &plain(100));
    assert_eq!(fault("codec.test.Tree", &plain(101)), WireProblem::TooDeep);
    assert_eq!(
        fault("codec.test.Tree", &plain(20_000)),
        WireProblem::TooDeep
    );
    // A map entry is a message too.
    let mapped =
        |levels| (0..levels).fold(Vec::new(), |wire: Vec<u8>, _| sized(5, &sized(2, &wire)));
    printed("codec.test.Tree", &mapped(50));
    assert_eq!(fault("codec.test.Tree", &mapped(51)), WireProblem::TooDeep);
    let shallow = codec(JsonProfile {
        max_depth: 2,
        ..JsonProfile::default()
    });
    write(&shallow, "codec.test.Tree", &plain(2)).unwrap();
    assert_eq!(
        write(&shallow, "codec.test.Tree", &plain(3)).map_err(|fault| fault.problem),
        Err(WireProblem::TooDeep)
    );
    // Gathered fields have the same limit.
    let twice = |levels| nested(2, levels, Vec::new(), |wire| [wire, sized(2, b"")].concat());
    printed("codec.test.Tree", &twice(100));
    assert_eq!(fault("codec.test.Tree", &twice(101)), WireProblem::TooDeep);
}

/// Every level is unusual at its very end, so a retry on each level alone would double the work with each of them.
#[test]
fn work_stays_linear_on_hostile_messages() {
    let started = Instant::now();
    let leaf = sized(1, &[b'x'; 200_000]);
    let late = nested(2, 95, leaf.clone(), |wire| {
        [wire, sized(1, b"late")].concat()
    });
    assert!(printed("codec.test.Tree", &late).len() > 200_000);
    let split = nested(2, 95, leaf, |wire| [sized(2, b""), wire].concat());
    assert!(printed("codec.test.Tree", &split).len() > 200_000);
    let shuffled: Vec<u8> = (0..100_000)
        .flat_map(|i| {
            if i % 2 == 0 {
                sized(4, b"")
            } else {
                varint(6, i)
            }
        })
        .collect();
    assert!(printed("codec.test.Tree", &shuffled).len() > 100_000);
    let keys: Vec<u8> = (0..50_000)
        .rev()
        .flat_map(|key| sized(1, &varint(1, key % 25_000)))
        .collect();
    assert!(printed("codec.test.Maps", &keys).len() > 100_000);
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn sparse_and_wide_messages() {
    let wire = [
        varint(1, 1),
        sized(1000, b"a"),
        varint(1024, 2),
        varint(1025, 3),
        sized(99_999, &varint(1025, 4)),
        sized(100_000, &[5, 6]),
        sized(536_870_911, b"z"),
    ];
    let expected = r#"{"first":1,"atThousand":"a","lastDense":2,"firstSparse":3,"inner":{"firstSparse":4},"numbers":[5,6],"highest":"z"}"#;
    assert_eq!(printed("codec.test.Sparse", &wire.concat()), expected);
    let mut reversed = wire.clone();
    reversed.reverse();
    assert_eq!(printed("codec.test.Sparse", &reversed.concat()), expected);
    assert_eq!(
        printed(
            "codec.test.Wide",
            &[varint(1130, 1), sized(1131, b"a")].concat()
        ),
        r#"{"right65":"a"}"#
    );
}
