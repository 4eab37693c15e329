//! The messages of these tests, their codec, and requests bound with them.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use protox::file::{
    ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver,
};
use pulpo_gateway::{
    bind::{BindFault, BindRule, Binder, ParameterProblem, RequestFault},
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
pub(crate) struct Decoded(DynamicMessage);

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

pub(crate) struct Fixture {
    pool: DescriptorPool,
    pub(crate) codec: Codec,
}

pub(crate) fn fixture() -> Fixture {
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
    pub(crate) fn compile(
        &self,
        template: &str,
        body: &str,
        is_strict: bool,
    ) -> Result<Binder, Vec<BindFault>> {
        self.compile_message("t.Request", template, body, "", is_strict)
    }

    pub(crate) fn compile_message(
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
            is_streaming: false,
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
    pub(crate) fn message(&self, json: &str) -> Decoded {
        let mut wire = Vec::new();
        let id = self.codec.message("t.Request").unwrap();
        self.codec
            .read_json(id, json.as_bytes(), &mut wire)
            .unwrap();
        self.decode(&wire)
    }

    pub(crate) fn query(&self, binder: &Binder, query: &str) -> Result<Decoded, RequestFault> {
        let mut wire = Vec::new();
        binder
            .write_query(&self.codec, query, &mut wire)
            .map(|()| self.decode(&wire))
    }

    /// Binds a whole request with the captures of a real lookup.
    pub(crate) fn request(
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
        let Lookup::Match(found) = router.lookup(&Method::GET, path) else {
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

pub(crate) fn problem(result: Result<Decoded, RequestFault>) -> (String, ParameterProblem) {
    match result {
        Err(RequestFault::Parameter { name, problem, .. }) => (name, problem),
        other => panic!("{other:?}"),
    }
}
