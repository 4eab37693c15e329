//! Replies held against the API's own OpenAPI document: a schema that lies fails the test that sees it.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

use jsonschema::Validator;
use pulpo::{
    config::Http,
    contract::{Contract, SurfaceName},
    surfaces,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::Reply;

static DOCUMENTS: LazyLock<HashMap<SurfaceName, Described>> = LazyLock::new(|| {
    let contract = Contract::load().expect("a contract");
    let described = |name| {
        let surface = surfaces::compile(&contract, name, &Http::default()).expect("a surface");
        let document = surfaces::document(&contract, name, &surface);
        (name, Described::new(document))
    };
    SurfaceName::ALL.into_iter().map(described).collect()
});

struct Described {
    document: Value,
    /// By the place of the schema.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// Fails when a reply is not one that the document of the surface gives for the request.
#[track_caller]
pub(super) fn check(surface: SurfaceName, method: &Method, path: &str, reply: &Reply) {
    let described = &DOCUMENTS[&surface];
    if let Err(fault) = described.check(method, path, reply) {
        panic!(
            "{method} {path} gave {}, which is not what the document says: {fault}\n{}",
            reply.status, reply.text
        );
    }
}

impl Described {
    fn new(document: Value) -> Self {
        Self {
            document,
            validators: Mutex::default(),
        }
    }

    fn check(&self, method: &Method, path: &str, reply: &Reply) -> Result<(), String> {
        let Some(operation) = self.operation(method, path) else {
            return match reply.status {
                200..400 => Err("there is no such operation".to_owned()),
                _ => Ok(()),
            };
        };
        let responses = format!("{operation}/responses");
        let at = |status: &str| format!("{responses}/{status}");
        let status = reply.status.to_string();
        let place = match self.document.pointer(&at(&status)) {
            Some(_) => at(&status),
            None if reply.status >= 400 => at("default"),
            None => return Err("there is no such status".to_owned()),
        };
        let place = self.followed(place);
        let content = self.document.pointer(&format!("{place}/content"));
        let media_type = reply
            .header("content-type")
            .split(';')
            .next()
            .unwrap_or_default();
        if content.is_none() || reply.text.is_empty() {
            return match reply.text.as_str() {
                "" => Ok(()),
                _ => Err("there is no body".to_owned()),
            };
        }
        if content.is_some_and(|content| content.get("*/*").is_some()) {
            return Ok(());
        }
        let escaped = media_type.replace('/', "~1");
        let schema = format!("{place}/content/{escaped}/schema");
        if self.document.pointer(&schema).is_none() {
            return Err(format!("there is no {media_type}"));
        }
        match self.validator(&schema).iter_errors(&reply.json).next() {
            None => Ok(()),
            Some(fault) => Err(format!("{fault} at {}", fault.instance_path())),
        }
    }

    /// The place of the operation whose path is the most specific one that matches.
    fn operation(&self, method: &Method, path: &str) -> Option<String> {
        let paths = self.document["paths"].as_object()?;
        // HEAD is GET without a body, and documents do not repeat it.
        let key = match *method {
            Method::HEAD => "get".to_owned(),
            _ => method.as_str().to_lowercase(),
        };
        let found = paths
            .iter()
            .filter(|(_, item)| item.get(&key).is_some())
            .filter_map(|(template, _)| Some((literals(template, path)?, template)))
            .max()?;
        let escaped = found.1.replace('~', "~0").replace('/', "~1");
        Some(format!("/paths/{escaped}/{key}"))
    }

    fn followed(&self, place: String) -> String {
        let reference = self.document.pointer(&format!("{place}/$ref"));
        match reference.and_then(Value::as_str) {
            Some(reference) => reference.trim_start_matches('#').to_owned(),
            None => place,
        }
    }

    fn validator(&self, schema: &str) -> Arc<Validator> {
        let mut validators = self.validators.lock().expect("no panic before");
        let compile = || {
            let root = json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "allOf": [self.document.pointer(schema)],
                "components": self.document["components"],
            });
            let options = jsonschema::options().should_validate_formats(true);
            Arc::new(options.build(&root).expect("a schema"))
        };
        validators
            .entry(schema.to_owned())
            .or_insert_with(compile)
            .clone()
    }
}

/// How many segments of a matching template are literal, from the left.
fn literals(template: &str, path: &str) -> Option<Vec<bool>> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let (template, path) = (template.split('/'), path.split('/'));
    if template.clone().count() != path.clone().count() {
        return None;
    }
    let matched = |(template, path): (&str, &str)| match template.starts_with('{') {
        true => Some(false),
        false => (template == path).then_some(true),
    };
    template.zip(path).map(matched).collect()
}

#[test]
fn a_reply_that_is_not_described_is_found() {
    let described = &DOCUMENTS[&SurfaceName::Pay];
    let reply = |status, text: &str| Reply {
        status,
        headers: [(
            reqwest::header::CONTENT_TYPE,
            "application/json".parse().expect("a header"),
        )]
        .into_iter()
        .collect(),
        text: text.to_owned(),
        json: serde_json::from_str(text).unwrap_or_default(),
    };
    let check = |status, text| {
        let reply = reply(status, text);
        described.check(&Method::GET, "/pulse-api/wallets", &reply)
    };
    assert_eq!(check(200, r#"{"wallets":[]}"#), Ok(()));
    assert_eq!(
        check(401, r#"{"error":"x","code":"y","detail":null}"#),
        Ok(())
    );
    assert_eq!(
        check(418, r#"{"error":"x","code":"y","detail":null}"#),
        Ok(())
    );
    for (status, text) in [
        (200, "{}"),
        (200, r#"{"wallets":[{"id":"wal_1"}]}"#),
        (201, r#"{"wallets":[]}"#),
        (401, r#"{"error":"x","code":"y"}"#),
        (200, "text"),
    ] {
        assert!(check(status, text).is_err(), "{status} {text}");
    }
}
