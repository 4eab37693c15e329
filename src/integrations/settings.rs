//! Settings with secrets in them: what is sealed and what is shown.

use serde_json::{Map, Value};

use crate::connectors::manifest::Integration;

/// Splits settings into those to show, secrets masked, and the secrets to seal.
pub fn split(
    manifest: &Integration,
    settings: &Map<String, Value>,
) -> (Map<String, Value>, Map<String, Value>) {
    let (mut shown, mut sealed) = (Map::new(), Map::new());
    for (key, value) in settings {
        let setting = manifest
            .settings_schema
            .iter()
            .find(|setting| setting.key == *key);
        // What the schema does not know may be a secret too.
        let is_secret = setting.is_none_or(|setting| setting.kind == "secret");
        match value {
            Value::Null => {}
            value if is_secret => {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                shown.insert(key.clone(), Value::String(mask(&text)));
                sealed.insert(key.clone(), value.clone());
            }
            value => {
                shown.insert(key.clone(), value.clone());
            }
        }
    }
    (shown, sealed)
}

/// Enough of a secret to know it again: its prefix up to the first underscore and its last three characters, for
/// example `pk_***123`. A secret too short for that shows nothing.
pub fn mask(secret: &str) -> String {
    const MOST_PREFIX: usize = 6;
    const LEAST_HIDDEN: usize = 8;
    let chars: Vec<char> = secret.chars().collect();
    let prefix = chars
        .iter()
        .take(MOST_PREFIX)
        .position(|c| *c == '_')
        .map_or(0, |at| at + 1);
    if chars.len() < prefix + LEAST_HIDDEN + 3 {
        return "***".to_owned();
    }
    let start: String = chars.iter().take(prefix).collect();
    let end: String = chars.iter().skip(chars.len() - 3).collect();
    format!("{start}***{end}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::connectors::catalogue;

    #[test]
    fn a_mask_tells_which_secret_and_not_what_it_is() {
        assert_eq!(mask("pk_0123456789abc123"), "pk_***123");
        assert_eq!(mask("0123456789abc123"), "***123");
        assert_eq!(mask("a_very_long_secret_xyz"), "a_***xyz");
        for short in ["", "pk_123", "hunter2", "pk_1234567"] {
            assert_eq!(mask(short), "***", "{short}");
        }
    }

    #[test]
    fn secrets_are_sealed_and_the_rest_is_shown() {
        let manifest = catalogue().unwrap().integration("klaviyo").unwrap();
        let settings = json!({"apiKey": "pk_0123456789abc123", "environment": "sandbox", "other": "x", "listId": null});
        let (shown, sealed) = split(manifest, settings.as_object().unwrap());
        assert_eq!(
            Value::from(shown),
            json!({"apiKey": "pk_***123", "environment": "sandbox", "other": "***"})
        );
        assert_eq!(
            Value::from(sealed),
            json!({"apiKey": "pk_0123456789abc123", "other": "x"})
        );
    }
}
