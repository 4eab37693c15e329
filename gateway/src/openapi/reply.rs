//! One operation: what it answers when all is well.

use serde_json::{Map, Value, json};

use super::{
    Side, examples,
    operation::{Operations, binary},
    route::Route,
    schema::nullable,
};
use crate::{framing::Framing, surface::Envelope};

/// Stands for the data while an envelope is parsed; no envelope can contain it.
const DATA: &str = "\u{0}data";

impl Operations<'_> {
    /// The statuses of success and their Response Objects.
    pub(super) fn successes(&self, route: &Route<'_>) -> Vec<(u16, Value)> {
        let message = route.method.output();
        let output = &route.endpoint.output;
        let comment = self
            .comments
            .at(message.parent_file_descriptor_proto(), message.path());
        let text = match comment.text.as_str() {
            "" => "The request has succeeded.",
            text => text,
        };
        if output.framing == Some(Framing::WebSocket) {
            let text = "A WebSocket (RFC 6455), one message a text frame.";
            let content = json!({ "application/json": self.media(self.printed(route, true)) });
            return vec![(101, json!({ "description": text, "content": content }))];
        }
        let mut replies = Vec::new();
        if let Some(redirect) = &output.redirect {
            let address = json!({ "schema": { "type": "string", "format": "uri-reference" } });
            replies.push((
                redirect.status,
                json!({
                    "description": "Sends the client to another address.",
                    "headers": { "location": address },
                }),
            ));
        }
        let mut status = output.status;
        if !(200..300).contains(&status) {
            status = 200;
        }
        let mut response = json!({ "description": text });
        if !matches!(status, 204 | 205) {
            response["content"] = self.content(route);
        }
        if output.is_tagged && route.http.to_string() == "GET" && output.status == 200 {
            response["headers"] = json!({ "etag": { "schema": { "type": "string" } } });
            let text = "The client has this reply already: `If-None-Match` names its entity tag.";
            replies.push((304, json!({ "description": text })));
        }
        replies.push((status, response));
        replies
    }

    pub(super) fn content(&self, route: &Route<'_>) -> Value {
        let output = &route.endpoint.output;
        if output.raw.is_some() {
            return json!({ "*/*": { "schema": binary() } });
        }
        let item = self.printed(route, output.is_streaming);
        if !output.is_streaming {
            return json!({ "application/json": self.media(item) });
        }
        let framings = match output.framing {
            Some(framing) => vec![framing],
            None => vec![Framing::Array, Framing::Ndjson, Framing::Events],
        };
        let mut content = Map::new();
        for framing in framings {
            if let Some(media_type) = framing.media_type() {
                content.insert(media_type.to_owned(), self.stream(framing, &item));
            }
        }
        content.into()
    }

    /// A stream. OpenAPI 3.1 has no word for a sequence, so a text is said to contain the message.
    fn stream(&self, framing: Framing, item: &Value) -> Value {
        match framing {
            Framing::Array => self.media(json!({ "type": "array", "items": item })),
            Framing::Events => {
                text_of(item, "Server-sent events: the data of each is one message.")
            }
            Framing::Ndjson | Framing::WebSocket => text_of(item, LINES),
        }
    }

    fn media(&self, schema: Value) -> Value {
        let example = examples(&self.components).of(&schema, Side::Response);
        let mut media = json!({ "schema": schema });
        if let Some(example) = example {
            media["example"] = example;
        }
        media
    }

    /// What is printed for one response message.
    fn printed(&self, route: &Route<'_>, is_streamed: bool) -> Value {
        let is_bare = route.endpoint.output.is_bare || is_streamed;
        let envelope = self.surface.options.envelope.as_ref().filter(|_| !is_bare);
        let output = route.method.output();
        let Some(field) = Route::field_of(&output, &route.response_body) else {
            let data = self.schemas.reference(&output, Side::Response);
            return envelope.map_or(data.clone(), |envelope| enveloped(envelope, data));
        };
        let mut data = self.schemas.value(&field, Side::Response);
        let may_be_absent = field.supports_presence() && !field.is_list();
        // Without an envelope an absent message is printed as an empty one.
        let is_object = data.get("$ref").is_some() && field.kind().as_message().is_some();
        if may_be_absent && (envelope.is_some() || !is_object) {
            data = nullable(data);
        }
        envelope.map_or(data.clone(), |envelope| enveloped(envelope, data))
    }
}

pub(super) const LINES: &str = "One message a line.";

/// A text that holds messages, one after the other.
pub(super) fn text_of(item: &Value, description: &str) -> Value {
    let schema = json!({
        "type": "string",
        "description": description,
        "contentMediaType": "application/json",
        "contentSchema": item,
    });
    json!({ "schema": schema })
}

/// The envelope's text as a schema, with the data's schema in its place.
fn enveloped(envelope: &Envelope, data: Value) -> Value {
    let text = [envelope.prefix, "\"\\u0000data\"", envelope.suffix].concat();
    match serde_json::from_str::<Value>(&text) {
        Ok(around) => schema_of(&around, &data),
        // An envelope that is no JSON says nothing of what it holds.
        Err(_) => json!({}),
    }
}

fn schema_of(value: &Value, data: &Value) -> Value {
    match value {
        Value::String(text) if text == DATA => data.clone(),
        Value::Object(members) => {
            let required: Vec<&String> = members.keys().collect();
            let properties: Map<String, Value> = members
                .iter()
                .map(|(name, member)| (name.clone(), schema_of(member, data)))
                .collect();
            json!({ "type": "object", "properties": properties, "required": required })
        }
        constant => json!({ "const": constant }),
    }
}
