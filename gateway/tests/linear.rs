//! Time grows with the input, not faster: eight times the input may take three times eight times as long, which a
//! quadratic step does not keep within. The thread's own processor time counts, and of several runs the least, so that a
//! busy machine does not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use prost_reflect::DescriptorPool;
use prost_reflect::prost::encoding::{WireType, encode_key, encode_varint};
use pulpo_gateway::bind::{BindRule, Binder};
use pulpo_gateway::codec::Codec;
use pulpo_gateway::profile::{JsonProfile, Unknown};
use pulpo_gateway::template::Template;

const SMALL: usize = 2_000;
const FACTOR: usize = 8;
const TOLERANCE: u32 = 3;
const RUNS: usize = 7;
/// Below this the clock and the scheduler say more than the code.
const NOISE: Duration = Duration::from_millis(4);

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/protos");
    let mut compiler = protox::Compiler::new([folder]).unwrap();
    compiler
        .include_imports(true)
        .open_file("codec.proto")
        .unwrap();
    compiler.descriptor_pool()
});

static CODEC: LazyLock<Codec> = LazyLock::new(|| {
    let profile = JsonProfile {
        unknown_fields: Unknown::Ignore,
        ..JsonProfile::default()
    };
    Codec::new(&POOL, profile, POOL.all_messages())
});

/// What this thread has used of a processor.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .unwrap()
        .into()
}

/// Runs `work` on an input of a size and on one of eight times that size.
fn grows_with_input<T>(name: &str, input: impl Fn(usize) -> T, work: impl Fn(&T)) {
    let least = |size: usize| {
        let input = input(size);
        let run = |_| {
            let started = processor_time();
            work(black_box(&input));
            processor_time() - started
        };
        (0..RUNS).map(run).min().unwrap()
    };
    let (small, large) = (least(SMALL), least(SMALL * FACTOR));
    let limit = small * (FACTOR as u32) * TOLERANCE + NOISE;
    assert!(large < limit, "{name}: {small:?}, then {large:?}");
}

fn read(message: &str, json: &str) {
    let id = CODEC.message(message).unwrap();
    let mut out = Vec::new();
    CODEC.read_json(id, json.as_bytes(), &mut out).unwrap();
    black_box(out);
}

fn write(message: &str, wire: &[u8]) {
    let id = CODEC.message(message).unwrap();
    let mut out = Vec::new();
    CODEC.write_json(id, wire, &mut out).unwrap();
    black_box(out);
}

/// A length-delimited field.
fn sized(number: u32, payload: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut field);
    encode_varint(payload.len() as u64, &mut field);
    field.extend_from_slice(payload);
    field
}

fn varint(number: u32, value: u64) -> Vec<u8> {
    let mut field = Vec::new();
    encode_key(number, WireType::Varint, &mut field);
    encode_varint(value, &mut field);
    field
}

/// `count` pieces one after another.
fn many(count: usize, piece: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    (0..count).flat_map(piece).collect()
}

fn list(count: usize, item: impl Fn(usize) -> String) -> String {
    (0..count).map(item).collect::<Vec<_>>().join(",")
}

#[test]
fn reading_json() {
    type Make = fn(usize) -> String;
    let cases: [(&str, Make); 12] = [
        ("codec.test.Maps", |n| {
            format!(
                r#"{{"byString":{{{}}}}}"#,
                list(n, |i| format!(r#""k{i}":"""#))
            )
        }),
        ("codec.test.Maps", |n| {
            format!(
                r#"{{"byInt64":{{{}}}}}"#,
                list(n, |i| format!(r#""{i}":"""#))
            )
        }),
        ("google.protobuf.Struct", |n| {
            format!("{{{}}}", list(n, |i| format!(r#""k{i}":{i}"#)))
        }),
        ("google.protobuf.Value", |n| {
            format!("[{}]", list(n, |i| format!("[{i},{{}}]")))
        }),
        ("codec.test.Lists", |n| {
            format!(r#"{{"theInt32":[{}]}}"#, list(n, |i| i.to_string()))
        }),
        ("codec.test.Lists", |n| {
            format!(r#"{{"messages":[{}]}}"#, list(n, |_| "{}".to_owned()))
        }),
        ("codec.test.Tree", |n| {
            format!(r#"{{"name":"{}"}}"#, "\\u00e9\\\\x".repeat(n))
        }),
        ("codec.test.Tree", |n| {
            format!(
                r#"{}{{"name":"{}"}}{}"#,
                r#"{"left":"#.repeat(90),
                "x".repeat(n * 8),
                "}".repeat(90)
            )
        }),
        ("codec.test.Tree", |n| {
            format!(r#"{{{}}}"#, list(n, |i| format!(r#""unknown{i}":[{{}}]"#)))
        }),
        ("codec.test.Tree", |n| {
            format!("{}{{{}}}", " \n".repeat(n), "\t".repeat(n))
        }),
        ("codec.test.Known", |n| {
            format!(
                r#"{{"any":{{"value":"{}","@type":"a/google.protobuf.StringValue"}}}}"#,
                "\\n".repeat(n)
            )
        }),
        ("codec.test.Known", |n| {
            format!(r#"{{"fieldMask":"{}"}}"#, list(n, |i| format!("aB.c{i}")))
        }),
    ];
    for (message, json) in cases {
        grows_with_input(&json(1), json, |json| read(message, json));
    }
}

#[test]
fn printing_json() {
    type Make = fn(usize) -> Vec<u8>;
    let cases: [(&str, &str, Make); 13] = [
        ("map", "codec.test.Maps", |n| {
            many(n, |i| sized(1, &varint(1, i as u64)))
        }),
        ("one key of a map", "codec.test.Maps", |n| {
            many(n, |_| sized(1, &varint(1, 7)))
        }),
        ("keys of a map backwards", "codec.test.Maps", |n| {
            many(n, |i| {
                sized(
                    12,
                    &[sized(2, b"v"), sized(1, i.to_string().as_bytes())].concat(),
                )
            })
        }),
        ("two fields in turns", "codec.test.Tree", |n| {
            many(n, |i| [sized(4, b""), varint(6, i as u64)].concat())
        }),
        ("one message in parts", "codec.test.Tree", |n| {
            many(n, |i| sized(2, &varint(6, i as u64)))
        }),
        ("parts in parts", "codec.test.Tree", |n| {
            many(n, |i| sized(2, &sized(3, &sized(2, &varint(6, i as u64)))))
        }),
        ("members of a oneof in turns", "codec.test.Choice", |n| {
            many(n, |i| {
                [varint(3, i as u64), sized(2, b"t"), sized(15, b"")].concat()
            })
        }),
        ("forms of a list in turns", "codec.test.Lists", |n| {
            many(n, |_| [varint(3, 5), sized(3, &[1, 2])].concat())
        }),
        ("packed list", "codec.test.Lists", |n| {
            sized(3, &[1].repeat(n * 4))
        }),
        ("unknown groups", "codec.test.Tree", |n| {
            [0x9b, 0x01, 0x9c, 0x01].repeat(n)
        }),
        ("string", "codec.test.Tree", |n| {
            sized(1, "\"\n é".repeat(n).as_bytes())
        }),
        ("values", "google.protobuf.ListValue", |n| {
            many(n, |_| sized(1, &sized(6, &sized(1, &varint(4, 1)))))
        }),
        ("fields far apart", "codec.test.Sparse", |n| {
            many(n, |i| [varint(100_000, i as u64), varint(1, 1)].concat())
        }),
    ];
    for (name, message, wire) in cases {
        grows_with_input(name, wire, |wire| write(message, wire));
    }
}

#[test]
fn reading_queries() {
    let message = POOL.get_message_by_name("codec.test.All").unwrap();
    let template = Template::parse("/").unwrap();
    let rule = BindRule {
        template: &template,
        body: "",
        response_body: "",
        is_strict: false,
        is_streaming: false,
    };
    let binder = Binder::compile(&CODEC, &message, &message, &rule).unwrap();
    let queries: [fn(usize) -> String; 4] = [
        |n| format!("tree.name={}", "%41+".repeat(n * 4)),
        |n| "&".repeat(n * 8),
        |n| format!("{}=1", "tree.left.".repeat(n)),
        |n| format!("maps.by_string[{}]=1", "a[".repeat(n * 4)),
    ];
    for query in queries {
        grows_with_input(&query(1), query, |query| {
            let mut out = Vec::new();
            binder.write_query(&CODEC, query, &mut out).unwrap();
            black_box(out);
        });
    }
    // As many parameters as one query may have, of one map and of one list, are a matter of milliseconds.
    let started = processor_time();
    let keys: String = (0..1_000)
        .map(|i| format!("maps.by_string[{i}]=1&"))
        .collect();
    let items: String = (0..1_000)
        .map(|i| format!("lists.the_int32={i}&"))
        .collect();
    for query in [keys, items] {
        binder.write_query(&CODEC, &query, &mut Vec::new()).unwrap();
    }
    assert!(processor_time() - started < Duration::from_secs(2));
}
