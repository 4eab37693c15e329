//! Query parameters.

use pulpo_gateway::bind::{MAX_QUERY_DEPTH, MAX_QUERY_PARAMETERS, ParameterProblem, RequestFault};

use crate::fixture::{fixture, problem};

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
        ("labels[%FF]=1", "labels[%FF]", ParameterProblem::Utf8),
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
        "limits[a]=050",
        "amounts[a]=1.",
        "limit=1.5",
    ] {
        let (name, problem) = problem(fixture.query(&binder, query));
        assert!(
            matches!(problem, ParameterProblem::Value(_)),
            "{query}: {problem}"
        );
        assert!(query.contains(&name), "{query}: {name}");
        // A parameter is no JSON, whatever it is read as.
        assert!(!problem.to_string().contains("JSON"), "{query}: {problem}");
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
