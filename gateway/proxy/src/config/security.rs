//! What a surface asks of its callers, for its document: the gateway itself checks no credentials.
//!
//! Schemes and requirements are OpenAPI's own objects (3.1, Security Scheme and Security Requirement). What a document could
//! not say is refused at the start.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Security schemes by name.
pub type Schemes = BTreeMap<String, Value>;
/// Names of schemes with scopes, all of which are needed at once.
pub type Requirement = BTreeMap<String, Vec<String>>;

/// The places an API key can stand.
const PLACES: [&str; 3] = ["header", "query", "cookie"];

/// The flows of OAuth 2, and the addresses each needs.
const FLOWS: [(&str, &[&str]); 4] = [
    ("implicit", &["authorizationUrl"]),
    ("password", &["tokenUrl"]),
    ("clientCredentials", &["tokenUrl"]),
    ("authorizationCode", &["authorizationUrl", "tokenUrl"]),
];

/// Everything that is wrong with them, each a sentence.
pub(super) fn faults(schemes: &Schemes, requirements: &[Requirement]) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, scheme) in schemes {
        let named = |fault: String| format!("docs.security_schemes.{name}: {fault}");
        if !is_component(name) {
            faults.push(named(
                "a name has letters, digits, '.', '-' and '_' only".to_owned(),
            ));
        }
        faults.extend(scheme_faults(scheme).into_iter().map(named));
    }
    for name in requirements.iter().flat_map(BTreeMap::keys) {
        if !schemes.contains_key(name) {
            faults.push(format!(
                "docs.security: there is no security scheme named {name}"
            ));
        }
    }
    faults
}

/// Whether it can name a component of a document.
fn is_component(name: &str) -> bool {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !name.is_empty() && name.bytes().all(is_part)
}

fn scheme_faults(scheme: &Value) -> Vec<String> {
    let Some(members) = scheme.as_object() else {
        return vec!["a security scheme is a table".to_owned()];
    };
    let (own, mut faults): (&[&str], _) = match text(members, "type") {
        Some("http") => (&["scheme", "bearerFormat"], needed(members, &["scheme"])),
        Some("apiKey") => {
            let mut faults = needed(members, &["name", "in"]);
            if text(members, "in").is_some_and(|place| !PLACES.contains(&place)) {
                faults.push(format!("in is one of {}", PLACES.join(", ")));
            }
            (&["name", "in"], faults)
        }
        Some("openIdConnect") => {
            let addresses = ["openIdConnectUrl"];
            (&["openIdConnectUrl"], addresses_faults(members, &addresses))
        }
        Some("oauth2") => (&["flows"], flow_faults(members)),
        Some("mutualTLS") => (&[], Vec::new()),
        _ => {
            let kinds = "type is one of http, apiKey, openIdConnect, oauth2, mutualTLS";
            return vec![kinds.to_owned()];
        }
    };
    faults.extend(unknown(members, own, &["type", "description"]));
    faults
}

fn flow_faults(members: &Map<String, Value>) -> Vec<String> {
    let Some(flows) = members.get("flows").and_then(Value::as_object) else {
        return vec!["flows is a table of OAuth's flows".to_owned()];
    };
    let mut faults = Vec::new();
    if flows.is_empty() {
        faults.push("flows has no flow".to_owned());
    }
    for (name, flow) in flows {
        let known = FLOWS.iter().find(|(flow, _)| flow == name);
        let (Some((_, addresses)), Some(flow)) = (known, flow.as_object()) else {
            let names = FLOWS.map(|(name, _)| name).join(", ");
            faults.push(format!("flows.{name}: a flow is a table, one of {names}"));
            continue;
        };
        let mut own = addresses_faults(flow, addresses);
        let scopes = flow.get("scopes").and_then(Value::as_object);
        if !scopes.is_some_and(|scopes| scopes.values().all(Value::is_string)) {
            own.push("scopes is a table of scopes and what they are for".to_owned());
        }
        own.extend(unknown(flow, addresses, &["refreshUrl", "scopes"]));
        faults.extend(own.into_iter().map(|f| format!("flows.{name}: {f}")));
    }
    faults
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name)?.as_str().filter(|text| !text.is_empty())
}

fn needed(members: &Map<String, Value>, names: &[&str]) -> Vec<String> {
    let absent = names.iter().filter(|name| text(members, name).is_none());
    absent.map(|name| format!("{name} is missing")).collect()
}

fn addresses_faults(members: &Map<String, Value>, names: &[&str]) -> Vec<String> {
    let is_address = |name: &str| {
        let address = text(members, name).and_then(|text| text.parse::<http::Uri>().ok());
        address.is_some_and(|address| address.scheme().is_some())
    };
    let wrong = names.iter().filter(|name| !is_address(name));
    wrong
        .map(|name| format!("{name} must be an address with http:// or https://"))
        .collect()
}

/// Members that nobody knows; those that begin with `x-` are whoever's they are.
fn unknown(members: &Map<String, Value>, own: &[&str], common: &[&str]) -> Vec<String> {
    let is_known =
        |name: &str| own.contains(&name) || common.contains(&name) || name.starts_with("x-");
    let strange = members.keys().filter(|name| !is_known(name));
    strange.map(|name| format!("{name} is not known")).collect()
}
