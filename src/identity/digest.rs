//! What is stored of a secret, and how random ones are made.

use aws_lc_rs::digest::{self, SHA256};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// SHA-256 of a secret. Keys and tokens carry at least 160 random bits, so an unsalted digest is enough.
pub fn sha256(secret: impl AsRef<[u8]>) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&SHA256, secret.as_ref()).as_ref());
    out
}

/// `prefix` and 256 random bits in URL-safe base64 (43 characters).
pub fn random_urlsafe(prefix: &str) -> String {
    let mut bytes = [0u8; 32];
    rand::Rng::fill_bytes(&mut rand::rng(), &mut bytes);
    let mut secret = String::with_capacity(prefix.len() + 43);
    secret.push_str(prefix);
    URL_SAFE_NO_PAD.encode_string(bytes, &mut secret);
    secret
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_sha256() {
        assert_eq!(
            hex::encode(sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn random_secrets_fit_a_path_and_differ() {
        let secret = random_urlsafe("cli_");
        assert_eq!(secret.len(), 4 + 43);
        assert!(
            secret
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        );
        assert_ne!(secret, random_urlsafe("cli_"));
    }
}
