//! What a valid endpoint is, and which fields a change touches.

use crate::{
    delivery::{endpoints as rows, endpoints::EndpointRow},
    error::Result,
    proto::pulpo::pay::v1 as pb,
};

use super::{
    super::input::{self, Input},
    EVENTS,
};

/// The fields a change may name.
const FIELDS: [&str; 5] = ["url", "description", "events", "agent_filter", "status"];

/// Puts the named fields of a change over an endpoint; every fault is named.
pub(super) fn apply(
    mut row: EndpointRow,
    change: &pb::WebhookChange,
    fields: &[&str],
    allows_private: bool,
) -> Result<EndpointRow> {
    let mut input = Input::default();
    for field in fields {
        match *field {
            "url" => {
                if let Some(url) = input.target("url", change.url.as_deref(), allows_private) {
                    row.url = url;
                }
            }
            "description" => {
                input.description("description", change.description.as_deref());
                row.description.clone_from(&change.description);
            }
            "events" => row.kinds = events(&mut input, &change.events),
            "agent_filter" => {
                input.names("agent_filter", &change.agent_filter);
                row.labels.clone_from(&change.agent_filter);
            }
            "status" => match change.status.as_deref() {
                Some(rows::ACTIVE) => row.enable(),
                Some(rows::DISABLED) => rows::DISABLED.clone_into(&mut row.status),
                _ => input.fault("status", "must be active or disabled"),
            },
            _ => {}
        }
    }
    input.finish()?;
    Ok(row)
}

/// Each event once, in the order of the document.
fn events(input: &mut Input, names: &[String]) -> Vec<String> {
    if names.is_empty() {
        input.fault("events", "is required: name at least one event");
    }
    for (i, name) in names.iter().enumerate() {
        if !EVENTS.contains(&name.as_str()) {
            input.fault(
                &format!("events[{i}]"),
                format!("must be one of {}", EVENTS.join(", ")),
            );
            break;
        }
    }
    let asked = EVENTS
        .into_iter()
        .filter(|event| names.iter().any(|name| name == event));
    asked.map(str::to_owned).collect()
}

/// The fields a change touches: those of the mask, or those that are set where there is none.
pub(super) fn named_fields(
    change: &pb::WebhookChange,
    mask: Option<prost_types::FieldMask>,
) -> Result<Vec<&'static str>> {
    input::named_fields(&FIELDS, mask, |field| match field {
        "url" => change.url.is_some(),
        "description" => change.description.is_some(),
        "events" => !change.events.is_empty(),
        "agent_filter" => !change.agent_filter.is_empty(),
        _ => change.status.is_some(),
    })
}
