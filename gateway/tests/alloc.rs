//! What the codec allocates for one request: nothing but its output.
//!
//! The allocator of this binary counts. Outputs have room enough beforehand, so every allocation that is counted is the
//! codec's own. What does allocate is named at the end, so that the list can only shrink knowingly.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use http::{HeaderMap, Method};
use prost_reflect::DescriptorPool;
use pulpo_gateway::bind::{BindRule, Binder};
use pulpo_gateway::codec::Codec;
use pulpo_gateway::profile::{Absent, Enums, Integers, JsonProfile, Names, TimestampDigits};
use pulpo_gateway::router::{Lookup, Route, RouteMethod, Router};
use pulpo_gateway::template::Template;

struct Counting;

thread_local! {
    /// Allocations of this thread; tests run beside one another.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    COUNT.set(COUNT.get() + 1);
}

#[expect(
    unsafe_code,
    reason = "only an allocator sees allocations; it hands them to the system's"
)]
// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the promises of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the promises of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the promises of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `work` allocates.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

const PAYMENT: &str = r#"{"id":"pay_01HZX3K8Q0000","idempotencyKey":"9f0c-4d2a-0000","sourceWallet":"wal_01HZX3M2","targetWallet":"wal_01HZX3N7","amountMinor":"124950","currency":"EUR","status":"STATUS_SETTLED","purpose":"Hosting, \"November\"\n","category":"infra","agentId":"agt_01HZ","isTest":true,"riskScore":0.0375,"attempts":2,"tags":["cloud","eu"],"createdAt":"2026-11-22T07:15:00Z"}"#;

/// Every form of its own a payment may have.
const TRANSFER: &str = r#"{"id":"tra_1","amount":2500.00,"status":"STATUS_PENDING","createdAt":"2026-11-22T07:15:00.123Z","timeout":"1.500s","metadata":{"order":[1,{"a":9007199254740993}],"note":"h\u00e9"},"payment":{"id":"pay_1"},"feeMinor":"0","limit":"5","mask":"amount,payment.targetWallet","history":["STATUS_PENDING","STATUS_SETTLED"],"rates":[0.5,1e-7],"labels":{"a":"b","c":"d"},"splits":{"7":0.5},"digest":"YWJj"}"#;

fn list_of_50() -> String {
    format!(
        r#"{{"payments":[{}],"nextPageToken":"50"}}"#,
        [PAYMENT; 50].join(",")
    )
}

fn pool() -> DescriptorPool {
    let folder = env!("CARGO_MANIFEST_DIR");
    let includes = [
        format!("{folder}/tests/protos"),
        format!("{folder}/../proto"),
    ];
    DescriptorPool::from_file_descriptor_set(protox::compile(["payment.proto"], includes).unwrap())
        .unwrap()
}

fn profiles() -> [JsonProfile; 2] {
    let own = JsonProfile {
        names: Names::Proto,
        absent: Absent::Null,
        print_defaults: true,
        integers: Integers::SafeNumbers,
        enums: Enums::LowerWithoutPrefix,
        timestamps: TimestampDigits::Millis,
        ..JsonProfile::default()
    };
    [JsonProfile::default(), own]
}

#[test]
fn neither_direction_allocates() {
    let pool = pool();
    let list = list_of_50();
    for profile in profiles() {
        let codec = Codec::new(&pool, profile, pool.all_messages());
        for (name, json) in [
            ("Payment", PAYMENT),
            ("Payments", &list),
            ("Transfer", TRANSFER),
            ("Payment", "{}"),
        ] {
            let message = codec.message(&format!("codec.payment.{name}")).unwrap();
            let mut wire = Vec::with_capacity(json.len() * 2);
            let read = allocations(|| {
                codec
                    .read_json(message, json.as_bytes(), &mut wire)
                    .unwrap()
            });
            assert_eq!(read, 0, "reading {name}");
            let mut text = Vec::with_capacity(json.len() * 4 + 1024);
            let write = allocations(|| codec.write_json(message, &wire, &mut text).unwrap());
            assert_eq!(write, 0, "writing {name}");
            assert!(json == "{}" || text.len() > json.len() / 2);
        }
    }
}

#[test]
fn one_field_of_a_reply_is_printed_without_an_allocation() {
    let pool = pool();
    let codec = Codec::new(&pool, JsonProfile::default(), pool.all_messages());
    let transfer = codec.message("codec.payment.Transfer").unwrap();
    let mut wire = Vec::new();
    codec
        .read_json(transfer, TRANSFER.as_bytes(), &mut wire)
        .unwrap();
    for (dotted, expected) in [
        ("amount", "2500.00"),
        ("payment", r#"{"id":"pay_1"}"#),
        ("payment.id", r#""pay_1""#),
        ("payment.currency", r#""""#),
        ("wallet", "null"),
        ("history", r#"["STATUS_PENDING","STATUS_SETTLED"]"#),
        ("labels", r#"{"a":"b","c":"d"}"#),
        ("payments", "[]"),
    ] {
        let path = codec.field_path(transfer, dotted).unwrap();
        let mut text = Vec::with_capacity(1024);
        let count = allocations(|| codec.write_field_json(&path, &wire, &mut text).unwrap());
        assert_eq!(String::from_utf8_lossy(&text), expected);
        assert_eq!(count, 0, "{dotted}");
    }
}

/// A request bound from path, query and headers, and how often that allocated.
fn bound(query: &str, path: &str) -> u64 {
    let pool = pool();
    let message = pool.get_message_by_name("codec.payment.Transfer").unwrap();
    let codec = Codec::new(&pool, JsonProfile::default(), [message.clone()]);
    let text = "/v1/transfers/{id}/{payment.source_wallet}";
    let template = Template::parse(text).unwrap();
    let rule = BindRule {
        template: &template,
        body: "",
        response_body: "",
        is_strict: true,
        is_streaming: false,
    };
    let binder = Binder::compile(&codec, &message, &message, &rule).unwrap();
    let route = Route {
        method: RouteMethod::Any,
        template: text.to_owned(),
        target: (),
    };
    let router = Router::new(vec![route]).ok().unwrap();
    let headers = HeaderMap::new();
    let mut wire = Vec::with_capacity(1024);
    let count = allocations(|| {
        let Lookup::Match(found) = router.lookup(&Method::GET, path) else {
            panic!("{path} does not match")
        };
        let (query, captures) = (Some(query), &found.captures);
        binder
            .write(&codec, None, query, &headers, captures, &mut wire)
            .unwrap();
    });
    assert!(!wire.is_empty());
    count
}

const PATH: &str = "/v1/transfers/tra_1/wal_1";

#[test]
fn path_and_query_are_bound_without_an_allocation() {
    let plain = "status=STATUS_PENDING&createdAt=2026-11-22T07:15:00Z&amount=2500.00&fee_minor=3&history=1&history=2&payment.currency=EUR&digest=YWJj&limit=7&mask=amount,id";
    assert_eq!(bound(plain, PATH), 0);
}

#[test]
fn what_does_allocate() {
    // An escape is decoded into a text of its own, in the query and in the path.
    assert!(bound("payment.purpose=a%20b", PATH) > 0);
    assert!(bound("", "/v1/transfers/tra%20/wal_1") > 0);
    // An entry of a map is put together as JSON.
    assert!(bound("labels[a]=b", PATH) > 0);
    let pool = pool();
    let codec = Codec::new(&pool, JsonProfile::default(), pool.all_messages());
    let transfer = codec.message("codec.payment.Transfer").unwrap();
    let nine: Vec<String> = (0..9).map(|key| format!(r#""{key}":"x""#)).collect();
    let nine = format!(r#"{{"labels":{{{}}}}}"#, nine.join(","));
    for (json, reason) in [
        (
            nine.as_str(),
            "a map of more than eight entries is checked with a set",
        ),
        (
            r#"{"\u0069d":"x"}"#,
            "a name with an escape is decoded first",
        ),
        (
            r#"{"status":"STATUS\u005fPENDING"}"#,
            "a name with an escape is decoded first",
        ),
    ] {
        let mut wire = Vec::with_capacity(1024);
        let count = allocations(|| {
            codec
                .read_json(transfer, json.as_bytes(), &mut wire)
                .unwrap()
        });
        assert!(count > 0, "no longer true: {reason}");
    }
    // What no encoder writes is gathered and sorted: here the fields are not in order.
    let mut text = Vec::with_capacity(1024);
    let wire = [0x18, 1, 0x0a, 1, b'x'];
    let count = allocations(|| codec.write_json(transfer, &wire, &mut text).unwrap());
    assert!(count > 0);
}
