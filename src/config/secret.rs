//! Values that must not be shown.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

const REDACTED: &str = "[redacted]";

/// A secret: its text leaves only through [`Secret::expose`].
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes the text in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

/// `url` without its password and parameters. The key=value form is hidden as a whole when it has a password, since its
/// quoting allows for anything.
pub(super) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return if url.contains("password") {
            REDACTED.to_owned()
        } else {
            url.to_owned()
        };
    };
    // The last @, since a careless password may hold one, or a slash.
    let (user, host) = rest
        .rsplit_once('@')
        .map_or((None, rest), |(user, host)| (Some(user), host));
    let user = match user.map(|user| user.split_once(':').map_or(user, |(name, _)| name)) {
        Some(name) if name.contains(['?', '/']) => return format!("{scheme}://{REDACTED}"),
        Some(name) => format!("{name}:{REDACTED}@"),
        None => String::new(),
    };
    match host.split_once('?') {
        Some((host, _)) => format!("{scheme}://{user}{host}?{REDACTED}"),
        None => format!("{scheme}://{user}{host}"),
    }
}

/// Shows a database URL without its password.
#[expect(clippy::ref_option, reason = "serde hands out the field itself")]
pub(super) fn serialize_url<S: Serializer>(
    url: &Option<String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    url.as_deref().map(without_password).serialize(serializer)
}
