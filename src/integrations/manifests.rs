//! Manifests of the catalogue as messages.

use crate::{
    connectors::manifest::{Integration, IntegrationEvent, Setting},
    proto::pulpo::{
        integrations::v1::{Manifest, ManifestEvent, Setting as SettingMessage},
        r#type::v1::Json,
    },
};

impl From<&Integration> for Manifest {
    fn from(manifest: &Integration) -> Self {
        Self {
            service: manifest.service.clone(),
            name: manifest.name.clone(),
            description: manifest.description.clone(),
            category: manifest.category.clone(),
            r#type: manifest.kind.clone(),
            direction: manifest.direction.clone(),
            settings_schema: manifest
                .settings_schema
                .iter()
                .map(SettingMessage::from)
                .collect(),
            events: manifest.events.iter().map(ManifestEvent::from).collect(),
        }
    }
}

impl From<&Setting> for SettingMessage {
    fn from(setting: &Setting) -> Self {
        Self {
            key: setting.key.clone(),
            label: setting.label.clone(),
            r#type: setting.kind.clone(),
            required: setting.required,
            default: setting.default.as_ref().map(|raw| Json {
                text: raw.get().to_owned(),
            }),
            options: setting.options.clone(),
        }
    }
}

impl From<&IntegrationEvent> for ManifestEvent {
    fn from(event: &IntegrationEvent) -> Self {
        Self {
            event_type: event.event_type.clone(),
            direction: event.direction.clone(),
            description: event.description.clone(),
            default_enabled: event.default_enabled,
            retry_count: i64::from(event.retry_count),
        }
    }
}
