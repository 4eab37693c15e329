//! Connectors: declarative manifests, embedded and checked at start, and the pure rules that read them.
//!
//! `catalogue/hub` holds the connectors of the hub, `catalogue/integrations` those of the integrations API. A new one
//! is a file there and a line below.

pub mod manifest;
pub mod signature;
pub mod webhook;

use std::{collections::BTreeMap, sync::LazyLock};

use serde::de::DeserializeOwned;

use self::manifest::{Connector, Integration};
use crate::error::{Error, Result};

const CONNECTORS: [(&str, &str); 6] = [
    (
        "hub/csv-poll.json",
        include_str!("catalogue/hub/csv-poll.json"),
    ),
    (
        "hub/flowretail.json",
        include_str!("catalogue/hub/flowretail.json"),
    ),
    (
        "hub/generic.json",
        include_str!("catalogue/hub/generic.json"),
    ),
    ("hub/github.json", include_str!("catalogue/hub/github.json")),
    (
        "hub/magento.json",
        include_str!("catalogue/hub/magento.json"),
    ),
    (
        "hub/shopify.json",
        include_str!("catalogue/hub/shopify.json"),
    ),
];

const INTEGRATIONS: [(&str, &str); 3] = [
    (
        "integrations/custom.json",
        include_str!("catalogue/integrations/custom.json"),
    ),
    (
        "integrations/klaviyo.json",
        include_str!("catalogue/integrations/klaviyo.json"),
    ),
    (
        "integrations/webhook-out.json",
        include_str!("catalogue/integrations/webhook-out.json"),
    ),
];

/// Every manifest there is.
#[derive(Debug)]
pub struct Catalogue {
    connectors: BTreeMap<String, Connector>,
    integrations: BTreeMap<String, Integration>,
}

static CATALOGUE: LazyLock<Result<Catalogue, String>> = LazyLock::new(Catalogue::load);

/// The catalogue. Fails only where [`check`] at start would have.
pub fn catalogue() -> Result<&'static Catalogue> {
    CATALOGUE
        .as_ref()
        .map_err(|faults| Error::internal(anyhow::anyhow!("{faults}")))
}

/// Checks every manifest; call it at start. The error lists all faults.
pub fn check() -> anyhow::Result<()> {
    CATALOGUE
        .as_ref()
        .map(drop)
        .map_err(|faults| anyhow::anyhow!("{faults}"))
}

impl Catalogue {
    fn load() -> Result<Self, String> {
        let mut faults = Vec::new();
        let connectors = parse(
            &CONNECTORS,
            |c: &Connector| (c.kind.clone(), c.faults()),
            &mut faults,
        );
        let integrations = parse(
            &INTEGRATIONS,
            |i: &Integration| (i.service.clone(), i.faults()),
            &mut faults,
        );
        if faults.is_empty() {
            return Ok(Self {
                connectors,
                integrations,
            });
        }
        Err(format!(
            "the catalogue of connectors is faulty:\n  {}",
            faults.join("\n  ")
        ))
    }

    /// The hub connector of this type.
    pub fn connector(&self, kind: &str) -> Option<&Connector> {
        self.connectors.get(kind)
    }

    /// The hub connectors by type.
    pub fn connectors(&self) -> impl Iterator<Item = &Connector> {
        self.connectors.values()
    }

    /// The integration of this service.
    pub fn integration(&self, service: &str) -> Option<&Integration> {
        self.integrations.get(service)
    }

    /// The integrations by service.
    pub fn integrations(&self) -> impl ExactSizeIterator<Item = &Integration> {
        self.integrations.values()
    }
}

/// Parses the files into a map by the name that `inspect` finds in them, and notes every fault.
fn parse<T: DeserializeOwned>(
    files: &[(&str, &str)],
    inspect: impl Fn(&T) -> (String, Vec<String>),
    faults: &mut Vec<String>,
) -> BTreeMap<String, T> {
    let mut parsed = BTreeMap::new();
    for (file, text) in files {
        match serde_json::from_str::<T>(text) {
            Ok(manifest) => {
                let (name, found) = inspect(&manifest);
                faults.extend(found.iter().map(|fault| format!("{file}: {fault}")));
                if parsed.insert(name, manifest).is_some() {
                    faults.push(format!("{file}: another manifest has the same name"));
                }
            }
            Err(error) => faults.push(format!("{file}: {error}")),
        }
    }
    parsed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_catalogue_is_sound() {
        check().unwrap();
        let catalogue = catalogue().unwrap();
        assert_eq!(catalogue.connectors().count(), CONNECTORS.len());
        assert!(catalogue.connector("csv-poll").unwrap().webhook.is_none());
        assert_eq!(catalogue.integrations().len(), INTEGRATIONS.len());
    }

    #[test]
    fn all_faults_are_listed() {
        let text = r#"{"type":"x","name":"X","description":"","webhook":{"signatures":[],"default_event_type":"",
            "event_type":{"header":"X-Upper"},"external_id":{"pointers":["id"]}}}"#;
        let mut faults = Vec::new();
        parse(
            &[("x.json", text), ("y.json", "{")],
            |c: &Connector| (c.kind.clone(), c.faults()),
            &mut faults,
        );
        assert_eq!(faults.len(), 5, "{faults:#?}");
        assert!(
            faults
                .iter()
                .all(|fault| fault.starts_with("x.json: ") || fault.starts_with("y.json: "))
        );
    }
}
