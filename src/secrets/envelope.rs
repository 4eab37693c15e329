//! AES-256-GCM with a random nonce: bytes in, bytes out.
//!
//! A box is `01`, the key version (4 bytes, big endian), the nonce (12), the ciphertext and the tag (16). What it is
//! for (purpose, organisation, context) is authenticated and not stored: a box opens only where it was meant to.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    error::Unspecified,
    rand,
};

/// Length of every key.
pub(super) const KEY_LEN: usize = 32;

const FORMAT: u8 = 1;
const VERSION_LEN: usize = 4;
const HEADER_LEN: usize = 1 + VERSION_LEN + NONCE_LEN;

/// What a box is for; all of it must be the same to open it.
#[derive(Clone, Copy)]
pub(super) struct Purpose<'a> {
    /// Keeps wrapped keys and sealed secrets apart.
    pub(super) kind: &'static str,
    pub(super) org_id: &'a str,
    pub(super) context: &'a str,
}

impl Purpose<'_> {
    /// The parts with their lengths, so that no two purposes read the same; then the header of the box.
    fn aad(&self, header: &[u8]) -> Vec<u8> {
        let mut aad = Vec::with_capacity(64);
        for part in [self.kind, self.org_id, self.context] {
            aad.extend_from_slice(&(part.len() as u64).to_be_bytes());
            aad.extend_from_slice(part.as_bytes());
        }
        aad.extend_from_slice(header);
        aad
    }
}

/// 32 random bytes.
pub(super) fn random_key() -> Result<[u8; KEY_LEN], Unspecified> {
    let mut key = [0; KEY_LEN];
    rand::fill(&mut key)?;
    Ok(key)
}

/// Encrypts under `key`, which is the one of `version`.
pub(super) fn seal(
    key: &[u8; KEY_LEN],
    version: u32,
    purpose: Purpose<'_>,
    plaintext: &[u8],
) -> Result<Vec<u8>, Unspecified> {
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce)?;
    let mut sealed = Vec::with_capacity(HEADER_LEN + plaintext.len() + AES_256_GCM.tag_len());
    sealed.push(FORMAT);
    sealed.extend_from_slice(&version.to_be_bytes());
    sealed.extend_from_slice(&nonce);
    let aad = Aad::from(purpose.aad(&sealed));
    let mut text = plaintext.to_vec();
    cipher(key)?.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text)?;
    sealed.append(&mut text);
    Ok(sealed)
}

/// The key version a box names; `None` for what is not a box.
pub(super) fn version(sealed: &[u8]) -> Option<u32> {
    let (format, rest) = sealed.split_first()?;
    let version = rest.first_chunk::<VERSION_LEN>()?;
    (*format == FORMAT && sealed.len() >= HEADER_LEN).then(|| u32::from_be_bytes(*version))
}

/// Decrypts; any difference in key, purpose or bytes fails.
pub(super) fn open(
    key: &[u8; KEY_LEN],
    purpose: Purpose<'_>,
    sealed: &[u8],
) -> Result<Vec<u8>, Unspecified> {
    version(sealed).ok_or(Unspecified)?;
    let (header, text) = sealed.split_at_checked(HEADER_LEN).ok_or(Unspecified)?;
    let nonce = Nonce::try_assume_unique_for_key(&header[1 + VERSION_LEN..])?;
    let mut text = text.to_vec();
    let length = cipher(key)?
        .open_in_place(nonce, Aad::from(purpose.aad(header)), &mut text)?
        .len();
    text.truncate(length);
    Ok(text)
}

fn cipher(key: &[u8; KEY_LEN]) -> Result<LessSafeKey, Unspecified> {
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; KEY_LEN] = [7; KEY_LEN];
    const PURPOSE: Purpose<'_> = Purpose {
        kind: "secret",
        org_id: "org_1",
        context: "connection:c1",
    };

    #[test]
    fn opens_what_it_sealed() {
        for text in [&b""[..], b"hunter2", &[0; 4096]] {
            let sealed = seal(&KEY, 3, PURPOSE, text).unwrap();
            assert_eq!(version(&sealed), Some(3));
            assert_eq!(open(&KEY, PURPOSE, &sealed).unwrap(), text);
        }
    }

    #[test]
    fn equal_secrets_do_not_look_equal() {
        assert_ne!(
            seal(&KEY, 1, PURPOSE, b"x").unwrap(),
            seal(&KEY, 1, PURPOSE, b"x").unwrap()
        );
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let sealed = seal(&KEY, 1, PURPOSE, b"hunter2").unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(open(&KEY, PURPOSE, &changed).is_err(), "byte {index}");
            assert!(
                open(&KEY, PURPOSE, &sealed[..index]).is_err(),
                "cut at {index}"
            );
        }
    }

    #[test]
    fn a_box_opens_only_for_its_purpose() {
        let sealed = seal(&KEY, 1, PURPOSE, b"hunter2").unwrap();
        let others = [
            Purpose {
                org_id: "org_2",
                ..PURPOSE
            },
            Purpose {
                context: "connection:c2",
                ..PURPOSE
            },
            Purpose {
                kind: "data-key",
                ..PURPOSE
            },
            Purpose {
                org_id: "org_1connection",
                context: ":c1",
                ..PURPOSE
            },
        ];
        for other in others {
            assert!(open(&KEY, other, &sealed).is_err());
        }
        assert!(open(&[8; KEY_LEN], PURPOSE, &sealed).is_err());
    }
}
