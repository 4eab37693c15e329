//! Requests bound by rule, read back with prost-reflect.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use http::{HeaderMap, HeaderName, HeaderValue};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use protox::file::{
    ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver,
};
use pulpo_gateway::{
    bind::{
        BindFault, BindRule, Binder, Body, MAX_QUERY_DEPTH, MAX_QUERY_PARAMETERS, ParameterProblem,
        Place, RequestFault,
    },
    codec::Codec,
    profile::JsonProfile,
    router::{Lookup, Route, RouteMethod, Router},
    template::Template,
};

const PROTO: &str = r#"
syntax = "proto3";
package t;

import "google/protobuf/duration.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "pulpo/options/v1/options.proto";
import "pulpo/type/v1/decimal.proto";
import "pulpo/type/v1/json.proto";

enum Status { STATUS_UNSPECIFIED = 0; STATUS_OPEN = 1; STATUS_CLOSED = 2; }

message Filter {
  string owner_id = 1;
  Filter next_one = 2;
  oneof kind { string a = 3; string b = 4; }
  pulpo.type.v1.Json raw = 5;
}

message Request {
  string id = 1;
  int32 page_size = 2;
  repeated string tag = 3;
  Status status = 4;
  Filter filter = 5;
  map<string, string> labels = 6;
  map<string, bool> flags = 7;
  map<int32, Status> states = 8;
  google.protobuf.Timestamp since = 9;
  google.protobuf.Int64Value limit = 10;
  pulpo.type.v1.Decimal amount = 11;
  pulpo.type.v1.Json extra = 12;
  google.protobuf.Struct loose = 13;
  oneof choice { string by_name = 14; Filter by_filter = 15; int32 by_number = 16; }
  optional bool exact = 17;
  string idempotency_key = 18 [(pulpo.options.v1.field).header = "Idempotency-Key"];
  repeated string accepts = 19 [(pulpo.options.v1.field).header = "x-accepts"];
  repeated Filter filters = 20;
  map<string, Filter> named = 21;
  google.protobuf.FieldMask mask = 22;
  repeated int32 numbers = 23;
  map<string, pulpo.type.v1.Decimal> amounts = 24;
  google.protobuf.Duration wait = 25;
  string renamed = 26 [json_name = "other-name"];
  map<string, google.protobuf.Int64Value> limits = 27;
  bytes data = 28;
}

message BadHeaders {
  string spaced = 1 [(pulpo.options.v1.field).header = "not a header"];
  Filter filter = 2 [(pulpo.options.v1.field).header = "x-filter"];
  map<string, string> labels = 3 [(pulpo.options.v1.field).header = "x-labels"];
}
"#;

/// A message as prost-reflect reads it. That crate's own debug form does not end for messages that recurse.
#[derive(PartialEq)]
struct Decoded(DynamicMessage);

impl std::fmt::Debug for Decoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.encode_to_vec().escape_ascii())
    }
}

struct TestFile;

impl FileResolver for TestFile {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == "t.proto" {
            File::from_source(name, PROTO)
        } else {
            Err(protox::Error::file_not_found(name))
        }
    }
}

struct Fixture {
    pool: DescriptorPool,
    codec: Codec,
}

fn fixture() -> Fixture {
    let mut resolver = ChainFileResolver::new();
    resolver.add(TestFile);
    resolver.add(IncludeFileResolver::new(
        concat!(env!("CARGO_MANIFEST_DIR"), "/../proto").into(),
    ));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).open_file("t.proto").unwrap();
    let pool = compiler.descriptor_pool();
    let roots = ["t.Request", "t.BadHeaders"].map(|name| pool.get_message_by_name(name).unwrap());
    let codec = Codec::new(&pool, JsonProfile::default(), roots);
    Fixture { pool, codec }
}

impl Fixture {
    fn compile(
        &self,
        template: &str,
        body: &str,
        is_strict: bool,
    ) -> Result<Binder, Vec<BindFault>> {
        self.compile_message("t.Request", template, body, "", is_strict)
    }

    fn compile_message(
        &self,
        name: &str,
        template: &str,
        body: &str,
        response_body: &str,
        is_strict: bool,
    ) -> Result<Binder, Vec<BindFault>> {
        let message = self.pool.get_message_by_name(name).unwrap();
        let template = Template::parse(template).unwrap();
        let rule = BindRule {
            template: &template,
            body,
            response_body,
            is_strict,
        };
        Binder::compile(&self.codec, &message, &message, &rule)
    }

    fn decode(&self, wire: &[u8]) -> Decoded {
        let message = self.pool.get_message_by_name("t.Request").unwrap();
        let decoded = DynamicMessage::decode(message.clone(), wire).unwrap();
        // Once more, so that a default written to override what came before is equal to nothing written.
        Decoded(DynamicMessage::decode(message, decoded.encode_to_vec().as_slice()).unwrap())
    }

    /// What a body with this JSON would give.
    fn message(&self, json: &str) -> Decoded {
        let mut wire = Vec::new();
        let id = self.codec.message("t.Request").unwrap();
        self.codec
            .read_json(id, json.as_bytes(), &mut wire)
            .unwrap();
        self.decode(&wire)
    }

    fn query(&self, binder: &Binder, query: &str) -> Result<Decoded, RequestFault> {
        let mut wire = Vec::new();
        binder
            .write_query(&self.codec, query, &mut wire)
            .map(|()| self.decode(&wire))
    }

    /// Binds a whole request with the captures of a real lookup.
    fn request(
        &self,
        template: &str,
        body: &str,
        (path, query): (&str, &str),
        headers: &[(&'static str, &'static str)],
        json: Option<&str>,
    ) -> Result<Decoded, RequestFault> {
        let binder = self.compile(template, body, true).unwrap();
        let route = Route {
            method: RouteMethod::Any,
            template: template.to_owned(),
            target: (),
        };
        let router = Router::new(vec![route]).ok().unwrap();
        let Lookup::Match(found) = router.lookup(&http::Method::GET, path) else {
            panic!("{path} does not match")
        };
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        let mut wire = Vec::new();
        let json = json.map(str::as_bytes);
        binder.write(
            &self.codec,
            json,
            Some(query),
            &headers,
            &found.captures,
            &mut wire,
        )?;
        Ok(self.decode(&wire))
    }
}

fn problem(result: Result<Decoded, RequestFault>) -> (String, ParameterProblem) {
    match result {
        Err(RequestFault::Parameter { name, problem, .. }) => (name, problem),
        other => panic!("{other:?}"),
    }
}

#[test]
fn query_parameters_fill_fields_of_every_kind() {
    let fixture = fixture();
    let binder = fixture.compile("/v1/x", "", true).unwrap();
    let cases = [
        ("", "{}"),
        ("&&", "{}"),
        ("id=a+b%2Bc%26", r#"{"id":"a b+c&"}"#),
        ("id=", "{}"),
        ("page_size=5", r#"{"pageSize":5}"#),
        ("pageSize=5", r#"{"pageSize":5}"#),
        ("page%5Fsize=5", r#"{"pageSize":5}"#),
        ("tag=a&tag=b&tag=", r#"{"tag":["a","b",""]}"#),
        ("numbers=1&numbers=-2", r#"{"numbers":[1,-2]}"#),
        ("status=STATUS_OPEN", r#"{"status":1}"#),
        ("status=2", r#"{"status":2}"#),
        ("filter.owner_id=me", r#"{"filter":{"ownerId":"me"}}"#),
        (
            "filter.nextOne.owner_id=x&filter.next_one.a=y&filter.ownerId=z",
            r#"{"filter":{"ownerId":"z","nextOne":{"ownerId":"x","a":"y"}}}"#,
        ),
        (
            "labels[a]=1&labels[b.c]=2&labels%5Bd%20e%5D=%22%5C",
            r#"{"labels":{"a":"1","b.c":"2","d e":"\"\\"}}"#,
        ),
        (
            "flags[x]=true&flags[y]=false",
            r#"{"flags":{"x":true,"y":false}}"#,
        ),
        (
            "states[-1]=STATUS_OPEN&states[2]=2",
            r#"{"states":{"-1":1,"2":2}}"#,
        ),
        (
            "amounts[a]=1.50&amounts[b]=-2e3",
            r#"{"amounts":{"a":1.50,"b":-2e3}}"#,
        ),
        (
            "limits[a]=9007199254740993",
            r#"{"limits":{"a":"9007199254740993"}}"#,
        ),
        (
            "since=2024-01-31T10:00:00Z",
            r#"{"since":"2024-01-31T10:00:00Z"}"#,
        ),
        ("wait=1.5s", r#"{"wait":"1.5s"}"#),
        ("mask=a,bC", r#"{"mask":"a,bC"}"#),
        ("limit=9007199254740993", r#"{"limit":"9007199254740993"}"#),
        ("amount=2500.00", r#"{"amount":2500.00}"#),
        ("exact=true", r#"{"exact":true}"#),
        ("exact=false", r#"{"exact":false}"#),
        (
            "by_filter.a=1&byFilter.next_one.b=2",
            r#"{"byFilter":{"a":"1","nextOne":{"b":"2"}}}"#,
        ),
        ("other-name=x", r#"{"other-name":"x"}"#),
        ("renamed=x", r#"{"other-name":"x"}"#),
        ("data=aGk%3D", r#"{"data":"aGk="}"#),
    ];
    for (query, json) in cases {
        match fixture.query(&binder, query) {
            Ok(message) => assert_eq!(message, fixture.message(json), "{query}"),
            Err(fault) => panic!("{query}: {fault}"),
        }
    }
}

#[test]
fn what_is_not_known_is_named_or_ignored() {
    let fixture = fixture();
    let strict = fixture.compile("/v1/{id}", "filter", true).unwrap();
    let lenient = fixture.compile("/v1/{id}", "filter", false).unwrap();
    let cases = [
        "nothing",
        "id",
        "filter",
        "filter.owner_id",
        "filter.nextOne.a",
        "by_filter",
        "extra",
        "extra.text",
        "loose",
        "loose.fields[a]",
        "filters",
        "filters.a",
        "named[x]",
        "nothing[x]",
        "by_filter.raw",
        "amount.value",
        "since.seconds",
        "idempotency_key",
        "accepts",
        "labels.key",
        "",
    ];
    for name in cases {
        let query = format!("{name}=1&page_size=3");
        assert_eq!(
            problem(fixture.query(&strict, &query)),
            (name.to_owned(), ParameterProblem::Unknown)
        );
        assert_eq!(
            fixture.query(&lenient, &query),
            Ok(fixture.message(r#"{"pageSize":3}"#)),
            "{name}"
        );
    }
}

#[test]
fn with_the_whole_message_in_the_body_there_are_no_parameters() {
    let fixture = fixture();
    let strict = fixture.compile("/v1/{id}", "*", true).unwrap();
    assert_eq!(
        problem(fixture.query(&strict, "tag=a")),
        ("tag".to_owned(), ParameterProblem::Unknown)
    );
    let lenient = fixture.compile("/v1/{id}", "*", false).unwrap();
    assert_eq!(
        fixture.query(&lenient, "tag=a&exact=maybe"),
        Ok(fixture.message("{}"))
    );
}

#[test]
fn contradictions_are_refused_even_where_the_surface_is_lenient() {
    let fixture = fixture();
    let binder = fixture.compile("/v1/x", "", false).unwrap();
    let conflict = |oneof: &str| ParameterProblem::OneofConflict {
        oneof: oneof.to_owned(),
    };
    let cases = [
        (
            "page_size=1&page_size=2",
            "page_size",
            ParameterProblem::Twice,
        ),
        (
            "page_size=1&pageSize=1",
            "pageSize",
            ParameterProblem::Twice,
        ),
        (
            "filter.a=1&x=y&filter.a=1",
            "filter.a",
            ParameterProblem::Twice,
        ),
        (
            "labels[a]=1&labels[b]=1&labels[a]=2",
            "labels[a]",
            ParameterProblem::Twice,
        ),
        ("by_name=a&by_number=1", "by_number", conflict("choice")),
        ("by_name=a&by_filter.a=1", "by_filter.a", conflict("choice")),
        ("filter.a=a&filter.b=1", "filter.b", conflict("kind")),
        ("labels=a", "labels", ParameterProblem::Key),
        ("page_size[a]=1", "page_size[a]", ParameterProblem::Key),
        ("tag[]=1", "tag[]", ParameterProblem::Key),
        ("id=%FF", "id", ParameterProblem::Utf8),
    ];
    for (query, name, expected) in cases {
        assert_eq!(
            problem(fixture.query(&binder, query)),
            (name.to_owned(), expected),
            "{query}"
        );
    }
    // The same oneof at two places is two choices.
    assert!(
        fixture
            .query(&binder, "filter.a=1&filter.next_one.b=2&by_filter.b=3")
            .is_ok()
    );
}

#[test]
fn values_that_do_not_fit_name_their_parameter() {
    let fixture = fixture();
    let binder = fixture.compile("/v1/x", "", false).unwrap();
    for query in [
        "page_size=many",
        "page_size=",
        "page_size=2147483648",
        "numbers=1&numbers=x",
        "status=NOPE",
        "exact=yes",
        "since=yesterday",
        "amount=1%2C5",
        "amount=1.2.3",
        "flags[x]=1",
        "flags[x]=yes",
        "states[x]=1",
        "states[1]=-",
        "states[1]=1%2C%222%22:2",
        "limit=1.5",
    ] {
        let (name, problem) = problem(fixture.query(&binder, query));
        assert!(
            matches!(problem, ParameterProblem::Value(_)),
            "{query}: {problem}"
        );
        assert!(query.contains(&name), "{query}: {name}");
    }
}

#[test]
fn numbers_and_names_are_limited() {
    let fixture = fixture();
    let binder = fixture.compile("/v1/x", "", true).unwrap();
    let many = vec!["tag=a"; MAX_QUERY_PARAMETERS].join("&");
    assert!(fixture.query(&binder, &many).is_ok());
    let limit = MAX_QUERY_PARAMETERS;
    assert_eq!(
        fixture.query(&binder, &format!("{many}&x=1")),
        Err(RequestFault::TooManyParameters { limit })
    );

    let deepest = format!("filter.{}a=1", "next_one.".repeat(MAX_QUERY_DEPTH - 2));
    assert!(fixture.query(&binder, &deepest).is_ok());
    let too_deep = format!("filter.{}a=1", "next_one.".repeat(MAX_QUERY_DEPTH - 1));
    assert_eq!(
        problem(fixture.query(&binder, &too_deep)).1,
        ParameterProblem::Unknown
    );

    let (name, _) = problem(fixture.query(&binder, &format!("{}=1", "é".repeat(500))));
    assert_eq!(name, "é".repeat(64));
}

#[test]
fn the_path_wins_over_headers_query_and_body() {
    let fixture = fixture();
    let bound = |template, body, target, headers: &[_], json| {
        fixture
            .request(template, body, target, headers, json)
            .unwrap_or_else(|fault| panic!("{fault}"))
    };
    let headers = [
        ("idempotency-key", "k1"),
        ("x-accepts", "a"),
        ("x-accepts", "b"),
        ("x-else", "c"),
    ];
    assert_eq!(
        bound(
            "/v1/{id}/{filter.owner_id}",
            "*",
            ("/v1/p%2Fq/me", ""),
            &headers,
            Some(r#"{"id":"b","idempotencyKey":"b","filter":{"ownerId":"b","a":"kept"},"tag":["t"]}"#)
        ),
        fixture.message(
            r#"{"id":"p/q","idempotencyKey":"k1","accepts":["a","b"],"filter":{"ownerId":"me","a":"kept"},"tag":["t"]}"#
        ),
    );
    assert_eq!(
        bound(
            "/v1/{filter.owner_id}",
            "filter",
            ("/v1/me", "tag=t&id=q"),
            &[],
            Some(r#"{"ownerId":"b","b":"kept"}"#)
        ),
        fixture.message(r#"{"id":"q","filter":{"ownerId":"me","b":"kept"},"tag":["t"]}"#),
    );
    assert_eq!(
        bound(
            "/v1/{status}/{page_size}/{since}",
            "",
            ("/v1/STATUS_CLOSED/7/2024-01-31T10:00:00Z", "filter.a=1"),
            &[],
            Some("{")
        ),
        fixture.message(
            r#"{"status":2,"pageSize":7,"since":"2024-01-31T10:00:00Z","filter":{"a":"1"}}"#
        ),
        "a route without a body reads none"
    );
    assert_eq!(
        bound("/v1/{id=x/**}", "", ("/v1/x/a%2Fb/c", ""), &[], None),
        fixture.message(r#"{"id":"x/a%2Fb/c"}"#)
    );
    assert_eq!(
        bound("/v1/x", "tag", ("/v1/x", ""), &[], Some(r#"["a","b"]"#)),
        fixture.message(r#"{"tag":["a","b"]}"#)
    );
}

#[test]
fn a_later_default_replaces_an_earlier_value() {
    let fixture = fixture();
    let cases = [
        ("/v1/{page_size}", "/v1/0", r#"{"pageSize":5}"#, "{}"),
        (
            "/v1/{exact}",
            "/v1/false",
            r#"{"exact":true}"#,
            r#"{"exact":false}"#,
        ),
        (
            "/v1/{limit}",
            "/v1/0",
            r#"{"limit":"5"}"#,
            r#"{"limit":"0"}"#,
        ),
        ("/v1/{status}", "/v1/0", r#"{"status":"STATUS_OPEN"}"#, "{}"),
        (
            "/v1/{by_name}",
            "/v1/n",
            r#"{"byFilter":{"a":"x"}}"#,
            r#"{"byName":"n"}"#,
        ),
        (
            "/v1/{wait}",
            "/v1/1s",
            r#"{"wait":"2.5s"}"#,
            r#"{"wait":"1s"}"#,
        ),
        (
            "/v1/{since}",
            "/v1/2024-01-31T10:00:00Z",
            r#"{"since":"2023-01-01T00:00:00.5Z"}"#,
            r#"{"since":"2024-01-31T10:00:00Z"}"#,
        ),
    ];
    for (template, path, body, expected) in cases {
        let bound = fixture.request(template, "*", (path, ""), &[], Some(body));
        assert_eq!(bound, Ok(fixture.message(expected)), "{template}");
    }
}

#[test]
fn faults_of_path_headers_and_body_say_where() {
    let fixture = fixture();
    let fails = |template, body, path, headers: &[_], json| {
        fixture
            .request(template, body, (path, ""), headers, json)
            .expect_err(path)
    };
    let fault = fails("/v1/{page_size}", "", "/v1/x", &[], None);
    assert!(matches!(
        &fault,
        RequestFault::Parameter {
            place: Place::Path,
            problem: ParameterProblem::Value(_),
            ..
        }
    ));
    assert_eq!(fault.name(), "page_size");
    assert!(
        fault
            .to_string()
            .starts_with("path parameter 'page_size': expected "),
        "{fault}"
    );

    let twice = fails(
        "/v1/x",
        "",
        "/v1/x",
        &[("idempotency-key", "a"), ("idempotency-key", "b")],
        None,
    );
    assert_eq!(
        twice.to_string(),
        "header 'idempotency-key': given more than once"
    );

    let body = fails(
        "/v1/x",
        "*",
        "/v1/x",
        &[],
        Some(r#"{"filter":{"ownerId":1}}"#),
    );
    assert_eq!(body.name(), "filter.ownerId");
    assert!(matches!(body, RequestFault::Body(_)));

    let binder = fixture.compile("/v1/x", "", true).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("idempotency-key", HeaderValue::from_bytes(b"\xff").unwrap());
    let not_text = binder
        .write_headers(&fixture.codec, &headers, &mut Vec::new())
        .unwrap_err();
    assert_eq!(
        not_text.to_string(),
        "header 'idempotency-key': not valid UTF-8"
    );
}

#[test]
fn a_rule_that_cannot_work_is_refused_when_compiled() {
    let fixture = fixture();
    let faults = |name, template, body, response_body| -> Vec<String> {
        let compiled = fixture.compile_message(name, template, body, response_body, true);
        compiled
            .expect_err(template)
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    let cannot = |field: &str, shape: &str| {
        format!(
            "the path template names the field '{field}', which is {shape} and cannot be filled from there"
        )
    };
    assert_eq!(
        faults("t.Request", "/v1/{tag}", "", ""),
        [cannot("tag", "repeated")]
    );
    assert_eq!(
        faults("t.Request", "/v1/{labels}", "", ""),
        [cannot("labels", "a map")]
    );
    assert_eq!(
        faults("t.Request", "/v1/{filter}", "", ""),
        [cannot("filter", "a message")]
    );
    assert_eq!(
        faults("t.Request", "/v1/{extra}", "", ""),
        [cannot("extra", "a message")]
    );
    assert_eq!(
        faults("t.Request", "/v1/{nope}/{filter.nope}/{id.x}/{tag}", "none", "gone"),
        [
            "the path template names the field 'nope': `t.Request` has no field `nope`".to_owned(),
            "the path template names the field 'filter.nope': `t.Filter` has no field `nope`".to_owned(),
            "the path template names the field 'id.x': field `id` of `t.Request` has no fields of its own".to_owned(),
            cannot("tag", "repeated"),
            "the body names the field 'none': `t.Request` has no field `none`".to_owned(),
            "the response body names the field 'gone': `t.Request` has no field `gone`".to_owned(),
        ]
    );
    assert_eq!(
        faults("t.Request", "/v1", "filter.a", ""),
        ["the body 'filter.a' has to be a field at the top level of the message"]
    );
    assert_eq!(
        faults("t.BadHeaders", "/v1", "", ""),
        [
            "'not a header' of the field 'spaced' is not a header name",
            "the header rule names the field 'filter', which is a message and cannot be filled from there",
            "the header rule names the field 'labels', which is a map and cannot be filled from there",
        ]
    );
}

#[test]
fn a_compiled_rule_tells_what_it_does() {
    let fixture = fixture();
    let binder = fixture
        .compile_message("t.Request", "/v1/{id}", "filter", "tag", true)
        .unwrap();
    assert!(matches!(binder.body(), Body::Field(field) if field.name() == "filter"));
    assert_eq!(
        binder.response_body().map(|field| field.name()),
        Some("tag")
    );
    let headers: Vec<_> = binder
        .headers()
        .iter()
        .map(|header| header.name.as_str())
        .collect();
    assert_eq!(headers, ["idempotency-key", "x-accepts"]);
    assert!(matches!(
        fixture.compile("/v1", "*", true).unwrap().body(),
        Body::Message(_)
    ));
    assert!(matches!(
        fixture.compile("/v1", "", true).unwrap().body(),
        Body::None
    ));
}

#[test]
fn a_message_that_the_codec_lacks_is_a_fault() {
    let fixture = fixture();
    let other = prost_reflect::DescriptorPool::global();
    let unknown = other
        .get_message_by_name("google.protobuf.FileDescriptorProto")
        .unwrap();
    let template = Template::parse("/v1").unwrap();
    let rule = BindRule {
        template: &template,
        body: "",
        response_body: "",
        is_strict: true,
    };
    let faults = Binder::compile(&fixture.codec, &unknown, &unknown, &rule).unwrap_err();
    assert!(matches!(&faults[..], [BindFault::UnknownMessage { .. }]));
}
