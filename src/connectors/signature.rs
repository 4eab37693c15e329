//! Signatures of incoming webhooks: HMAC over the exact bytes, compared in constant time.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::manifest::Signature;

/// The hash of the HMAC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// For senders that know nothing better; as an HMAC it is not broken.
    Sha1,
    /// The default.
    #[default]
    Sha256,
    /// The long one.
    Sha512,
}

/// How the bytes of a signature are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// In either case.
    Hex,
    /// The standard alphabet, padded.
    Base64,
}

/// Whether one of `signatures` vouches for `body`: the first whose header is present decides. `header` looks a header
/// up by its lower-case name.
pub fn verify<'h>(
    signatures: &[Signature],
    header: impl Fn(&str) -> Option<&'h str>,
    secret: &[u8],
    body: &[u8],
) -> bool {
    let present = signatures
        .iter()
        .find_map(|signature| Some((signature, header(&signature.header)?)));
    // A connection without a secret can vouch for nothing.
    present.is_some_and(|(signature, value)| {
        !secret.is_empty() && matches(signature, value.trim(), secret, body)
    })
}

fn matches(signature: &Signature, value: &str, secret: &[u8], body: &[u8]) -> bool {
    let prefixed = signature
        .prefixes
        .iter()
        .find_map(|(prefix, algorithm)| Some((value.strip_prefix(prefix)?, *algorithm)));
    let (value, algorithm) = prefixed.unwrap_or((value, signature.algorithm));
    let given = match signature.encoding {
        Encoding::Hex => hex::decode(value).ok(),
        Encoding::Base64 => STANDARD.decode(value).ok(),
    };
    let key = hmac::Key::new(algorithm.hmac(), secret);
    given.is_some_and(|given| hmac::verify(&key, body, &given).is_ok())
}

impl Algorithm {
    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::catalogue;

    const BODY: &[u8] = b"{\"id\": 1}";

    fn accepted(connector: &str, header: &str, value: &str) -> bool {
        let webhook = catalogue()
            .unwrap()
            .connector(connector)
            .unwrap()
            .webhook
            .as_ref()
            .unwrap();
        verify(
            &webhook.signatures,
            |name| (name == header).then_some(value),
            b"secret",
            BODY,
        )
    }

    fn hex_of(algorithm: hmac::Algorithm) -> String {
        hex::encode(hmac::sign(&hmac::Key::new(algorithm, b"secret"), BODY))
    }

    #[test]
    fn each_connector_reads_its_own_header() {
        let sha256 = hex_of(hmac::HMAC_SHA256);
        let sha1 = hex_of(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY);
        let base64 = STANDARD.encode(hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, b"secret"),
            BODY,
        ));
        assert!(accepted("magento", "x-magento-signature", &sha256));
        assert!(accepted("generic", "x-signature", &sha256));
        assert!(accepted("generic", "x-signature", &sha256.to_uppercase()));
        assert!(accepted("flowretail", "x-signature", &sha256));
        assert!(accepted(
            "github",
            "x-hub-signature",
            &format!("sha1={sha1}")
        ));
        assert!(accepted(
            "github",
            "x-hub-signature",
            &format!("sha256={sha256}")
        ));
        assert!(accepted(
            "github",
            "x-hub-signature-256",
            &format!("sha256={sha256}")
        ));
        assert!(accepted("shopify", "x-shopify-hmac-sha256", &base64));

        assert!(!accepted("magento", "x-signature", &sha256));
        assert!(!accepted(
            "github",
            "x-hub-signature",
            &format!("sha1={sha256}")
        ));
        assert!(!accepted("shopify", "x-shopify-hmac-sha256", &sha256));
        assert!(!accepted("generic", "x-signature", ""));
        assert!(!accepted("generic", "x-signature", &sha256[..62]));
    }

    #[test]
    fn other_bytes_other_secrets_and_no_secret_are_refused() {
        let webhook = catalogue()
            .unwrap()
            .connector("generic")
            .unwrap()
            .webhook
            .as_ref()
            .unwrap();
        let signed = hex_of(hmac::HMAC_SHA256);
        let check = |secret: &[u8], body: &[u8]| {
            verify(&webhook.signatures, |_| Some(&signed), secret, body)
        };
        assert!(check(b"secret", BODY));
        assert!(!check(b"secret", b"{\"id\":1}"));
        assert!(!check(b"secret2", BODY));
        let unkeyed = hex::encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b""), BODY));
        assert!(!verify(&webhook.signatures, |_| Some(&unkeyed), b"", BODY));
    }
}
