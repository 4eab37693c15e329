//! Reading webhooks: the bytes of a body and a manifest in, events out.
//!
//! Payloads are slices of the body, never parsed and printed again, so numbers and order survive.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::value::RawValue;

use super::manifest::{Source, Webhook};

/// Events of one delivery; a larger batch is refused.
pub const MOST_EVENTS: usize = 1_000;

/// How deep a payload may be nested.
pub const MOST_DEPTH: usize = 100;

/// One event of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed<'b> {
    /// The canonical type.
    pub event_type: String,
    /// The same for a repeated delivery of the same event.
    pub external_id: String,
    /// As the sender wrote it.
    pub occurred_at: Option<String>,
    /// The text of a JSON object.
    pub payload: &'b str,
}

/// The events of a body, in their order. The error completes "body …".
pub fn parse<'b, 'h>(
    webhook: &Webhook,
    header: impl Fn(&str) -> Option<&'h str>,
    body: &'b [u8],
) -> Result<Vec<Parsed<'b>>, String> {
    let text = std::str::from_utf8(body).map_err(|_| "must be UTF-8".to_owned())?;
    let root: &RawValue =
        serde_json::from_str(text).map_err(|error| format!("must be JSON: {error}"))?;
    if depth(text) > MOST_DEPTH {
        return Err(format!(
            "must not be nested deeper than {MOST_DEPTH} levels"
        ));
    }
    let batch = match &webhook.array_path {
        _ if root.get().starts_with('[') => elements(root),
        Some(path) => find(root, path)
            .filter(|found| found.get().starts_with('['))
            .and_then(elements),
        None => None,
    };
    let is_batch = batch.is_some();
    let items = batch.unwrap_or_else(|| vec![root]);
    if items.len() > MOST_EVENTS {
        return Err(format!("must not hold more than {MOST_EVENTS} events"));
    }
    let mut events = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        if !item.get().starts_with('{') {
            return Err("must be a JSON object, or a list of objects".to_owned());
        }
        let foreign = value(&webhook.event_type, &header, item)
            .or_else(|| value(&webhook.event_type, &header, root));
        let foreign = foreign.unwrap_or_else(|| webhook.default_event_type.clone());
        let event_type = match webhook.event_type_map.get(&foreign) {
            Some(None) => continue,
            Some(Some(canonical)) => canonical.clone(),
            None => foreign,
        };
        let external_id = external_id(
            webhook,
            &header,
            item,
            &event_type,
            is_batch.then_some(index),
        );
        let occurred_at = webhook
            .occurred_at
            .iter()
            .find_map(|pointer| scalar(item, pointer));
        events.push(Parsed {
            event_type,
            external_id,
            occurred_at,
            payload: item.get(),
        });
    }
    Ok(events)
}

/// The id of the event; else the id of the changed thing with a digest of its state, so that two changes of one thing
/// are two events; else the digest alone.
fn external_id<'h>(
    webhook: &Webhook,
    header: impl Fn(&str) -> Option<&'h str>,
    item: &RawValue,
    event_type: &str,
    index: Option<usize>,
) -> String {
    let source = &webhook.external_id;
    if let Some(id) = source
        .pointers
        .iter()
        .find_map(|pointer| scalar(item, pointer))
    {
        return id;
    }
    if let Some(id) = source
        .header
        .as_deref()
        .and_then(header)
        .filter(|id| !id.is_empty())
    {
        return index.map_or_else(|| id.to_owned(), |index| format!("{id}:{index}"));
    }
    let state = hex::encode(&digest(&SHA256, item.get().as_bytes()).as_ref()[..16]);
    match webhook
        .entity_id
        .iter()
        .find_map(|pointer| scalar(item, pointer))
    {
        Some(entity) => format!("{event_type}:{entity}:{state}"),
        None => format!("{event_type}:{state}"),
    }
}

fn value<'h>(
    source: &Source,
    header: impl Fn(&str) -> Option<&'h str>,
    item: &RawValue,
) -> Option<String> {
    let in_header = source
        .header
        .as_deref()
        .and_then(header)
        .filter(|value| !value.is_empty());
    in_header.map(str::to_owned).or_else(|| {
        source
            .pointers
            .iter()
            .find_map(|pointer| scalar(item, pointer))
    })
}

/// The text of a string, or a number as it is written; nothing for an empty string or anything else.
fn scalar(item: &RawValue, pointer: &str) -> Option<String> {
    let raw = find(item, pointer)?;
    match raw.get().as_bytes().first()? {
        b'"' => serde_json::from_str(raw.get())
            .ok()
            .filter(|text: &String| !text.is_empty()),
        b'-' | b'0'..=b'9' => Some(raw.get().to_owned()),
        _ => None,
    }
}

fn elements(raw: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(raw.get()).ok()
}

/// Follows a JSON pointer through objects.
fn find<'b>(raw: &'b RawValue, pointer: &str) -> Option<&'b RawValue> {
    pointer.split('/').skip(1).try_fold(raw, |at, token| {
        let token = token.replace("~1", "/").replace("~0", "~");
        let mut members: HashMap<String, &'b RawValue> = serde_json::from_str(at.get()).ok()?;
        members.remove(&token)
    })
}

/// How deep valid JSON is nested.
pub fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
