//! The manifests of hub connectors and of integrations, as they are written in `catalogue/`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::signature::{Algorithm, Encoding};

/// A connector of the hub.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connector {
    /// The name connections are made by.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name to show.
    pub name: String,
    /// What it connects to.
    pub description: String,
    /// How its webhooks are verified and read; absent when it has none.
    pub webhook: Option<Webhook>,
}

/// How the webhooks of a connector are verified and read. Pointers are JSON pointers (RFC 6901) into one event.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where the signature stands; the first header that is present counts.
    pub signatures: Vec<Signature>,
    /// Where the foreign event type stands.
    pub event_type: Source,
    /// Foreign type → canonical type; null for events that are dropped. Others keep their name.
    #[serde(default)]
    pub event_type_map: BTreeMap<String, Option<String>>,
    /// The type of an event that names none.
    pub default_event_type: String,
    /// Where a batch stands in the body; without a batch there, the body is one event.
    pub array_path: Option<String>,
    /// Where the id of the event stands; it is unique by itself.
    pub external_id: Source,
    /// Where the id of the changed thing stands, for events without an id of their own.
    #[serde(default)]
    pub entity_id: Vec<String>,
    /// Where the instant stands.
    #[serde(default)]
    pub occurred_at: Vec<String>,
}

/// A header with an HMAC over the exact bytes of the body.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// In lower case.
    pub header: String,
    /// Unless a prefix says otherwise.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// How the bytes are written.
    pub encoding: Encoding,
    /// Prefixes before the value, and the algorithm they stand for.
    #[serde(default)]
    pub prefixes: BTreeMap<String, Algorithm>,
}

/// A value that stands in a header or in the body; the header goes first.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// In lower case.
    pub header: Option<String>,
    /// The first one with a value counts.
    #[serde(default)]
    pub pointers: Vec<String>,
}

/// An integration that tenants can configure.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Integration {
    /// The name to create it by.
    pub service: String,
    /// The name to show.
    pub name: String,
    /// What it does.
    pub description: String,
    /// For grouping.
    pub category: String,
    /// `prebuilt` or `custom`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `inbound`, `outbound` or `both`.
    pub direction: String,
    /// What must be configured.
    pub settings_schema: Vec<Setting>,
    /// What it can synchronise.
    pub events: Vec<IntegrationEvent>,
}

/// One setting of an integration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// The key in `settings`.
    pub key: String,
    /// The label to show.
    pub label: String,
    /// `string`, `secret`, `number`, `boolean`, `select` or `url`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it must be given.
    pub required: bool,
    /// The value when it is not given.
    pub default: Option<Box<RawValue>>,
    /// The choices of a select.
    #[serde(default)]
    pub options: Vec<String>,
}

/// One event an integration can synchronise.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct IntegrationEvent {
    /// For example `order.created`.
    pub event_type: String,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// What happens.
    pub description: String,
    /// Whether it is on unless said otherwise.
    pub default_enabled: bool,
    /// Automatic retries, 0 to 5.
    pub retry_count: u8,
}

impl Connector {
    /// What is wrong with it.
    pub(super) fn faults(&self) -> Vec<String> {
        let Some(webhook) = &self.webhook else {
            return Vec::new();
        };
        let mut faults = Vec::new();
        if webhook.signatures.is_empty() {
            faults.push("webhook.signatures is empty: nothing would verify it".to_owned());
        }
        let sources = [&webhook.event_type, &webhook.external_id];
        let headers = webhook
            .signatures
            .iter()
            .map(|s| &s.header)
            .chain(sources.iter().filter_map(|s| s.header.as_ref()));
        for header in headers {
            if http::HeaderName::from_lowercase(header.as_bytes()).is_err() {
                faults.push(format!("{header:?} is not a header name in lower case"));
            }
        }
        let pointers = sources.iter().flat_map(|s| &s.pointers);
        for pointer in pointers
            .chain(&webhook.array_path)
            .chain(&webhook.entity_id)
            .chain(&webhook.occurred_at)
        {
            if !pointer.starts_with('/') {
                faults.push(format!(
                    "{pointer:?} is not a JSON pointer: it must start with /"
                ));
            }
        }
        if webhook.default_event_type.is_empty() {
            faults.push("webhook.default_event_type is empty".to_owned());
        }
        faults
    }
}

impl Integration {
    /// What is wrong with it.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut word = |what: &str, value: &str, words: &[&str]| {
            if !words.contains(&value) {
                faults.push(format!("{what} is {value:?}, must be one of {words:?}"));
            }
        };
        word("type", &self.kind, &["prebuilt", "custom"]);
        word(
            "direction",
            &self.direction,
            &["inbound", "outbound", "both"],
        );
        for setting in &self.settings_schema {
            let kinds = ["string", "secret", "number", "boolean", "select", "url"];
            word(&format!("type of {}", setting.key), &setting.kind, &kinds);
        }
        for event in &self.events {
            word(
                &format!("direction of {}", event.event_type),
                &event.direction,
                &["inbound", "outbound"],
            );
        }
        for setting in &self.settings_schema {
            if (setting.kind == "select") == setting.options.is_empty() {
                faults.push(format!(
                    "{} must have options exactly when it is a select",
                    setting.key
                ));
            }
        }
        if self.events.is_empty() {
            faults.push("events is empty".to_owned());
        }
        let most = self.events.iter().filter(|event| event.retry_count > 5);
        faults.extend(most.map(|event| format!("retryCount of {} is above 5", event.event_type)));
        faults
    }
}
