//! What the document says of forms is what the gateway reads as one.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use pulpo_gateway::{
    profile::JsonProfile,
    service::Gateway,
    surface::{Surface, SurfaceOptions},
};
use serde_json::{Value, json};
use tonic::body::Body;
use tower::ServiceExt;

use crate::support::{POOL, document, operations, options, profiles, services, surface};

const URLENCODED: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data";

/// Takes forms everywhere.
fn forming(profile: JsonProfile) -> Surface {
    let options = SurfaceOptions {
        has_forms: true,
        ..options(profile)
    };
    Surface::compile(&POOL, &services(), options).unwrap()
}

/// Reads every message, and answers with an empty one.
async fn reading(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    if let Err(status) = request.into_body().collect().await {
        return Ok(status.into_http());
    }
    let ended = HeaderValue::from_static("0");
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), ended)]);
    let trailers = std::future::ready(Some(Ok(trailers)));
    let frame = Full::from(Bytes::from_static(&[0; 5]));
    Ok(Response::new(Body::new(frame.with_trailers(trailers))))
}

fn resolved<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

/// A text of the schema.
fn text(document: &Value, schema: &Value) -> String {
    let schema = resolved(document, schema);
    let plain = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
    if let Some(way) = schema.pointer("/anyOf/0") {
        return text(document, way);
    }
    let given = schema.pointer("/examples/0");
    if let Some(given) = given.or_else(|| schema.pointer("/enum/0")) {
        return plain(given);
    }
    match schema["type"]
        .as_str()
        .unwrap_or_else(|| panic!("no text is {schema}"))
    {
        "string" => "text".to_owned(),
        "integer" => "1".to_owned(),
        "number" => "1.5".to_owned(),
        "boolean" => "true".to_owned(),
        "null" => "null".to_owned(),
        other => panic!("{other} is no text: {schema}"),
    }
}

/// The key of a map, as its schema wants it.
fn key(schema: &Value) -> &'static str {
    let names = &schema["propertyNames"];
    match (names["enum"].is_array(), names["pattern"].is_string()) {
        (true, _) => "true",
        (_, true) => "1",
        _ => "a key",
    }
}

/// A field of a form; the last says whether it is a file.
type Part = (String, String, bool);

/// Everything the schema says that a form can have, with the first member of each oneof alone.
fn parts(document: &Value, media: &Value) -> Vec<Part> {
    let schema = resolved(document, &media["schema"]);
    let names = |way: &Value| -> Vec<String> {
        let several = way["anyOf"].as_array().cloned();
        let ways = several.unwrap_or_else(|| vec![way.clone()]);
        let name = |way: &Value| way["required"][0].as_str().unwrap().to_owned();
        ways.iter().map(name).collect()
    };
    let choices = schema["allOf"].as_array().into_iter().flatten();
    let unchosen: Vec<String> = choices
        .flat_map(|choice| {
            let ways = choice["oneOf"].as_array().unwrap();
            ways[1..ways.len() - 1].iter().flat_map(names)
        })
        .collect();
    let is_file = |schema: &Value| schema["contentMediaType"] == "application/octet-stream";
    let mut parts = Vec::new();
    for (name, property) in schema["properties"].as_object().unwrap() {
        if unchosen.contains(name) {
            continue;
        }
        let (name, items) = (name.clone(), &property["items"]);
        if is_file(property) {
            parts.push((name, "bytes".to_owned(), true));
        } else if property["type"] == "array" {
            for _ in 0..2 {
                let value = match is_file(items) {
                    true => "bytes".to_owned(),
                    false => text(document, items),
                };
                parts.push((name.clone(), value, is_file(items)));
            }
        } else if property["type"] == "object" {
            assert_eq!(media["encoding"][&name]["style"], "deepObject", "{name}");
            let value = text(document, &property["additionalProperties"]);
            parts.push((format!("{name}[{}]", key(property)), value, false));
        } else {
            parts.push((name, text(document, property), false));
        }
    }
    parts
}

fn urlencoded(parts: &[Part]) -> String {
    let escaped = |text: &str| -> String {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let pairs = parts.iter();
    let pairs = pairs.map(|(name, value, is_file)| {
        assert!(!is_file, "{name}");
        format!("{}={}", escaped(name), escaped(value))
    });
    pairs.collect::<Vec<_>>().join("&")
}

fn multipart(parts: &[Part]) -> String {
    let part = |(name, value, is_file): &Part| {
        let name = name.replace('"', "\\\"");
        let file = if *is_file { "; filename=\"f\"" } else { "" };
        format!("--XX\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n")
    };
    parts.iter().map(part).collect::<String>() + "--XX--\r\n"
}

#[tokio::test]
async fn what_a_form_is_said_to_hold_is_read() {
    let mut count = 0;
    for profile in profiles() {
        let surface = Arc::new(forming(profile.clone()));
        let document = document(&surface);
        for (method, path, operation) in operations(&document) {
            let content = &operation["requestBody"]["content"];
            for (media_type, content_type) in [
                (URLENCODED, URLENCODED.to_owned()),
                (MULTIPART, format!("{MULTIPART}; boundary=XX")),
            ] {
                let Some(media) = content.get(media_type) else {
                    continue;
                };
                let parts = parts(&document, media);
                let body = match media_type {
                    URLENCODED => urlencoded(&parts),
                    _ => multipart(&parts),
                };
                let uri = path.replace(['{', '}'], "").replace("shelfId", "1");
                let uri = uri.replace("shelf_id", "1");
                let request = Request::builder()
                    .method(&*method)
                    .uri(uri)
                    .header("content-type", content_type)
                    .body(Body::new(Full::from(body.clone())))
                    .unwrap();
                let gateway = Gateway::new(surface.clone(), tower::service_fn(reading));
                let reply = gateway.oneshot(request).await.unwrap();
                let is_read = reply.status().is_success() || reply.status() == StatusCode::FOUND;
                let told = reply.into_body().collect().await.unwrap().to_bytes();
                let told = String::from_utf8_lossy(&told);
                assert!(is_read, "{method} {path} {media_type}: {told}\n{body}");
                count += 1;
            }
        }
    }
    assert!(count >= 50, "{count}");
}

#[test]
fn a_form_has_names_with_dots_and_files_of_their_own() {
    let usual = document(&surface(JsonProfile::default(), None));
    let content = |document: &Value, path: &str, media_type: &str| -> Value {
        let content = &document["paths"][path]["post"]["requestBody"]["content"];
        resolved(document, &content[media_type]["schema"]).clone()
    };
    let names = |schema: &Value| -> Vec<String> {
        let properties = schema["properties"].as_object().unwrap();
        properties.keys().cloned().collect()
    };
    let texts = content(&usual, "/v1/covers", URLENCODED);
    let expected = [
        "address",
        "picture.name",
        "picture.contentType",
        "picture.data",
    ];
    assert_eq!(names(&texts), expected);
    let files = content(&usual, "/v1/covers", MULTIPART);
    assert_eq!(names(&files), ["address", "picture"]);
    let file = json!({ "contentMediaType": "application/octet-stream" });
    assert_eq!(files["properties"]["picture"], file);
    assert_eq!(files["additionalProperties"], false);

    let forming = document(&forming(JsonProfile::default()));
    let all = names(&content(&forming, "/v1/everything", MULTIPART));
    let has = |name: &str| all.iter().any(|known| known == name);
    assert!(has("nested.name") && has("theBytes") && has("file") && has("int64s"));
    // A list of messages, a message as a whole, and what lies in itself.
    assert!(!has("nesteds") && !has("nested") && !has("nested.parent.theBool"));
    assert!(!has("file.data"));
    // The path fills it.
    let put = &forming["paths"]["/v1/shelves/{shelfId}/books"]["put"];
    let put = &put["requestBody"]["content"][URLENCODED]["schema"];
    let book = names(resolved(&forming, put));
    assert!(book.contains(&"book.title".to_owned()) && !book.contains(&"shelf".to_owned()));
}
