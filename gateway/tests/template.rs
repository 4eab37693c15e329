//! The grammar of path templates, case by case.

use pulpo_gateway::template::{
    MAX_TEMPLATE_BYTES, MAX_TEMPLATE_SEGMENTS, Segment, Template, TemplateFaultReason,
};

/// Writes a parsed template in a plain form: its segments, then each variable with its range, then the verb.
fn shape(text: &str) -> String {
    let template = Template::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
    let segments = template.segments().iter().map(|segment| match segment {
        Segment::Literal(text) => text.to_string(),
        Segment::One => "*".to_owned(),
        Segment::Rest => "**".to_owned(),
    });
    let mut parts = vec![segments.collect::<Vec<_>>().join("|")];
    for variable in template.variables() {
        let plus = if variable.is_multi { "+" } else { "" };
        let range = &variable.segments;
        parts.push(format!(
            "{plus}{}={}..{}",
            variable.field, range.start, range.end
        ));
    }
    parts.extend(template.verb().map(|verb| format!(":{verb}")));
    assert_eq!(template.text(), text);
    parts.join(" ")
}

#[test]
fn the_grammar_is_read_in_full() {
    let cases = [
        ("/v1", "v1"),
        ("/", ""),
        ("/v1/", "v1"),
        ("/v1/*", "v1|*"),
        ("/v1/**", "v1|**"),
        ("/**", "**"),
        ("/v1/{id}", "v1|* id=1..2"),
        ("/v1/{id}/", "v1|* id=1..2"),
        ("/v1/{id=*}", "v1|* id=1..2"),
        ("/v1/{id=x}", "v1|x id=1..2"),
        ("/v1/{id=**}", "v1|** +id=1..2"),
        ("/v1/{a.b.c_1=x/*}", "v1|x|* +a.b.c_1=1..3"),
        ("/v1/{a.b=x/*/**}", "v1|x|*|** +a.b=1..4"),
        (
            "/v1/{name=shelves/*/books/*}:move",
            "v1|shelves|*|books|* +name=1..5 :move",
        ),
        ("/v1/{a}/{b}/c/{d}", "v1|*|*|c|* a=1..2 b=2..3 d=4..5"),
        ("/v1/{a}:cancel", "v1|* a=1..2 :cancel"),
        ("/v1/{a}:cancel/", "v1|* a=1..2 :cancel"),
        ("/v1/jobs:run", "v1|jobs :run"),
        ("/v1/**:watch", "v1|** :watch"),
        ("/v1/*:v%20w", "v1|* :v w"),
        ("/v1/a:b:c", "v1|a:b :c"),
        ("/v1/x:y/z", "v1|x:y|z"),
        ("/v1/{a=x:y/*}", "v1|x:y|* +a=1..3"),
        ("/a%20b/%E2%82%AC", "a b|€"),
        ("/a%2Fb", "a/b"),
        (
            "/@me/~x/a+b/a=b/$x/(a),(b);'c'!&",
            "@me|~x|a+b|a=b|$x|(a),(b);'c'!&",
        ),
        ("/v1/{_x}", "v1|* _x=1..2"),
        ("/v1/{a.b}/{a.c}", "v1|*|* a.b=1..2 a.c=2..3"),
        ("/v1/{ab}/{a}", "v1|*|* ab=1..2 a=2..3"),
    ];
    for (text, expected) in cases {
        assert_eq!(shape(text), expected, "{text}");
    }
}

#[test]
fn faults_are_named_with_their_place() {
    use TemplateFaultReason::*;
    let cases = [
        ("", 0, NotAbsolute),
        ("v1/x", 0, NotAbsolute),
        ("{a}", 0, NotAbsolute),
        ("//", 1, EmptySegment),
        ("/v1//x", 4, EmptySegment),
        ("/v1//", 4, EmptySegment),
        ("/v1/:run", 4, EmptySegment),
        ("/:run", 1, EmptySegment),
        ("/v1/x:", 5, EmptyVerb),
        ("/v1/{a}:", 7, EmptyVerb),
        ("/v1/.", 4, DotSegment),
        ("/v1/../x", 4, DotSegment),
        ("/v1/%2E%2e", 4, DotSegment),
        ("/v1/x{a}", 5, Unexpected('{')),
        ("/v1/{a}x", 7, Unexpected('x')),
        ("/v1/{a}:b:c", 7, Unexpected(':')),
        ("/v1/x*", 5, Unexpected('*')),
        ("/v1/*x", 5, Unexpected('x')),
        ("/v1/***", 6, Unexpected('*')),
        ("/v1/}", 4, Unexpected('}')),
        ("/v1/{a=x/*:y}", 10, Unexpected(':')),
        ("/v1/{a b}", 6, Unexpected(' ')),
        ("/v1/x:*", 6, Unexpected('*')),
        ("/v1/a b", 5, NotEncoded(' ')),
        ("/v1/é", 4, NotEncoded('é')),
        ("/v1/a?b", 5, NotEncoded('?')),
        ("/v1/a#b", 5, NotEncoded('#')),
        ("/v1/a%2", 4, Escape("a%2".into())),
        ("/v1/%FF", 4, Escape("%FF".into())),
        ("/v1/**/x", 7, AfterRest),
        ("/v1/{a=**}/x", 11, AfterRest),
        ("/v1/{a=**/x}", 10, AfterRest),
        ("/v1/**/{a}", 9, AfterRest),
        ("/v1/{a={b}}", 7, Nested),
        ("/v1/{a=x/{b}}", 9, Nested),
        ("/v1/{a=x{b}}", 8, Nested),
        ("/v1/{a", 4, Unclosed),
        ("/v1/{a=", 4, Unclosed),
        ("/v1/{a=x/y", 4, Unclosed),
        ("/v1/{a=}", 7, EmptySegment),
        ("/v1/{a=x/}", 9, EmptySegment),
        ("/v1/{a=/x}", 7, EmptySegment),
        ("/v1/{}", 5, FieldPath),
        ("/v1/{.a}", 5, FieldPath),
        ("/v1/{a.}", 5, FieldPath),
        ("/v1/{a..b}", 5, FieldPath),
        ("/v1/{1a}", 5, FieldPath),
        ("/v1/{*}", 5, FieldPath),
        ("/v1/{a}/{a}", 9, BoundTwice("a".into())),
        ("/v1/{a}/{a.b}", 9, BoundTwice("a.b".into())),
        ("/v1/{a.b}/{a}", 11, BoundTwice("a".into())),
    ];
    for (text, position, reason) in cases {
        let fault = Template::parse(text).expect_err(text);
        assert_eq!((fault.position, fault.reason), (position, reason), "{text}");
    }
}

#[test]
fn size_is_limited() {
    let long = format!("/{}", "a".repeat(MAX_TEMPLATE_BYTES - 1));
    assert!(Template::parse(&long).is_ok());
    assert_eq!(
        Template::parse(&(long + "a")).unwrap_err().reason,
        TemplateFaultReason::TooLong
    );
    let deep = "/a".repeat(MAX_TEMPLATE_SEGMENTS);
    assert!(Template::parse(&deep).is_ok());
    assert_eq!(
        Template::parse(&(deep + "/a")).unwrap_err().reason,
        TemplateFaultReason::TooManySegments
    );
}

#[test]
fn a_fault_reads_as_a_sentence() {
    let fault = Template::parse("/v1/{a").unwrap_err();
    assert_eq!(
        fault.to_string(),
        "at byte 4: the variable is not closed by '}'"
    );
}
