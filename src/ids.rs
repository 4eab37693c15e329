//! Ids: a prefix that says what it names, and a random or time-sorted part.

use std::fmt::Write;

use rand::RngExt;
use uuid::Uuid;

/// `<prefix>_` and `hex_digits` random hexadecimal digits, for example `txn_9f8e7d6c5b4a`.
pub fn short(prefix: &str, hex_digits: usize) -> String {
    let mut id = String::with_capacity(prefix.len() + 1 + hex_digits);
    id.push_str(prefix);
    id.push('_');
    push_hex(&mut id, hex_digits);
    id
}

/// `<prefix>_` and 32 hexadecimal digits that sort by the time they were made.
pub fn sortable(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::now_v7().simple())
}

/// `prefix` (with whatever separator it has) and `hex_digits` random hexadecimal digits: the form of keys.
pub fn secret(prefix: &str, hex_digits: usize) -> String {
    let mut secret = String::with_capacity(prefix.len() + hex_digits);
    secret.push_str(prefix);
    push_hex(&mut secret, hex_digits);
    secret
}

fn push_hex(out: &mut String, digits: usize) {
    let mut rng = rand::rng();
    for _ in 0..digits {
        // Writing to a String cannot fail.
        let _ = write!(out, "{:x}", rng.random_range(0u8..16));
    }
}
