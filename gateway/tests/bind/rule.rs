//! Rules checked when they are compiled.

use pulpo_gateway::{
    bind::{BindFault, BindRule, Binder, Body},
    template::Template,
};

use crate::fixture::fixture;

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
    // A body's mask would stay, and the path would add to it.
    assert_eq!(
        faults("t.Request", "/v1/{mask}", "*", ""),
        [cannot("mask", "a field mask")]
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
        is_streaming: false,
    };
    let faults = Binder::compile(&fixture.codec, &unknown, &unknown, &rule).unwrap_err();
    assert!(matches!(&faults[..], [BindFault::UnknownMessage { .. }]));
}
